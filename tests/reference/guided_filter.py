"""The guided filter with a colour guide, window by window, as in He, Sun and Tang 2013, Sec. 3.5: slow and obvious."""

from __future__ import annotations

import numpy as np


def guided_filter_reference(image: np.ndarray, channel: np.ndarray, radius: int, regularization: float) -> np.ndarray:
    """(h, w) float64: one channel, filtered; windows are clipped to the image."""
    h, w = channel.shape
    a = np.zeros((h, w, 3))
    b = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            window = _window(y, x, radius)
            colors = image[window].reshape(-1, 3)
            values = channel[window].ravel()
            mean = colors.mean(axis=0)
            covariance = (colors - mean).T @ (colors - mean) / len(colors)
            with_values = (colors - mean).T @ (values - values.mean()) / len(colors)
            a[y, x] = np.linalg.solve(covariance + regularization * np.eye(3), with_values)  # Eq. (14)
            b[y, x] = values.mean() - a[y, x] @ mean  # Eq. (15)
    result = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            window = _window(y, x, radius)
            result[y, x] = a[window].reshape(-1, 3).mean(axis=0) @ image[y, x] + b[window].mean()  # Eq. (16)
    return result


def _window(y: int, x: int, radius: int) -> tuple[slice, slice]:
    return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)
