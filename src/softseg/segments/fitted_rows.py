"""What the soft segments are fitted to: every pixel, a random sample of them, or the means of superpixels."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from softseg.errors import InputError
from softseg.settings import ConstrainedSettings
from softseg.spectrum import Eigenbasis

# For each eigenvector, that is for each coefficient of a segment. Photos of less than 0.01 megapixels have fewer.
LEAST_SUPERPIXELS = 10


class FittedRows(Protocol):
    """Rows of the eigenvectors V.

    rows : (s, n) float64.
    shares : (s,) float64, how much each row counts, one in the mean.
    """

    rows: np.ndarray
    shares: np.ndarray

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """(s,) of (N,) integers, the one of each row."""

    def alphas(self, alphas: np.ndarray) -> np.ndarray:
        """(s, m) float64 of (m, N), those of each row."""


def fitted_rows(
    basis: Eigenbasis, settings: ConstrainedSettings, *, seed: int = 0, superpixels: np.ndarray | None = None
) -> FittedRows:
    """The means of superpixels where they are asked for, known and many; else some or all of the pixels."""
    if settings.superpixel_means and superpixels is not None:
        groups = np.asarray(superpixels).reshape(-1)
        areas = np.bincount(groups)
        if groups.size != basis.pixels or not areas.all():
            raise InputError(
                f"superpixels {superpixels.shape} must be 0..s-1, all of them present, at the {basis.pixels} pixels."
            )
        if len(areas) >= LEAST_SUPERPIXELS * len(basis.values):
            return MeansOfSuperpixels(basis, groups, areas)
    pixels = np.arange(basis.pixels)
    if settings.sample is not None and settings.sample < basis.pixels:
        pixels = np.sort(np.random.default_rng(seed).choice(basis.pixels, settings.sample, replace=False))
    return Pixels(basis, pixels)


class Pixels:
    """(s,) pixels, that all count the same."""

    def __init__(self, basis: Eigenbasis, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.rows = np.ascontiguousarray(basis.rows(pixels))
        self.shares = np.ones(len(pixels))

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """As `FittedRows.labels`."""
        return np.asarray(labels[self._pixels])

    def alphas(self, alphas: np.ndarray) -> np.ndarray:
        """As `FittedRows.alphas`."""
        return np.ascontiguousarray(alphas[:, self._pixels].T, dtype=np.float64)


class MeansOfSuperpixels:
    """The mean over every superpixel, counted by its area; (N,) `groups` 0..s-1 and their (s,) areas."""

    def __init__(self, basis: Eigenbasis, groups: np.ndarray, areas: np.ndarray) -> None:
        self._groups, self._areas = groups, areas
        self.rows = basis.means(groups)
        self.shares = areas / areas.mean()

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """The label of most pixels of each, the lowest of several."""
        count = int(labels.max()) + 1
        votes = np.bincount(self._groups * count + labels, minlength=len(self._areas) * count)
        return np.asarray(votes.reshape(-1, count).argmax(axis=1))

    def alphas(self, alphas: np.ndarray) -> np.ndarray:
        """The mean over each."""
        return np.stack([np.bincount(self._groups, plane) / self._areas for plane in alphas], axis=1)
