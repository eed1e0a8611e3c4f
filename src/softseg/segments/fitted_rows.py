"""What the soft segments are fitted to: every pixel, a random sample of them, or the means of superpixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softseg.errors import InputError
from softseg.spectrum import Eigenbasis

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

    @classmethod
    def of_pixels(cls, basis: Eigenbasis, labels: np.ndarray, count: int | None, seed: int) -> FittedRows:
        """Of `count` random pixels; of all of the (N,) where it is None or not fewer."""
        pixels = np.arange(labels.size)
        if count is not None and count < labels.size:
            pixels = np.sort(np.random.default_rng(seed).choice(labels.size, count, replace=False))
        return cls(np.ascontiguousarray(basis.rows(pixels)), labels[pixels], np.ones(len(pixels)))

    @classmethod
    def of_superpixels(cls, basis: Eigenbasis, labels: np.ndarray, superpixels: np.ndarray) -> FittedRows | None:
        """The mean of every superpixel, counted by its area, with the label of most of its pixels.

        None where there are too few for so many eigenvectors. `superpixels` are integers 0..s-1, N in all.
        """
        groups = superpixels.reshape(-1)
        areas = np.bincount(groups)
        if groups.size != labels.size or not areas.all():
            raise InputError(
                f"superpixels {superpixels.shape} must be 0..s-1, all of them present, at the {labels.size} pixels."
            )
        if len(areas) < LEAST_SUPERPIXELS * len(basis.values):
            return None
        clusters = int(labels.max()) + 1
        votes = np.bincount(groups * clusters + labels, minlength=len(areas) * clusters).reshape(-1, clusters)
        return cls(basis.means(groups), votes.argmax(axis=1), areas / areas.mean())
