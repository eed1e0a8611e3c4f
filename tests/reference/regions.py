"""Regions of superpixels by their formula: after every merge, all means, borders and costs from the pixels again."""

from __future__ import annotations

import numpy as np

from tests.reference.merging import mean_share


def merged_regions(
    labels: np.ndarray, features: np.ndarray, image: np.ndarray, count: int, boundaries: np.ndarray | None
) -> np.ndarray:
    """(h, w) labels, the smallest superpixel of each region; of two merges of one cost, any."""
    regions = labels.copy()
    while True:
        costs = {pair: _cost(regions, features, image, boundaries, *pair) for pair in _touching(regions)}
        if not costs or (len(np.unique(regions)) <= count and min(costs.values()) > 1e-20):
            return regions
        a, b = min(costs, key=lambda pair: costs[pair])
        regions[regions == b] = a


def _cost(
    regions: np.ndarray, features: np.ndarray, image: np.ndarray, boundaries: np.ndarray | None, a: int, b: int
) -> float:
    one, two = regions == a, regions == b
    weight = one.mean() * two.mean() / (one.mean() + two.mean())
    feature = np.linalg.norm(features[one].mean(axis=0) - features[two].mean(axis=0))
    color = np.linalg.norm(image[one].mean(axis=0) - image[two].mean(axis=0))
    share = 1.0 if boundaries is None else mean_share(regions, boundaries, a, b)
    return float(weight**1.5 * feature**2 * np.sqrt(color + 0.02) * ((share + 0.05) / 1.05) ** 2)


def _touching(regions: np.ndarray) -> set[tuple[int, int]]:
    sides = (regions[:-1], regions[1:]), (regions[:, :-1], regions[:, 1:])
    return {
        (min(a, b), max(a, b))
        for one, two in sides
        for a, b in zip(one.ravel().tolist(), two.ravel().tolist(), strict=True)
        if a != b
    }
