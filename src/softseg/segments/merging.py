"""Nested groupings: two clusters become one, again and again, those whose union costs least first."""

from __future__ import annotations

import numpy as np

from softseg.segments.borders import Borders
from softseg.settings import GroupingSettings


class MergeTree:
    """The nested groupings of m points: which two clusters became one, in order, and what each merge cost."""

    def __init__(self, merges: list[tuple[int, int]], costs: list[float]) -> None:
        self.merges = merges  # clusters are named by their smallest member
        self.costs = costs  # not always rising: a union is larger, and its mean may lie nearer to a third

    def cut(self, clusters: int) -> np.ndarray:
        """(m,) cluster 0..clusters-1 of each point."""
        labels = np.arange(len(self.merges) + 1)
        for kept, gone in self.merges[: len(labels) - clusters]:
            labels[labels == gone] = kept
        return np.unique(labels, return_inverse=True)[1].reshape(-1)

    def clusters_apart(self, cost: float) -> int:
        """How many clusters are left when merging ends before the first merge that costs more."""
        return 1 + int((np.maximum.accumulate([-np.inf, *self.costs]) > cost).sum())


def merge_tree(
    points: np.ndarray,
    weights: np.ndarray,
    colors: np.ndarray | None = None,
    borders: Borders | None = None,
    settings: GroupingSettings | None = None,
) -> MergeTree:
    """Merge the two clusters whose union costs least, until one is left. Ties go to the first pair.

    With features alone the cost of merging clusters a and b is what the weighted variance rises by (Ward 1963),
    ``w |f_a - f_b|^2`` with ``w = w_a w_b / (w_a + w_b)``. With borders it is what joining them may be expected to
    lose,

        ``p_ab w^0.1 - 0.5 (1 - p_ab) w``,

    p_ab how likely people take a and b for two things, ``d_ab / (d_ab + 0.025)``, from their unlikeness

        ``d_ab = |f_a - f_b| sqrt((c_ab + 0.01) (g_ab + 0.01))``,

    c_ab and g_ab the mean differences of colours and of features across the common border. So what no visible border
    parts, such as the two ends of a sky, is joined early, large areas first, which people would miss most; and small
    things of their own meaning are kept. With a map of boundaries the unlikeness is also times
    ``((b_ab + 0.05) / 1.05)^2``, b_ab the share of people who would draw that border, the mean along it of the largest
    in the 3 x 3 cells around; 1 where a and b do not touch, and at least ``min(|f_a - f_b| / 0.5, 1)``.

    Parameters
    ----------
    points : (m, D) mean features f.
    weights : (m,) areas, not negative.
    colors : (m, 3) mean colours, with `borders`.
    borders : between the m points; changed by the merges.
    settings : of the cost with borders.
    """
    settings = settings or GroupingSettings()
    values = np.asarray(points if colors is None else np.hstack([points, colors]), dtype=np.float64).copy()
    depth = points.shape[1]
    mass = np.maximum(weights, 1e-9) / max(float(np.sum(weights)), 1e-9)
    alive = list(range(len(values)))
    merges, costs = [], []
    while len(alive) > 1:
        weight = mass[alive][:, None] * mass[alive] / (mass[alive][:, None] + mass[alive])
        squares = _squared_distances(values[alive, :depth])
        if borders is None:
            cost = weight * squares
        else:
            distance = np.sqrt(_squared_distances(values[alive, depth:]))
            unseen = distance + settings.unseen_contrast, np.sqrt(squares)
            current = borders.among(alive)
            color, feature = (contrast + settings.least_contrast for contrast in current.contrast(*unseen))
            # Nobody draws the border of what is out of focus, but nobody takes it for its background either.
            seen = np.maximum(current.seen(), np.minimum(np.sqrt(squares) / settings.unlike, 1))
            drawn = (seen + settings.least_share) / (1 + settings.least_share)
            unlikeness = np.sqrt(squares * color * feature) * drawn**settings.boundary_exponent
            p = unlikeness / (unlikeness + settings.apart)
            cost = p * weight**settings.area_exponent - settings.joining * (1 - p) * weight
        cost[np.tril_indices(len(alive))] = np.inf
        i, j = divmod(int(np.argmin(cost)), len(alive))
        kept, gone = alive[i], alive[j]
        merges.append((kept, gone))
        costs.append(float(cost[i, j]))
        values[kept] = (mass[kept] * values[kept] + mass[gone] * values[gone]) / (mass[kept] + mass[gone])
        mass[kept] += mass[gone]
        alive.remove(gone)
        if borders is not None:
            borders.merge(kept, gone)
    return MergeTree(merges, costs)


def _squared_distances(points: np.ndarray) -> np.ndarray:
    return np.asarray(((points[:, None] - points) ** 2).sum(axis=2))
