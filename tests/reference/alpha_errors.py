"""The errors of alpha mattes with loops over pixels: slow and obvious."""

from __future__ import annotations

import math

import numpy as np


def errors_reference(alpha: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> tuple[float, float, float, float]:
    """(SAD, MSE, gradient, connectivity), sums in thousands."""
    pixels = [(y, x) for y, x in np.ndindex(truth.shape) if mask[y, x]]
    slopes = gradient_reference(alpha) - gradient_reference(truth)
    degrees = connectedness_reference(alpha, truth) - connectedness_reference(truth, alpha)
    return (
        sum(abs(alpha[p] - truth[p]) for p in pixels) / 1000,
        sum((alpha[p] - truth[p]) ** 2 for p in pixels) / len(pixels),
        sum(slopes[p] ** 2 for p in pixels) / 1000,
        sum(abs(degrees[p]) for p in pixels) / 1000,
    )


def gradient_reference(alpha: np.ndarray) -> np.ndarray:
    """(h, w): every pixel's 9 x 9 neighbourhood, borders repeated, weighted by the derivative of a Gaussian."""

    def gauss(t: float) -> float:
        return math.exp(-(t**2) / (2 * 1.4**2)) / (1.4 * math.sqrt(2 * math.pi))

    half = math.ceil(1.4 * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * 1.4 * 0.01)))
    taps = range(-half, half + 1)
    kernel = np.array([[gauss(v) * -u * gauss(u) / 1.4**2 for u in taps] for v in taps])  # along x
    kernel /= math.sqrt((kernel**2).sum())
    h, w = alpha.shape
    padded = np.pad(alpha, half, mode="edge")
    result = np.zeros((h, w))
    for y, x in np.ndindex(h, w):
        patch = padded[y : y + 2 * half + 1, x : x + 2 * half + 1]
        result[y, x] = math.sqrt((patch * kernel).sum() ** 2 + (patch * kernel.T).sum() ** 2)
    return result


def connectedness_reference(alpha: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(h, w) degree of connectedness of `alpha`, with the source that it shares with `other`."""
    result = np.zeros(alpha.shape)
    sources = [largest_region((alpha >= tenth / 10) & (other >= tenth / 10)) for tenth in range(1, 11)]
    for p in np.ndindex(alpha.shape):
        level = 0
        while level < 10 and p in sources[level]:
            level += 1
        distance = alpha[p] - level / 10
        result[p] = 1 - (distance if distance >= 0.15 else 0)
    return result


def largest_region(mask: np.ndarray) -> set[tuple[int, int]]:
    """Pixels of the largest region connected by four neighbours, found by walking."""
    left = {(y, x) for y, x in np.ndindex(mask.shape) if mask[y, x]}
    best: set[tuple[int, int]] = set()
    while left:
        start = min(left)
        left.discard(start)
        region, border = {start}, [start]
        while border:
            y, x = border.pop()
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if neighbour in left:
                    left.discard(neighbour)
                    region.add(neighbour)
                    border.append(neighbour)
        if len(region) > len(best):
            best = region
    return best
