"""Hard clusters of the features, from which the constrained sparsification starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

_FITTED = 20_000  # pixels on which the centres are found; more does not move 40 centres in three dimensions
_ROUNDS = 30
_BLOCK = 512  # points compared at once, whose distances stay in the fastest cache
_STRIP = 1 << 15  # points that one thread takes at a time


def initial_clusters(features: np.ndarray, count: int = 40, *, seed: int = 0) -> np.ndarray:
    """k-means of the pixels in feature space; every pixel goes to its nearest centre.

    Parameters
    ----------
    features : (h, w, D) float array.
    count : clusters; fewer come out where there are fewer distinct features.
    seed : of the pixels and centres chosen at the start. One seed gives one result: nothing here depends on threads.

    Returns
    -------
    (h, w) int64 labels 0..m-1, m <= count, none empty.

    Notes
    -----
    Source: released implementation; Arthur and Vassilvitskii 2007 (k-means++).
    """
    h, w, depth = features.shape
    points = np.asarray(features, dtype=np.float64).reshape(-1, depth)
    labels = nearest(points, kmeans(points, count, seed=seed))
    names = np.cumsum(np.bincount(labels) > 0) - 1  # without the centres that are nearest to nothing
    return np.asarray(names[labels].reshape(h, w))


def kmeans(points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """(m, D) centres of at most `count` clusters of (n, D) points, fitted on at most 20,000 of them."""
    rng = np.random.default_rng(seed)
    if len(points) > _FITTED:
        points = points[np.sort(rng.choice(len(points), _FITTED, replace=False))]
    if len(np.unique(points[: 10 * count], axis=0)) <= count:  # else there is no need to sort them all
        distinct = np.unique(points, axis=0)
        if len(distinct) <= count:
            return distinct
    centers, labels = _spread_out(points, count, rng), np.full(len(points), -1)
    for _ in range(_ROUNDS):
        before, labels = labels, nearest(points, centers)
        if (labels == before).all():  # the rounds that are left would change nothing
            break
        sizes = np.bincount(labels, minlength=count)
        sums = np.stack([np.bincount(labels, weights=column, minlength=count) for column in points.T], axis=1)
        centers = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centers)
    return np.asarray(centers[np.unique(labels)])


def nearest(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """(n,) int64: which of the (m, D) centres is nearest to each of the (n, D) float64 points; the first of equals."""
    from softseg.segments.nearest_kernel import nearest_kernel  # brings the compiler along

    find, labels = nearest_kernel(), np.empty(len(points), np.int64)
    points, centers = np.ascontiguousarray(points), np.ascontiguousarray(centers)

    def work(first: int) -> None:
        strip = slice(first, first + _STRIP)
        find(points[strip], centers, np.empty((points.shape[1] + 1, _BLOCK)), labels[strip], np.empty(_BLOCK))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(work, first) for first in range(0, len(points), _STRIP)]:
            done.result()
    return labels


def _spread_out(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, D) points to start from: each at random, in proportion to its squared distance from those before it."""
    chosen = [points[rng.integers(len(points))]]
    apart = np.full(len(points), np.inf)
    while len(chosen) < count:
        apart = np.minimum(apart, ((points - chosen[-1]) ** 2).sum(axis=1))
        place = int(np.searchsorted((apart / apart.sum()).cumsum(), rng.uniform()))
        chosen.append(points[min(place, len(points) - 1)])  # the sum of the shares may be rounded to less than one
    return np.array(chosen)
