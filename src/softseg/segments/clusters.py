"""Hard clusters of the features, from which the constrained sparsification may start, as in the paper."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

_FITTED = 20_000  # pixels on which the centres are found; more does not move 40 centres in three dimensions
_ROUNDS = 30


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
    centers = kmeans(points, count, seed=seed)
    nearest = cKDTree(centers).query(points, workers=torch.get_num_threads())[1]
    names = np.cumsum(np.bincount(nearest) > 0) - 1  # without the centres that are nearest to nothing
    return np.asarray(names[nearest].reshape(h, w))


def kmeans(points: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """(m, D) centres of at most `count` clusters of (n, D) points, fitted on at most 20,000 of them."""
    rng = np.random.default_rng(seed)
    if len(points) > _FITTED:
        points = points[np.sort(rng.choice(len(points), _FITTED, replace=False))]
    if len(np.unique(points[: 10 * count], axis=0)) <= count:  # else there is no need to sort them all
        distinct = np.unique(points, axis=0)
        if len(distinct) <= count:
            return distinct
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "One of the clusters is empty": it is left out below
        centers, labels = kmeans2(points, count, iter=_ROUNDS, minit="++", seed=rng)
    return np.asarray(centers[np.unique(labels)])
