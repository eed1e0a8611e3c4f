"""Grouping: soft segments that mean the same become one layer."""

from __future__ import annotations

import numpy as np

from softseg.checks import check_boundaries
from softseg.errors import ConvergenceError, InputError
from softseg.segments.borders import Borders
from softseg.segments.clusters import kmeans
from softseg.segments.merging import MergeTree, merge_tree
from softseg.settings import Grouping, GroupingSettings

_HARDLY = 0.001  # of the photo


def group(
    segments: np.ndarray,
    features: np.ndarray,
    layers: int,
    method: Grouping = "agglomerative",
    *,
    image: np.ndarray | None = None,
    boundaries: np.ndarray | None = None,
    settings: GroupingSettings | None = None,
    seed: int = 0,
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
    image : (h, w, 3) float array in [0, 1], the photo; the agglomerative grouping then looks at the borders between
        the segments too. None: at their mean features and areas alone.
    boundaries : (y, x) float array in [0, 1], with `image`: where people would draw a boundary, spread evenly over the
        photo, as `softseg.features.boundary_map` makes it and as the pipeline has it. None: every border counts alike.
    settings : of the cost with borders.
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
    Source: Aksoy et al. 2018, Sec. 3.5. Differs in: 1. Agglomerative merging, `softseg.segments.merging`, because
    k-means on some 30 points flips between nearly equal groupings.

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
    if method == "kmeans":
        labels = _kmeans(mean_values(segments, points)[0], layers, seed)
    else:
        labels = segment_tree(segments, features, image, settings, boundaries=boundaries).cut(layers)
    return add_up(segments, labels)


def add_up(segments: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums of (m, N) segments with the same one of (m,) labels 0..K-1, largest first, and each segment's place."""
    sizes = np.bincount(labels, weights=segments.sum(axis=1, dtype=np.float64))
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    clusters = rank[labels]
    return (clusters == np.arange(len(sizes))[:, None]).astype(np.float64) @ segments, clusters


def segment_tree(
    segments: np.ndarray,
    features: np.ndarray,
    image: np.ndarray | None = None,
    settings: GroupingSettings | None = None,
    *,
    boundaries: np.ndarray | None = None,
) -> MergeTree:
    """All nested groupings of (m, N) soft segments at once; the arguments are those of `group`."""
    segments = np.asarray(segments, dtype=np.float64).reshape(len(segments), -1)
    points = np.asarray(features, dtype=np.float64).reshape(-1, np.shape(features)[-1])
    if image is None:
        if boundaries is not None:
            raise InputError("boundaries were given without an image; give the image too, or neither of them")
        return merge_tree(*mean_values(segments, points))
    settings = settings or GroupingSettings()
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 3 or image.shape[0] * image.shape[1] != len(points):
        raise InputError(f"the image {image.shape} does not have the {len(points)} pixels of the features: (h, w, 3).")
    if boundaries is not None:
        boundaries = check_boundaries(boundaries)
    shape = image.shape[:2]
    owners = segments.argmax(axis=0).reshape(shape)
    reach = max(1, round(settings.reach * max(shape)))
    borders = Borders.between(owners, len(segments), image, points.reshape(*shape, -1), reach, boundaries)
    means, mass = mean_values(segments, np.hstack([points, image.reshape(len(points), -1)]))
    depth = points.shape[1]
    return merge_tree(means[:, :depth], seen_areas(mass, owners), means[:, depth:], borders, settings)


def seen_areas(mass: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """(m,) areas for the cost: of a segment that is the largest one hardly anywhere, just where it is.

    Such a haze over others has no border, and would be dear to join as if it were a thing of its own.
    """
    largest = np.bincount(owners.ravel(), minlength=len(mass))
    return np.where(largest < _HARDLY * owners.size, largest, mass)


def mean_values(segments: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, D) means of (N, D) points weighted by the alphas of (m, N) segments, and the (m,) areas."""
    # Differs from the paper in: 2. Alphas are cut to [0, 1] for the mean. Soft segments that leave it a little can
    # have an area of nearly zero, and their mean would lie anywhere.
    weights = np.clip(segments, 0, 1)
    mass = weights.sum(axis=1)
    return (weights @ points) / np.maximum(mass, 1e-9)[:, None], mass


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
