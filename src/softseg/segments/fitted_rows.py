"""What the soft segments are fitted to: every pixel, a random sample of them, or the means of superpixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softseg.errors import InputError
from softseg.settings import ConstrainedSettings
from softseg.spectrum import Basis

# For each eigenvector, that is for each coefficient of a segment. Photos of less than 0.01 megapixels have fewer.
LEAST_SUPERPIXELS = 10


@dataclass(frozen=True)
class FittedRows:
    """Rows of the eigenvectors V, and what is known of each.

    rows : (s, n) float64.
    labels : (s,) integers, the hard segments at the start.
    shares : (s,) float64, how much each row counts, one in the mean.
    """

    rows: np.ndarray
    labels: np.ndarray
    shares: np.ndarray


def fitted_rows(
    basis: Basis,
    labels: np.ndarray,
    settings: ConstrainedSettings,
    *,
    seed: int = 0,
    superpixels: np.ndarray | None = None,
) -> FittedRows:
    """The means of superpixels where they are asked for, known and many; else some or all of the pixels.

    `labels` are (N,) integers; `superpixels` 0..s-1, N in all, none of them empty.
    """
    if settings.superpixel_means and superpixels is not None:
        groups = np.asarray(superpixels).reshape(-1)
        areas = np.bincount(groups)
        if groups.size != labels.size or not areas.all():
            raise InputError(
                f"superpixels {superpixels.shape} must be 0..s-1, all of them present, at the {labels.size} pixels."
            )
        if len(areas) >= LEAST_SUPERPIXELS * len(basis.values):
            return FittedRows(basis.means(groups), _majorities(labels, groups), areas / areas.mean())
    pixels = np.arange(labels.size)
    if settings.sample is not None and settings.sample < labels.size:
        pixels = np.sort(np.random.default_rng(seed).choice(labels.size, settings.sample, replace=False))
    return FittedRows(np.ascontiguousarray(basis.rows(pixels)), labels[pixels], np.ones(len(pixels)))


def _majorities(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(s,) the label of most pixels of each group, the lowest of several."""
    count = int(labels.max()) + 1
    votes = np.bincount(groups * count + labels, minlength=(int(groups.max()) + 1) * count)
    return np.asarray(votes.reshape(-1, count).argmax(axis=1))
