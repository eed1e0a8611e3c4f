"""Grouping: soft segments that mean the same become one layer."""

from __future__ import annotations

import numpy as np

from softseg.errors import ConvergenceError, InputError
from softseg.segments.clusters import kmeans
from softseg.settings import Grouping


def group(
    segments: np.ndarray, features: np.ndarray, layers: int, method: Grouping = "agglomerative", *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Add up the soft segments whose alpha-weighted mean features are alike.

    ``f_s = sum_p alpha_sp f_p / sum_p alpha_sp``; the f_s are clustered and ``layer_k = sum of its segments``.

    Parameters
    ----------
    segments : (m, N) or (m, h, w) float array, summing to one over m at every pixel.
    features : (h, w, D) or (N, D) float array, usually D = 3 in [0, 1].
    layers : number of layers K, 1 <= K <= m.
    method : "agglomerative" (default) is deterministic and nested: K + 1 layers are K layers with one of them split.
        "kmeans" is the paper's choice.
    seed : start of k-means; not used by "agglomerative".

    Returns
    -------
    layers : (K, N) float64 array, largest area first.
    clusters : (m,) int array, the layer of each segment.

    Raises
    ------
    InputError : the arrays do not belong together, or there are fewer segments than layers asked for.

    Notes
    -----
    Source: Aksoy et al. 2018, Sec. 3.5. Differs in: 1. Agglomerative merging by the smallest increase of
    the area-weighted variance (Ward 1963), because k-means on some 25 points flips between nearly equal groupings.

    Examples
    --------
    >>> import numpy as np
    >>> segments = np.repeat(np.eye(3), 2, axis=1)
    >>> features = np.array([0.0, 0.0, 0.1, 0.1, 1.0, 1.0])[:, None]
    >>> group(segments, features, 2)[1].tolist()
    [0, 0, 1]
    """
    segments = np.asarray(segments, dtype=np.float64).reshape(len(segments), -1)
    points = np.asarray(features, dtype=np.float64).reshape(-1, np.shape(features)[-1])
    if len(points) != segments.shape[1]:
        raise InputError(f"features {np.shape(features)} hold {len(points)} pixels, the segments {segments.shape[1]}.")
    if not 1 <= layers <= len(segments):
        raise InputError(
            f"{layers} layers were asked for, but the photo came apart into {len(segments)} soft segments; "
            f"ask for 1 to {len(segments)} layers."
        )
    if method not in ("agglomerative", "kmeans"):
        raise InputError(f"Grouping is 'agglomerative' or 'kmeans', not {method!r}.")
    area = segments.sum(axis=1)
    # Differs from the paper in: 2. Alphas are cut to [0, 1] for the mean. Soft segments that leave it a little can
    # have an area of nearly zero, and their mean would lie anywhere.
    weights = np.clip(segments, 0, 1)
    mass = weights.sum(axis=1)
    means = (weights @ points) / np.maximum(mass, 1e-9)[:, None]
    labels = _kmeans(means, layers, seed) if method == "kmeans" else merge_tree(means, mass).cut(layers)
    sizes = np.bincount(labels, weights=area, minlength=layers)
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    clusters = rank[labels]
    return (clusters == np.arange(layers)[:, None]).astype(np.float64) @ segments, clusters


class MergeTree:
    """The nested groupings of m points: which two clusters became one, in order."""

    def __init__(self, merges: list[tuple[int, int]]) -> None:
        self.merges = merges  # clusters are named by their smallest member

    def cut(self, clusters: int) -> np.ndarray:
        """(m,) cluster 0..clusters-1 of each point."""
        labels = np.arange(len(self.merges) + 1)
        for kept, gone in self.merges[: len(labels) - clusters]:
            labels[labels == gone] = kept
        return np.unique(labels, return_inverse=True)[1].reshape(-1)


def merge_tree(points: np.ndarray, weights: np.ndarray) -> MergeTree:
    """Merge the two clusters whose union raises the weighted variance least, until one is left (Ward 1963).

    The cost of merging clusters a and b is ``w_a w_b / (w_a + w_b) ||mean_a - mean_b||^2``. Ties go to the first pair.
    `points` is (m, D), `weights` (m,) and not negative.
    """
    means, mass = points.astype(np.float64), np.maximum(weights, 1e-9)
    alive = list(range(len(points)))
    merges = []
    while len(alive) > 1:
        w, f = mass[alive], means[alive]
        cost = (w[:, None] * w / (w[:, None] + w)) * ((f[:, None] - f) ** 2).sum(axis=2)
        cost[np.tril_indices(len(alive))] = np.inf
        i, j = divmod(int(np.argmin(cost)), len(alive))
        kept, gone = alive[i], alive[j]
        merges.append((kept, gone))
        means[kept] = (mass[kept] * means[kept] + mass[gone] * means[gone]) / (mass[kept] + mass[gone])
        mass[kept] += mass[gone]
        alive.remove(gone)
    return MergeTree(merges)


def _kmeans(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """(m,) labels of the best of ten runs of k-means; every cluster has a member."""
    if len(np.unique(points, axis=0)) < clusters:
        raise InputError(
            f"k-means cannot make {clusters} layers of soft segments with {len(np.unique(points, axis=0))} different "
            "mean features; ask for fewer layers, or use the agglomerative grouping"
        )
    best: np.ndarray | None = None
    least = np.inf
    for attempt in range(10):
        centers = kmeans(points, clusters, seed=seed + attempt)
        distance = ((points[:, None] - centers) ** 2).sum(axis=2)
        if len(np.unique(distance.argmin(axis=1))) == clusters and distance.min(axis=1).sum() < least:
            best, least = distance.argmin(axis=1), distance.min(axis=1).sum()
    if best is None:
        raise ConvergenceError(
            f"ten runs of k-means left one of {clusters} layers empty; ask for fewer layers, choose another seed, "
            "or use the agglomerative grouping"
        )
    return best
