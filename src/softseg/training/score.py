"""How well distances of features tell "same region" from "another region": the area under the ROC curve."""

from __future__ import annotations

import numpy as np

from softseg.errors import InputError

_DRAWN_PER_PAIR = 20  # of the pairs drawn, in most photos far fewer are of one region than of two


def pair_auc(
    features: np.ndarray,
    labels: np.ndarray,
    pairs: int = 20_000,
    seed: int = 0,
    void: int | None = None,
    nearby: int | None = None,
) -> float:
    """Probability that a random pair of pixels of one region is nearer in feature space than a pair of two regions.

    Parameters
    ----------
    features : (h, w, D) numbers.
    labels : (h, w) integers, the region of each pixel; negative ones belong to none, and pairs with them do not count.
    pairs : how many are compared, half of one region, half of two (fewer where a photo has fewer of a kind).
    seed : of the random pairs.
    void : one more label that belongs to no region, such as 0.
    nearby : take only pairs at most this many pixels apart in x and in y; None: from anywhere in the photo.

    Returns
    -------
    In [0, 1]; 0.5 is chance, ties count half. NaN where the photo has no pair of one region or none of two.

    Raises
    ------
    InputError : features and labels are not of one size, or less than 2 pairs or a nearness below 1 is asked for.

    Examples
    --------
    >>> labels = np.repeat([[0, 1]], 4, axis=0)
    >>> pair_auc(labels[..., None] * 5.0, labels), pair_auc(np.ones((4, 2, 3)), labels)
    (1.0, 0.5)
    """
    if features.ndim != 3 or features.shape[:2] != labels.shape:
        raise InputError(
            f"the features have shape {features.shape}, the labels {labels.shape}; expected (h, w, D) features of the "
            "labels' size"
        )
    points = features.reshape(labels.size, -1)
    kinds = draw_pairs(labels, pairs, seed, void=void, nearby=nearby)
    return area_under_curve(*(np.linalg.norm(points[one] - points[two], axis=1) for one, two in kinds))


def draw_pairs(
    labels: np.ndarray,
    pairs: int = 20_000,
    seed: int = 0,
    *,
    void: int | None = None,
    nearby: int | None = None,
    beyond: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The random pairs that `pair_auc` compares, balanced: `pairs // 2` of one region and as many of two, if there are.

    Parameters
    ----------
    labels, pairs, seed, void, nearby : see `pair_auc`.
    beyond : take only pairs more than this many pixels apart in x or in y; None: from anywhere.

    Returns
    -------
    (2, n) and (2, m) row-major pixel indices: pairs of one region, and pairs of two.

    Raises
    ------
    InputError : the labels are not (h, w) integers, or less than 2 pairs or a distance below 1 is asked for.

    Examples
    --------
    >>> same, different = draw_pairs(np.repeat([[0, 1]], 4, axis=0), pairs=6)
    >>> same.shape, different.shape
    ((2, 3), (2, 3))
    """
    _check(labels, pairs, nearby, beyond)
    rng = np.random.default_rng(seed)
    regions = labels.ravel()
    count = _DRAWN_PER_PAIR * pairs
    one, two = _anywhere(rng, labels.size, count) if nearby is None else _near(rng, labels.shape, count, nearby)
    usable = (regions[one] >= 0) & (regions[two] >= 0)
    if void is not None:
        usable &= (regions[one] != void) & (regions[two] != void)
    if beyond is not None:
        w = labels.shape[1]
        usable &= np.maximum(abs(one // w - two // w), abs(one % w - two % w)) > beyond
    same = regions[one] == regions[two]
    chosen = (np.flatnonzero(kind & usable)[: pairs // 2] for kind in (same, ~same))
    positive, negative = (np.stack([one[kind], two[kind]]) for kind in chosen)
    return positive, negative


def area_under_curve(same: np.ndarray, different: np.ndarray) -> float:
    """Mann and Whitney's statistic: the share of (same, different) distances in their right order, ties half.

    NaN where either is empty.

    Examples
    --------
    >>> area_under_curve(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    from scipy.stats import rankdata

    if not (same.size and different.size):
        return float("nan")
    ranks = rankdata(np.concatenate([different, same]))[: different.size]
    excess = ranks.sum(dtype=np.float64) - different.size * (different.size + 1) / 2
    return float(excess / (different.size * same.size))


def _anywhere(rng: np.random.Generator, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    one, two = rng.integers(size, size=(2, count))
    return one, two


def _near(rng: np.random.Generator, shape: tuple[int, ...], count: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs of different pixels at most `reach` apart in either direction, both inside the photo."""
    h, w = shape
    y, x = rng.integers(h, size=count), rng.integers(w, size=count)
    dy, dx = rng.integers(-reach, reach + 1, size=(2, count))
    inside = (y + dy >= 0) & (y + dy < h) & (x + dx >= 0) & (x + dx < w) & ((dy != 0) | (dx != 0))
    return (y * w + x)[inside], ((y + dy) * w + x + dx)[inside]


def _check(labels: np.ndarray, pairs: int, *distances: int | None) -> None:
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise InputError(f"the labels have shape {labels.shape} and type {labels.dtype}, expected (h, w) integers")
    if pairs < 2 or any(distance is not None and distance < 1 for distance in distances):
        asked = ", ".join(f"{distance} pixels" for distance in distances if distance is not None) or "any distance"
        raise InputError(f"{pairs} pairs, {asked} apart, were asked for; ask for at least 2 pairs, 1 pixel apart")
