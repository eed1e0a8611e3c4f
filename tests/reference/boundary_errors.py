"""Boundaries and their matching by definition, for tiny maps: augmenting paths over all pairs of pixels."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

Pixel = tuple[int, int]


def wide_boundaries(labels: np.ndarray) -> set[Pixel]:
    """Pixels whose square with the right, lower and diagonal neighbour is not of one region; not yet thinned."""
    h, w = labels.shape
    return {
        (y, x)
        for y, x in product(range(h), range(w))
        if len({labels[i, j] for i in (y, min(y + 1, h - 1)) for j in (x, min(x + 1, w - 1))}) > 1
    }


def matching_size(ours: list[Pixel], theirs: list[Pixel], tolerance: float) -> int:
    """Most pairs at most `tolerance` apart in which no pixel is twice: by searching an augmenting path from each."""
    partner: dict[Pixel, Pixel] = {}

    def augment(pixel: Pixel, seen: set[Pixel]) -> bool:
        for other in theirs:
            if math.dist(pixel, other) <= tolerance and other not in seen:
                seen.add(other)
                if other not in partner or augment(partner[other], seen):
                    partner[other] = pixel
                    return True
        return False

    return sum(augment(pixel, set()) for pixel in ours)
