"""Synthetic labelled photos: coloured rectangles and discs, to try a training set-up without any data."""

from __future__ import annotations

import numpy as np

from softseg.training.datasets import Sample


class Shapes:
    """Discs and rectangles of random, clearly different colours on a background; photo `i` is always the same.

    Examples
    --------
    >>> sample = Shapes(3).load(0)
    >>> sample.image.shape, sample.labels.shape, sorted(set(sample.labels.ravel().tolist()))
    ((48, 64, 3), (48, 64), [0, 1, 2])
    """

    def __init__(self, count: int, shape: tuple[int, int] = (48, 64)) -> None:
        self.names = [f"shapes-{i}" for i in range(count)]
        self._shape = shape

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`: background 0, rectangle 1, disc 2."""
        own = np.random.default_rng(i)
        h, w = self._shape
        y, x = np.mgrid[0:h, 0:w]
        labels = np.zeros(self._shape, np.int32)
        top, left = own.integers(h // 4), own.integers(w // 4)
        labels[top : top + h // 2, left : left + w // 3] = 1
        cy, cx = own.uniform(0.4 * h, 0.7 * h), own.uniform(0.6 * w, 0.8 * w)
        labels[np.hypot(y - cy, x - cx) < min(h, w) / 4] = 2
        palette = np.array([[40, 40, 40], [220, 60, 60], [60, 200, 220]]) + own.integers(-30, 31, (3, 3))
        noisy = palette[labels] + own.normal(0, 4, (h, w, 3))
        return Sample(noisy.clip(0, 255).astype(np.uint8), labels, self.names[i])
