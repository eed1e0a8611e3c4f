"""What lies between two soft segments: how colours and features change there, and whether people see a boundary."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter

_FEWEST = 10  # pairs of pixels; fewer are no border


class Borders:
    """Sums over the pixels on two sides of each border, which add up when segments are merged.

    Source: here. The contrast along a common border, and the mean probability of a boundary along it, are the idea of
    hierarchies of contours (Arbelaez et al. 2011).
    """

    def __init__(
        self, pairs: np.ndarray, colors: np.ndarray, features: np.ndarray, lengths: np.ndarray, shares: np.ndarray
    ) -> None:
        self.pairs = pairs  # (m, m) how many pairs of pixels, some way apart
        self.colors = colors  # (m, m) sum of their differences
        self.features = features
        self.lengths = lengths  # (m, m) how many pairs of neighbouring pixels
        self.shares = shares  # (m, m) sum of the shares of people who see a boundary there

    @classmethod
    def between(
        cls,
        labels: np.ndarray,
        count: int,
        image: np.ndarray,
        features: np.ndarray,
        reach: int,
        boundaries: np.ndarray | None = None,
    ) -> Borders:
        """The borders of (h, w) labels < count: pixels `reach` apart, in (h, w, 3) colours and (h, w, D) features.

        `boundaries` is a (y, x) map, spread evenly over the photo, of where people see one; None: they see all borders.
        """
        colors = _smoothed(image, reach / 3)
        sums = np.zeros((3, count * count))
        for axis in (0, 1):
            one, two = _apart(labels, reach, axis)
            place = (one * count + two).ravel()
            crossing = (one != two).ravel()
            for total, values in ((sums[1], colors), (sums[2], features)):
                difference = np.sqrt(sum((a - b) ** 2 for a, b in _channels(values, reach, axis))).ravel()
                total += np.bincount(place[crossing], difference[crossing], minlength=count * count)
            sums[0] += np.bincount(place[crossing], minlength=count * count)
        sums = np.concatenate([sums, _along(labels, count, boundaries)])
        squares = sums.reshape(5, count, count)
        return cls(*(squares + squares.transpose(0, 2, 1)))

    def among(self, chosen: list[int]) -> Borders:
        """The borders among some of the segments."""
        some = np.ix_(chosen, chosen)
        return Borders(*(sums[some] for sums in vars(self).values()))

    def contrast(self, color_distance: np.ndarray, feature_distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, m) mean differences of colours and of features across each border.

        Where two segments do not touch there is none to be seen, and the given (m, m) distances stand in.
        """
        touching = self.pairs >= _FEWEST
        number = np.maximum(self.pairs, 1)
        return (
            np.where(touching, self.colors / number, color_distance),
            np.where(touching, self.features / number, feature_distance),
        )

    def seen(self) -> np.ndarray:
        """(m, m) mean share of people who see a boundary along each border; 1 where two segments do not touch."""
        return np.where(self.lengths > 0, self.shares / np.maximum(self.lengths, 1), 1.0)

    def merge(self, kept: int, gone: int) -> None:
        """Segment `gone` becomes a part of segment `kept`, and their common border vanishes."""
        for sums in vars(self).values():
            sums[kept] += sums[gone]
            sums[:, kept] += sums[:, gone]
            sums[gone] = sums[:, gone] = 0
            sums[kept, kept] = 0


def _smoothed(image: np.ndarray, deviation: float) -> np.ndarray:
    """(h, w, 3) Gaussian means; channel by channel, each on a thread and consecutive in memory."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        planes = pool.map(
            lambda channel: gaussian_filter(np.ascontiguousarray(image[..., channel]), deviation, mode="nearest"),
            range(image.shape[2]),
        )
        return np.moveaxis(np.stack(list(planes)), 0, 2)


def _along(labels: np.ndarray, count: int, boundaries: np.ndarray | None) -> np.ndarray:
    """(2, count^2): how many neighbouring pixels have two labels, and the sum of the shares there."""
    one, two, shares = shares_along(labels, boundaries)
    place = one * count + two
    return np.stack([np.bincount(place, weights, minlength=count * count) for weights in (None, shares)])


def shares_along(labels: np.ndarray, boundaries: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both labels of each two neighbouring pixels of (h, w) `labels` that differ, and the share of people there.

    `boundaries` is a (y, x) map of the shares of people who see a boundary, spread evenly over the photo; None: all do.
    """
    # A border of segments runs a few pixels beside what a person has drawn: the largest of 3 x 3 cells.
    wide = np.ones((1, 1)) if boundaries is None else maximum_filter(boundaries, 3)
    rows, columns = (_nearest(n, cells) for n, cells in zip(labels.shape, wide.shape, strict=True))
    found = []
    for axis in (0, 1):
        one, two = _apart(labels, 1, axis)
        y, x = np.nonzero(one != two)
        found.append((one[y, x], two[y, x], wide[rows[y], columns[x]]))
    one, two, shares = (np.concatenate(values) for values in zip(*found, strict=True))
    return one, two, shares


def _nearest(length: int, cells: int) -> np.ndarray:
    """The nearest of so many cells, the first and the last on the ends, for each of `length` pixels."""
    return np.rint(np.linspace(0, cells - 1, length)).astype(np.intp)


def _apart(values: np.ndarray, reach: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The values `reach` pixels apart along an axis; none where the photo is smaller. Views."""
    length = max(values.shape[axis] - reach, 0)
    ahead = (slice(None),) * axis
    return values[(*ahead, slice(0, length))], values[(*ahead, slice(values.shape[axis] - length, None))]


def _channels(values: np.ndarray, reach: int, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Channel by channel, which needs less memory."""
    return [_apart(values[..., channel], reach, axis) for channel in range(values.shape[2])]
