"""Connected regions of one meaning, from which the constrained sparsification starts."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import dist, sqrt

import numpy as np

from softseg.checks import check_boundaries, check_image, check_labels, check_map
from softseg.errors import InputError
from softseg.graph.superpixels import superpixel_means
from softseg.segments.borders import shares_along

_LEAST_SHARE = 0.05  # here, as GroupingSettings.least_share: below it the map hardly tells borders apart
_LEAST_COLOR = 0.02  # here: of what has one colour, too, the features tell parts apart
_SAME = 1e-20  # the cost of regions that differ by rounding only


def initial_regions(
    labels: np.ndarray,
    features: np.ndarray,
    image: np.ndarray,
    count: int = 60,
    *,
    boundaries: np.ndarray | None = None,
) -> np.ndarray:
    """Merge superpixels that touch into `count` regions, those first whose union costs least.

    The cost of merging regions a and b is nearly what the variance of the features rises by (Ward 1963), times what can
    be seen between the two,

        ``w^1.5 |f_a - f_b|^2 sqrt(|c_a - c_b| + 0.02) ((b_ab + 0.05) / 1.05)^2``, ``w = w_a w_b / (w_a + w_b)``,

    w_a and w_b their areas, f and c their mean features and colours, b_ab the mean share of people who would draw their
    border. With Ward's w in place of w^1.5 more regions are small things, which the eigenvectors cannot hold.

    Parameters
    ----------
    labels : (h, w) integers, superpixels 0..m-1, each connected, none of them empty.
    features : (h, w, D) float array, usually D = 3 in [0, 1].
    image : (h, w, 3) float array in [0, 1], the photo.
    count : regions; fewer where there are fewer superpixels, or where touching ones have the same features.
    boundaries : (y, x) map of shares in [0, 1], spread evenly over the photo, of `softseg.features.boundary_map`. None:
        every border counts alike.

    Returns
    -------
    (h, w) int64 labels 0..n-1, each a connected region; in the order of their first superpixels. Nothing is random.

    Raises
    ------
    InputError, ImageError : the arrays do not belong together or are not what is said here, or `count` is below 1.

    Notes
    -----
    Source: here; docs/method.md, Start. The paper starts from k-means of the features
    (`softseg.segments.initial_clusters`), which does not see borders, and takes things far apart for one.

    Examples
    --------
    >>> photo = np.repeat(np.repeat([[0.1, 0.9, 0.2]], 4, axis=1), 4, axis=0)[..., None] * np.ones(3)
    >>> initial_regions(np.arange(48).reshape(4, 12), photo, photo)[0].tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    """
    labels, image = check_labels(labels), check_image(image, shape=np.shape(labels))
    features = check_map(features, labels.shape, "features")
    if boundaries is not None:
        boundaries = check_boundaries(boundaries)
    if not isinstance(count, int | np.integer) or count < 1:
        raise InputError(f"{count!r} regions were asked for; choose a whole number from 1")
    regions = _Regions(labels, features, image, boundaries)
    queue = [(regions.cost(a, b), a, b, 0, 0) for a, borders in enumerate(regions.borders) for b in borders if a < b]
    heapify(queue)
    left = len(regions.areas)
    while queue and (left > count or queue[0][0] <= _SAME):
        _, a, b, age_a, age_b = heappop(queue)
        if (age_a, age_b) != (regions.ages[a], regions.ages[b]):
            continue  # one of them has changed since
        kept = regions.merge(a, b)
        left -= 1
        for other in regions.borders[kept]:
            low, high = min(kept, other), max(kept, other)
            heappush(queue, (regions.cost(low, high), low, high, regions.ages[low], regions.ages[high]))
    names = np.unique(regions.first_members(), return_inverse=True)[1].reshape(-1)
    return np.asarray(names[labels], dtype=np.int64)


class _Regions:
    """What merging needs to know of each region; that of a and b goes by the name of one of them."""

    def __init__(
        self, labels: np.ndarray, features: np.ndarray, image: np.ndarray, boundaries: np.ndarray | None
    ) -> None:
        areas = np.bincount(labels.ravel())
        # Plain numbers and tuples: Python is faster with them than with small arrays.
        self.areas: list[float] = (areas / labels.size).tolist()
        self.features = [tuple(mean) for mean in superpixel_means(features, labels).tolist()]
        self.colors = [tuple(mean) for mean in superpixel_means(image, labels).tolist()]
        # For each region its neighbours: how many pairs of pixels lie on the two sides, and the sum of the shares.
        self.borders: list[dict[int, tuple[float, float]]] = [{} for _ in areas]
        self.ages = [0] * len(areas)  # how often each has changed
        self._parents = list(range(len(areas)))
        one, two, shares = shares_along(labels, boundaries)
        pairs = np.minimum(one, two) * len(areas) + np.maximum(one, two)
        distinct, which = np.unique(pairs, return_inverse=True)
        sums = zip(*np.divmod(distinct, len(areas)), np.bincount(which), np.bincount(which, shares), strict=True)
        for a, b, length, total in sums:
            self.borders[int(a)][int(b)] = self.borders[int(b)][int(a)] = (float(length), float(total))

    def cost(self, a: int, b: int) -> float:
        """Of merging two regions that touch."""
        length, shares = self.borders[a][b]
        weight = self.areas[a] * self.areas[b] / (self.areas[a] + self.areas[b])
        drawn = (shares / length + _LEAST_SHARE) / (1 + _LEAST_SHARE)
        # Measured: the powers, by the covering of training photos and the number of segments left. docs/quality.md
        color = sqrt(dist(self.colors[a], self.colors[b]) + _LEAST_COLOR)
        return float(weight**1.5 * dist(self.features[a], self.features[b]) ** 2 * color * drawn**2)

    def merge(self, a: int, b: int) -> int:
        """Make one of the two a part of the other, whose name is given back."""
        kept, gone = (a, b) if len(self.borders[a]) >= len(self.borders[b]) else (b, a)  # fewer borders to move
        both = self.areas[kept] + self.areas[gone]
        for means in (self.features, self.colors):
            pairs = zip(means[kept], means[gone], strict=True)
            means[kept] = tuple((self.areas[kept] * x + self.areas[gone] * y) / both for x, y in pairs)
        self.areas[kept] = both
        del self.borders[kept][gone]
        for other, (length, shares) in self.borders[gone].items():
            if other != kept:
                del self.borders[other][gone]
                before = self.borders[kept].get(other, (0.0, 0.0))
                common = (before[0] + length, before[1] + shares)
                self.borders[kept][other] = self.borders[other][kept] = common
        self.borders[gone] = {}
        self._parents[gone] = kept
        for changed in (kept, gone):
            self.ages[changed] += 1
        return kept

    def first_members(self) -> np.ndarray:
        """(m,) the first superpixel of the region of each."""
        found = np.array(self._parents)
        while not np.array_equal(found, found[found]):
            found = found[found]
        first, region = np.unique(found, return_index=True, return_inverse=True)[1:]
        return np.asarray(first[region.reshape(-1)])
