"""How well the regions of a label map agree with those that people have drawn: covering, Rand index, information.

All three are read from contingency tables, one for each person: how many pixels lie in region i of the labels and in
region j of the truth. The conventions are those of the BSDS 500 benchmark, so that numbers compare with published ones.

- *Covering* of the truth by the labels: for every true region the best intersection over union with a region of the
  labels, averaged with the areas of the true regions as weights. The regions of all people go into one such average,
  and over a data set the sums above and below the fraction line are added up before the division.
- *Probabilistic Rand index*: the share of pairs of pixels that labels and truth treat alike, both in one region or both
  in two; mean over people, then over photos.
- *Variation of information*: ``H(labels | truth) + H(truth | labels)`` in bits; mean over people, then over photos.

Source: Arbelaez, Maire, Fowlkes, Malik: Contour Detection and Hierarchical Image Segmentation, TPAMI 2011, Sec. 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softseg.errors import InputError


@dataclass(frozen=True)
class RegionErrors:
    """The three measures of one label map against one or more people.

    covered : sum over all true regions of area times best intersection over union, in pixels.
    area : of all true regions, in pixels; the covering is `covered / area`.
    rand_index : probabilistic Rand index, in [0, 1], 1 is best.
    information : variation of information in bits, 0 is best.
    """

    covered: float
    area: float
    rand_index: float
    information: float

    @property
    def covering(self) -> float:
        """In [0, 1], 1 is best."""
        return self.covered / self.area


def region_errors(labels: np.ndarray, truths: Sequence[np.ndarray]) -> RegionErrors:
    """All three measures, from one contingency table for each person.

    Parameters
    ----------
    labels : (h, w) or (N,) whole numbers, equal numbers are one region.
    truths : one or more label maps of the same shape. Pixels with a negative truth have no region and count nowhere.

    Raises
    ------
    InputError : there is no truth, it has another shape, or fewer than two of its pixels have a region.

    Examples
    --------
    >>> import numpy as np
    >>> halves, quarters = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    >>> errors = region_errors(quarters, [halves])
    >>> errors.covering, round(errors.rand_index, 3), errors.information
    (0.5, 0.667, 1.0)
    """
    if not truths:
        raise InputError("no truth was given to score the regions against; pass one label map or more")
    tables = [contingency(labels, truth) for truth in truths]
    coverings = [_covered(table) for table in tables]
    return RegionErrors(
        covered=sum(covered for covered, _ in coverings),
        area=sum(area for _, area in coverings),
        rand_index=float(np.mean([_rand_index(table) for table in tables])),
        information=float(np.mean([_information(table) for table in tables])),
    )


def covering(labels: np.ndarray, truths: Sequence[np.ndarray]) -> float:
    """Segmentation covering of the truth by the labels, in [0, 1]. See `region_errors`.

    ``sum_R |R| max_S (|R & S| / |R | S|) / sum_R |R|`` over the true regions R of all people, S those of `labels`.

    Examples
    --------
    >>> import numpy as np
    >>> covering(np.array([0, 0, 0, 0]), [np.array([0, 1, 1, 1])])
    0.625
    """
    return region_errors(labels, truths).covering


def probabilistic_rand_index(labels: np.ndarray, truths: Sequence[np.ndarray]) -> float:
    """Share of pairs of pixels that labels and truth treat alike, mean over people, in [0, 1]. See `region_errors`.

    ``1 - (sum_i a_i^2 / 2 + sum_j b_j^2 / 2 - sum_ij n_ij^2) / (N (N - 1) / 2)`` with the table n and its sums a and b.

    Examples
    --------
    >>> import numpy as np
    >>> probabilistic_rand_index(np.array([0, 0, 0]), [np.array([0, 0, 0]), np.array([0, 1, 2])])
    0.5
    """
    return region_errors(labels, truths).rand_index


def variation_of_information(labels: np.ndarray, truths: Sequence[np.ndarray]) -> float:
    """Bits that labels and truth do not tell of each other, ``2 H(L, T) - H(L) - H(T)``, mean over people.

    A metric between partitions, from 0 to ``log2 N`` bits. See `region_errors`.

    Examples
    --------
    >>> import numpy as np
    >>> variation_of_information(np.array([0, 0, 1, 1]), [np.array([0, 1, 0, 1])])
    2.0
    """
    return region_errors(labels, truths).information


def contingency(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(m, n) int64: pixels in region i of the labels and region j of the truth; none of its rows or columns is empty.

    Raises
    ------
    InputError : the shapes differ, the numbers are not whole, or fewer than two pixels have a region.
    """
    if labels.shape != truth.shape:
        raise InputError(
            f"labels of shape {labels.shape} came with a truth of {truth.shape}; score a label map against the truth "
            "of its own photo"
        )
    if labels.dtype.kind not in "iub" or truth.dtype.kind not in "iub":
        raise InputError(f"label maps of {labels.dtype} and {truth.dtype} came; expected whole numbers")
    known = (truth >= 0).ravel()
    if np.count_nonzero(known) < 2:
        raise InputError("fewer than two pixels of the truth have a region; leave this photo out")
    rows, m = _numbered(labels.ravel()[known])
    columns, n = _numbered(truth.ravel()[known])
    table = np.bincount(rows * n + columns, minlength=m * n).reshape(m, n)
    return table[table.any(axis=1)][:, table.any(axis=0)]


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """The same regions with small numbers from 0, as int64, and how many numbers there may be."""
    least, most = int(labels.min()), int(labels.max())
    if most - least < 1024:  # a table with some empty rows costs less than sorting the pixels
        return labels.astype(np.int64) - least, most - least + 1
    names, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(-1), len(names)


def _covered(table: np.ndarray) -> tuple[float, float]:
    """(area times best intersection over union summed over true regions, their area)."""
    areas = table.sum(axis=0)
    unions = table.sum(axis=1, keepdims=True) + areas - table
    return float(areas @ (table / unions).max(axis=0)), float(areas.sum())


def _rand_index(table: np.ndarray) -> float:
    """1 - the share of pairs that are together in one of the two only."""
    squares = table.astype(np.float64) ** 2  # a square of pixels may be past int64 in a sum
    pixels = float(table.sum())
    rows, columns = (table.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
    differing = (rows @ rows + columns @ columns) / 2 - squares.sum()
    return float(1 - differing / (pixels * (pixels - 1) / 2))


def _information(table: np.ndarray) -> float:
    """2 H(labels, truth) - H(labels) - H(truth), in bits; rounding does not take it below 0."""
    both = _entropy(table[table > 0])
    return max(0.0, 2 * both - _entropy(table.sum(axis=1)) - _entropy(table.sum(axis=0)))


def _entropy(counts: np.ndarray) -> float:
    """Bits; `counts` are all above 0."""
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
