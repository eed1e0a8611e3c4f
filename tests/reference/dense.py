"""The three affinities, window by window and pair by pair, straight from the equations: slow and obvious."""

from __future__ import annotations

import itertools
import math

import numpy as np


def matting_affinity_reference(image: np.ndarray, epsilon: float) -> np.ndarray:
    """(N, N): Levin et al. 2008, Eq. (12), one 3 x 3 window after the other, with an explicit inverse."""
    h, w, _ = image.shape
    affinity = np.zeros((h * w, h * w))
    for top, left in itertools.product(range(h - 2), range(w - 2)):
        pixels = [(top + dy) * w + left + dx for dy in range(3) for dx in range(3)]
        colors = image.reshape(-1, 3)[pixels]
        mean = colors.mean(axis=0)
        covariance = (colors - mean).T @ (colors - mean) / 9
        inverse = np.linalg.inv(covariance + epsilon / 9 * np.eye(3))
        for a, i in enumerate(pixels):
            for b, j in enumerate(pixels):
                affinity[i, j] += (1 + (colors[a] - mean) @ inverse @ (colors[b] - mean)) / 9
    return affinity


def semantic_affinity_reference(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, N): erf(20 (0.15 - distance of the mean features)) between touching superpixels."""
    h, w = labels.shape
    affinity = np.zeros((h * w, h * w))
    for s, t in itertools.combinations(range(labels.max() + 1), 2):
        if touch(labels, s, t):
            distance = np.linalg.norm(_mean(features, labels, s) - _mean(features, labels, t))
            _join(affinity, labels, s, t, math.erf(20 * (0.15 - distance)))
    return affinity


def color_affinity_reference(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, N): (erf(50 (0.05 - distance of the mean colours)) + 1) / 2 between superpixels at most 0.2 apart."""
    h, w = labels.shape
    affinity = np.zeros((h * w, h * w))
    for s, t in itertools.combinations(range(labels.max() + 1), 2):
        (ys, xs), (yt, xt) = representative_pixel(labels, s), representative_pixel(labels, t)
        if math.hypot((ys - yt) / h, (xs - xt) / w) <= 0.2:
            distance = np.linalg.norm(_mean(image, labels, s) - _mean(image, labels, t))
            _join(affinity, labels, s, t, (math.erf(50 * (0.05 - distance)) + 1) / 2)
    return affinity


def representative_pixel(labels: np.ndarray, s: int) -> tuple[int, int]:
    """(y, x) of the centroid of superpixel `s`, halves rounded up.

    Coordinates are counted from one and divided by the area before they are added, column by column: which way a
    centroid half-way between two pixels goes depends on it.
    """
    xs, ys = np.nonzero((labels == s).T)
    y = x = 0.0
    for i in range(len(ys)):
        y += (ys[i] + 1) / len(ys)
        x += (xs[i] + 1) / len(xs)
    return math.floor(y + 0.5) - 1, math.floor(x + 0.5) - 1


def touch(labels: np.ndarray, s: int, t: int) -> bool:
    """Whether a pixel of `s` is one of the eight neighbours of a pixel of `t`."""
    h, w = labels.shape
    for y, x in zip(*np.nonzero(labels == s), strict=True):
        for dy, dx in itertools.product((-1, 0, 1), repeat=2):
            if 0 <= y + dy < h and 0 <= x + dx < w and labels[y + dy, x + dx] == t:
                return True
    return False


def _mean(channels: np.ndarray, labels: np.ndarray, s: int) -> np.ndarray:
    return channels[labels == s].mean(axis=0)


def _join(affinity: np.ndarray, labels: np.ndarray, s: int, t: int, value: float) -> None:
    w = labels.shape[1]
    (ys, xs), (yt, xt) = representative_pixel(labels, s), representative_pixel(labels, t)
    i, j = ys * w + xs, yt * w + xt
    if i != j:
        affinity[i, j] += value
        affinity[j, i] += value
