"""What lies between two soft segments: how much colours and features change across their common border."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

_FEWEST = 10  # pairs of pixels; fewer are no border


class Borders:
    """Sums over the pixels on two sides of each border, which add up when segments are merged.

    Source: here. The contrast along a common border is the idea of hierarchies of contours (Arbelaez et al. 2011).
    """

    def __init__(self, pairs: np.ndarray, colors: np.ndarray, features: np.ndarray) -> None:
        self.pairs = pairs  # (m, m) how many pairs of pixels
        self.colors = colors  # (m, m) sum of their differences
        self.features = features

    @classmethod
    def between(cls, labels: np.ndarray, count: int, image: np.ndarray, features: np.ndarray, reach: int) -> Borders:
        """The borders of (h, w) labels < count: pixels `reach` apart, in (h, w, 3) colours and (h, w, D) features."""
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
        squares = sums.reshape(3, count, count)
        return cls(*(squares + squares.transpose(0, 2, 1)))

    def among(self, chosen: list[int]) -> Borders:
        """The borders among some of the segments."""
        some = np.ix_(chosen, chosen)
        return Borders(self.pairs[some], self.colors[some], self.features[some])

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

    def merge(self, kept: int, gone: int) -> None:
        """Segment `gone` becomes a part of segment `kept`, and their common border vanishes."""
        for sums in (self.pairs, self.colors, self.features):
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


def _apart(values: np.ndarray, reach: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The values `reach` pixels apart along an axis; none where the photo is smaller. Views."""
    length = max(values.shape[axis] - reach, 0)
    ahead = (slice(None),) * axis
    return values[(*ahead, slice(0, length))], values[(*ahead, slice(values.shape[axis] - length, None))]


def _channels(values: np.ndarray, reach: int, axis: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Channel by channel, which needs less memory."""
    return [_apart(values[..., channel], reach, axis) for channel in range(values.shape[2])]
