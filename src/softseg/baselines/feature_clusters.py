"""The hard segmentation that the same features give without the graph: what the layers have to be better than."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from softseg.errors import InputError
from softseg.images import check_map
from softseg.segments.clusters import kmeans

_STARTS = 10  # of k-means; the best counts, so that nothing is won against an unlucky baseline
_FITTED = 20_000  # pixels on which all the starts are fitted and compared


def feature_clusters(features: np.ndarray, layers: int, *, seed: int = 0) -> np.ndarray:
    """k-means of the pixels in feature space, as a hard segmentation: every pixel goes to its nearest centre.

    Minimises ``sum_p min_k |f_p - c_k|^2`` over the centres c_k. The centres are the best of ten starts.

    Parameters
    ----------
    features : (h, w, D) float array; the three projected semantic features in [0, 1] (`softseg.features.project`) for
        the comparison with the layers made from them.
    layers : number of clusters, at least 1.
    seed : of the pixels and centres chosen at the start. One seed gives one result.

    Returns
    -------
    (h, w) int64 labels 0..m-1, the largest cluster first, none empty. m = `layers`, or fewer where that many cannot be
    told apart: not more than there are distinct features.

    Raises
    ------
    InputError : the features are not a finite (h, w, D) array, or `layers` is not a whole number from 1.

    Notes
    -----
    Sources: Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++). The clusters need not be connected, as the soft
    layers need not.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.zeros((2, 3, 3))
    >>> features[:, 0] = 1
    >>> feature_clusters(features, 2).tolist()
    [[1, 0, 0], [1, 0, 0]]
    """
    if not isinstance(layers, int | np.integer) or layers < 1:
        raise InputError(f"{layers!r} layers were asked for: choose a whole number from 1")
    if np.ndim(features) != 3:
        raise InputError(f"the features have shape {np.shape(features)}, expected (h, w, D): a vector for every pixel")
    h, w, depth = np.shape(features)
    points = check_map(features, (h, w), "features").reshape(-1, depth)
    nearest = cKDTree(best_centers(points, int(layers), seed)).query(points)[1]
    labels = np.unique(nearest, return_inverse=True)[1].reshape(-1)
    rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"), kind="stable")
    return np.asarray(rank[labels].reshape(h, w), dtype=np.int64)


def best_centers(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(m, D) centres of (n, D) points: of ten runs of k-means the one with the most clusters, m <= count.

    Among runs with as many clusters the least sum of squared distances decides.
    """
    if len(points) > _FITTED:
        points = points[np.sort(np.random.default_rng(seed).choice(len(points), _FITTED, replace=False))]
    runs = [kmeans(points, count, seed=_STARTS * seed + start) for start in range(_STARTS)]
    return min(runs, key=lambda centers: (-len(centers), float((cKDTree(centers).query(points)[0] ** 2).sum())))
