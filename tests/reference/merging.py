"""Borders and nested groupings by their formulas, pixel by pixel, everything computed anew after every merge."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from softseg.settings import GroupingSettings


def mean_share(labels: np.ndarray, boundaries: np.ndarray, a: int, b: int) -> float:
    """Mean, over neighbouring pixels of a and b, of the largest share within a cell of the nearest one; 1 if none."""
    values = []
    for y, x in np.ndindex(labels.shape):
        for v, u in ((y + 1, x), (y, x + 1)):
            if v < labels.shape[0] and u < labels.shape[1] and {int(labels[y, x]), int(labels[v, u])} == {a, b}:
                values.append(_largest_near(boundaries, y, x, labels.shape))
    return float(np.mean(values)) if values else 1.0


def contrast(labels: np.ndarray, values: np.ndarray, a: int, b: int, reach: int, unseen: float) -> float:
    """Mean difference of the values of pixels `reach` apart, one of a and one of b; `unseen` for fewer than ten."""
    differences = []
    for y, x in np.ndindex(labels.shape):
        for v, u in ((y + reach, x), (y, x + reach)):
            if v < labels.shape[0] and u < labels.shape[1] and {int(labels[y, x]), int(labels[v, u])} == {a, b}:
                differences.append(np.linalg.norm(values[y, x] - values[v, u]))
    return float(np.mean(differences)) if len(differences) >= 10 else unseen


def merges(
    labels: np.ndarray,
    image: np.ndarray,
    features: np.ndarray,
    boundaries: np.ndarray,
    settings: GroupingSettings,
) -> tuple[list[tuple[int, int]], list[float]]:
    """Which labels become one, in order, and the cost of each merge."""
    labels = labels.copy()
    reach = max(1, round(settings.reach * max(labels.shape)))
    smooth = gaussian_filter(image, (reach / 3, reach / 3, 0), mode="nearest")
    order, costs = [], []
    while len(alive := np.unique(labels)) > 1:
        best = (np.inf, -1, -1)
        for i, a in enumerate(alive.tolist()):
            for b in alive[i + 1 :].tolist():
                one, two = labels == a, labels == b
                f = np.linalg.norm(features[one].mean(axis=0) - features[two].mean(axis=0))
                c = np.linalg.norm(image[one].mean(axis=0) - image[two].mean(axis=0))
                color = contrast(labels, smooth, a, b, reach, c + settings.unseen_contrast)
                feature = contrast(labels, features, a, b, reach, f)
                seen = max(mean_share(labels, boundaries, a, b), min(f / settings.unlike, 1))
                drawn = (seen + settings.least_share) / (1 + settings.least_share)
                contrasts = (color + settings.least_contrast) * (feature + settings.least_contrast)
                unlikeness = f * np.sqrt(contrasts) * drawn**settings.boundary_exponent
                p = unlikeness / (unlikeness + settings.apart)
                w = one.mean() * two.mean() / (one.mean() + two.mean())
                best = min(best, (p * w**settings.area_exponent - settings.joining * (1 - p) * w, a, b))
        order.append(best[1:])
        costs.append(best[0])
        labels[labels == best[2]] = best[1]
    return order, costs


def _largest_near(boundaries: np.ndarray, y: int, x: int, shape: tuple[int, ...]) -> float:
    """The largest of 3 x 3 cells around the one nearest to a pixel; the first and the last cell are on the ends."""
    row, column = (
        int(np.rint(i * (cells - 1) / max(n - 1, 1)))
        for i, cells, n in zip((y, x), boundaries.shape, shape, strict=True)
    )
    return float(boundaries[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max())
