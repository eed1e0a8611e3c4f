"""One colour for one thing, in every segmentation of a photo in which it was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from softseg.baselines.label_map import LabelMap
from softseg.layers import layer_colors

_SAMPLES = 100_000  # pixels on which overlaps are measured, about
_SAME = 0.25  # intersection over union, above which two regions are one thing


def matched_colors(segmentations: Sequence[LabelMap | np.ndarray]) -> list[np.ndarray]:
    """Colours for the regions of several segmentations of one photo; regions that overlap have the same one.

    The last segmentation has the colours of its `overview()`. Going back from it, the regions of each are paired with
    those known so far, one to one, so that the intersections over unions sum to the most; pairs that have more than a
    quarter in common are one thing. What remains is new and gets the next colour.

    Parameters
    ----------
    segmentations : label maps, or (K, h, w) alphas in [0, 1], all of one size.

    Returns
    -------
    For each of them (K, 3) sRGB colours in [0, 1], a row for each label or layer.

    Examples
    --------
    >>> first = LabelMap(np.array([[0, 0, 1, 1]]), ("sky", "sea"))
    >>> second = np.array([[[0.0, 0, 1, 1]], [[1.0, 1, 0, 0]]])
    >>> a, b = matched_colors([first, second])
    >>> bool((a[0] == b[1]).all() and (a[1] == b[0]).all())
    True
    """
    known: list[np.ndarray] = []  # a region of each colour, in the order of the palette
    places: list[np.ndarray] = []
    for segmentation in reversed(segmentations):
        regions, present = _regions(segmentation)
        place = np.zeros(_count(segmentation), dtype=np.int64)
        place[present] = _paired(regions, known)
        places.append(place)
    return [layer_colors(int(max(place, default=0)) + 1)[place] for place in reversed(places)]


def _paired(regions: np.ndarray, known: list[np.ndarray]) -> list[int]:
    """The place in `known` of each region (m, n); those that are new are added there."""
    place = [-1] * len(regions)
    if known and len(regions):
        reference = np.stack(known)
        common = regions @ reference.T
        union = regions.sum(1)[:, None] + reference.sum(1) - common
        overlap = common / np.maximum(union, 1e-9)
        for mine, theirs in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[mine, theirs] > _SAME:
                place[mine] = int(theirs)
    order = range(len(regions)) if not known else np.argsort(-regions.sum(1), kind="stable")
    for new in (int(mine) for mine in order if place[mine] < 0):
        place[new] = len(known)
        known.append(regions[new])
    return place


def _count(segmentation: LabelMap | np.ndarray) -> int:
    return len(segmentation.names) if isinstance(segmentation, LabelMap) else len(segmentation)


def _regions(segmentation: LabelMap | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, n) how much of each region is at n pixels of a grid; and the (m,) labels that are something."""
    h, w = segmentation.labels.shape if isinstance(segmentation, LabelMap) else segmentation.shape[1:]
    step = max(1, round(float(h * w / _SAMPLES) ** 0.5))
    if not isinstance(segmentation, LabelMap):
        sampled = segmentation[:, ::step, ::step].reshape(len(segmentation), -1)
        return sampled.astype(np.float64), np.arange(len(segmentation))
    present = np.array([label for label in segmentation.shares() if label != segmentation.nothing], dtype=np.int64)
    return (segmentation.labels[::step, ::step].ravel() == present[:, None]).astype(np.float64), present
