"""Learning where people draw boundaries: the target on the network's grid, the loss, and the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from scipy.ndimage import maximum_filter
from torch import nn
from torch.nn import functional

from softseg.features.boundaries.network import GRID, REACH
from softseg.training.augmentation import VOID
from softseg.training.score import area_under_curve

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from softseg.training.batches import Batch

UNKNOWN = -1.0  # the target of cells near which some pixel has no label


def boundary_target(labels: np.ndarray) -> np.ndarray:
    """1 where two regions meet within 4 pixels of a cell of the grid, else 0; -1 where that is not known.

    Parameters
    ----------
    labels : (h, w) int array; equal numbers are one region, negative ones void. h and w are 4 m + 1.

    Returns
    -------
    ((h - 1) / 4 + 1, (w - 1) / 4 + 1) float32.

    Examples
    --------
    >>> boundary_target(np.repeat([[0] * 11 + [1] * 10], 5, axis=0))[0].tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """
    edges = np.zeros(labels.shape, dtype=bool)  # the pixels on both sides of a boundary
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (labels[one] != labels[two]) & (labels[one] != VOID) & (labels[two] != VOID)
        edges[one] |= differ
        edges[two] |= differ
    near, unknown = (maximum_filter(part, 2 * REACH + 1)[::GRID, ::GRID] for part in (edges, labels == VOID))
    return np.where(near, 1, np.where(unknown, UNKNOWN, 0)).astype(np.float32)


def boundary_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy over the known cells.

    Least for the share of people who draw a boundary there, as each photo comes with one of them at random.
    """
    known = (target != UNKNOWN).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, target.clamp(min=0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def accumulate_boundaries(fabric: Fabric, module: nn.Module, batch: Batch) -> float:
    """Add the gradient of the mean loss of all photos to the parameters; returns that loss."""
    total = 0.0
    for i, (image, target) in enumerate(zip(batch.images, batch.targets, strict=True)):
        # Processes exchange their gradients once, with the last photo.
        with fabric.no_backward_sync(cast(Any, module), enabled=i < len(batch.images) - 1):
            planes = image[None].to(fabric.device, non_blocking=True).float() / 255
            logits = module(planes.contiguous(memory_format=torch.channels_last))
            loss = boundary_loss(logits, target[None].to(fabric.device)) / len(batch.images)
            fabric.backward(loss)
            total += float(loss.detach())
    return total


def boundary_auc(shares: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a cell near a boundary has a larger share than one away from all; NaN without either.

    Parameters
    ----------
    shares : (y, x) map, spread evenly over the photo.
    labels : (h, w) regions, negative: void.

    Examples
    --------
    >>> labels = np.repeat([[0] * 11 + [1] * 10], 5, axis=0)
    >>> boundary_auc(boundary_target(labels), labels)
    1.0
    """
    target = boundary_target(labels)
    rows, columns = (
        np.linspace(0, n - 1, m).round().astype(int) for n, m in zip(target.shape, shares.shape, strict=True)
    )
    target = target[np.ix_(rows, columns)]
    return area_under_curve(-shares[target == 1], -shares[target == 0])
