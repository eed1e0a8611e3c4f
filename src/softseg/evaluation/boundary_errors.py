"""How many boundary pixels of a label map lie where people have drawn a boundary, and the other way round.

Boundaries are as in the BSDS 500 benchmark: a pixel whose square with its right, lower and diagonal neighbour is not of
one region, thinned to one pixel wide. So made, the boundaries of its `Segmentation` maps are its `Boundaries`, pixel
for pixel.

A boundary pixel of ours and one of a person can be matched if they are at most `tolerance` pixels apart, each with one
other pixel only, and as many as possible are. Over several people:

- *precision*: the share of our pixels that are matched with at least one person's;
- *recall*: of the boundary pixels of all people together, the share that are matched with ours.

Over a data set, pixels are added up before the division.

Source: Martin, Fowlkes, Malik: Learning to Detect Natural Image Boundaries, TPAMI 2004, and the BSDS 500 benchmark.
Differs in: 1. Of the matchings with the most pairs, any one counts; the benchmark takes one with small distances.
Recall and one person's precision do not depend on it; over several people precision does a little, by which of ours
are left over. 2. The tolerance is in pixels, not a share (0.0075) of the diagonal: 4.3 pixels for photos of BSDS 500.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.ndimage import binary_dilation
from scipy.sparse.csgraph import maximum_flow
from scipy.spatial import cKDTree

from softseg.errors import InputError

TOLERANCES = (1, 2, 4)  # pixels


@dataclass(frozen=True)
class BoundaryCounts:
    """Boundary pixels; counts of several photos may be added.

    matched : of ours, those matched with at least one person's.
    ours : all of ours.
    recalled : of all people's, those matched with ours.
    people : all of all people's.
    """

    matched: int = 0
    ours: int = 0
    recalled: int = 0
    people: int = 0

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.matched + other.matched,
            self.ours + other.ours,
            self.recalled + other.recalled,
            self.people + other.people,
        )

    @property
    def precision(self) -> float:
        """In [0, 1]; NaN without boundaries of ours."""
        return self.matched / self.ours if self.ours else float("nan")

    @property
    def recall(self) -> float:
        """In [0, 1]; NaN without boundaries of people."""
        return self.recalled / self.people if self.people else float("nan")

    @property
    def f_measure(self) -> float:
        """Harmonic mean of precision and recall; NaN where one of them is."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both != 0 else 0.0


def boundary_errors(
    labels: np.ndarray, truths: Sequence[np.ndarray], tolerances: Sequence[float] = TOLERANCES
) -> list[BoundaryCounts]:
    """Count the matched boundary pixels of a label map against one or more people.

    Parameters
    ----------
    labels : (h, w) whole numbers, equal numbers are one region.
    truths : one or more label maps of that shape. Where a negative number, no region, is near, no boundary counts.
    tolerances : in pixels, at least 0.

    Returns
    -------
    BoundaryCounts for each tolerance.

    Raises
    ------
    InputError : there is no truth, a shape differs, or a tolerance is negative.

    Examples
    --------
    >>> import numpy as np
    >>> ours, truth = np.eye(8, dtype=int)[[2] * 5].cumsum(1), np.eye(8, dtype=int)[[4] * 5].cumsum(1)
    >>> [counts.recall for counts in boundary_errors(ours, [truth])]
    [0.0, 1.0, 1.0]
    """
    _check_shapes(labels, truths)
    masks = [true_boundaries(truth) for truth in truths]
    return match_boundaries(boundary_pixels(labels) & judged(truths), masks, tolerances)


def boundary_pixels(labels: np.ndarray) -> np.ndarray:
    """(h, w) bool, the thinned boundaries between regions of (h, w) `labels`.

    Examples
    --------
    >>> import numpy as np
    >>> boundary_pixels(np.array([[0, 0, 1, 1]] * 3)).astype(int).tolist()
    [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    """
    from skimage.morphology import thin

    if labels.ndim != 2:
        raise InputError(f"labels have shape {labels.shape}, expected (h, w)")
    wide = np.zeros(labels.shape, dtype=bool)
    right, below = labels[:, :-1] != labels[:, 1:], labels[:-1] != labels[1:]
    wide[:, :-1] |= right
    wide[:-1] |= below
    wide[:-1, :-1] |= right[1:] | below[:, 1:]
    return np.asarray(thin(wide))  # type: ignore[no-untyped-call]


def true_boundaries(truth: np.ndarray) -> np.ndarray:
    """(h, w) bool, a person's boundaries, without those near pixels that have no region."""
    return np.asarray(boundary_pixels(truth) & judged([truth]))


def judged(truths: Sequence[np.ndarray]) -> np.ndarray:
    """(h, w) bool, pixels near which somebody has given every pixel a region."""
    around = np.ones((3, 3), dtype=bool)
    unknown = [binary_dilation(truth < 0, around) for truth in truths]
    return np.asarray(~np.logical_and.reduce(unknown))


def match_boundaries(
    ours: np.ndarray, people: Sequence[np.ndarray], tolerances: Sequence[float] = TOLERANCES
) -> list[BoundaryCounts]:
    """`boundary_errors` of boundaries that are already there: (h, w) bool, ours and one for each person."""
    _check_shapes(ours, people)
    if min(tolerances) < 0:
        raise InputError(f"a tolerance of {min(tolerances)} pixels was asked for; choose at least 0")
    points = np.argwhere(ours)
    matched = np.zeros((len(tolerances), len(points)), dtype=bool)
    recalled = np.zeros(len(tolerances), dtype=int)
    for theirs in people:
        pairs = _pairs(points, np.argwhere(theirs), max(tolerances))
        for t, tolerance in enumerate(tolerances):
            found = _matched(pairs, tolerance)
            matched[t] |= found
            recalled[t] += np.count_nonzero(found)
    total = sum(int(np.count_nonzero(theirs)) for theirs in people)
    return [
        BoundaryCounts(int(np.count_nonzero(matched[t])), len(points), int(recalled[t]), total)
        for t in range(len(tolerances))
    ]


def _check_shapes(ours: np.ndarray, people: Sequence[np.ndarray]) -> None:
    shapes = sorted({theirs.shape for theirs in people})
    if shapes != [ours.shape]:
        raise InputError(
            f"a map of shape {ours.shape} came with people's of shapes {shapes}; pass one or more, of the photo's size"
        )


def _pairs(ours: np.ndarray, theirs: np.ndarray, reach: float) -> sp.coo_array:
    """(n, m) with an entry for each pair at most `reach` apart: their distance plus 1, so that no entry is zero."""
    shape = (len(ours), len(theirs))
    if 0 in shape:
        return sp.coo_array(shape)
    found = cKDTree(ours).sparse_distance_matrix(cKDTree(theirs), reach + 1e-9, output_type="ndarray")
    return sp.coo_array((found["v"] + 1, (found["i"], found["j"])), shape=shape)


def _matched(pairs: sp.coo_array, tolerance: float) -> np.ndarray:
    """(n,) bool, which of ours have a partner when as many as possible have one.

    The largest flow from a source through ours, pairs and theirs to a sink, one unit at most through each.
    SciPy's `maximum_bipartite_matching` gives as many, but takes a hundred times longer on lines beside each other.
    """
    n, m = pairs.shape
    near = pairs.data <= 1 + tolerance + 1e-9
    source, ours, theirs, sink = 0, 1 + np.arange(n), 1 + n + np.arange(m), 1 + n + m
    tails = np.concatenate([np.full(n, source), ours[pairs.row[near]], theirs])
    heads = np.concatenate([ours, theirs[pairs.col[near]], np.full(m, sink)])
    graph = sp.csr_array((np.ones(len(tails), dtype=np.int32), (tails, heads)), shape=(n + m + 2, n + m + 2))
    flow = maximum_flow(graph, source, sink, method="dinic").flow
    return np.asarray(flow[[source]].toarray()[0, ours] > 0)
