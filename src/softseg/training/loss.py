"""The loss: features of one instance are pulled together, those of two are pushed apart (supplement, eq. 1 and 2)."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from softseg.errors import InputError

_LOG_2 = math.log(2)
_LINEAR_FROM = 40.0  # above it softplus(x) is x to float64's precision; PyTorch's default of 20 suffices for float32


def metric_loss(features: torch.Tensor, labels: torch.Tensor, *, negatives: float = 0.0) -> torch.Tensor:
    """How far the distances of sampled features are from saying "same instance or not".

    L = 1/|P| sum over p, q in P of [l_p = l_q] log((1 + exp d) / 2) + [l_p != l_q] log(1 + exp(-d) / 2),
    d = ||f_p - f_q||^2 / D.

    Parameters
    ----------
    features : (n, D) vectors f_p of the sampled pixels. Half precision, also that of an enclosing autocast, is
        computed in float32.
    labels : (n,) integers, the instance of each; on the same device.
    negatives : 0, or the weight of negative pairs in another form of the loss: the mean over positive pairs, p = q left
        out, plus `negatives` times the mean over negative pairs. A kind of pair that does not occur adds nothing. Where
        all features are equal, the pull of a positive pair is 3/2 of the push of a negative one: below that weight, and
        in photos of few instances, training can shrink all features to one line.

    Returns
    -------
    Scalar tensor, float32 (float64 for float64 features). As printed, the sum runs over all n^2 ordered pairs and is
    divided by n: its scale grows with n. From n equal features it is about (n - n/k) log 1.5 for k equal instances.
    The other form is `negatives` log 1.5 there, whatever n.

    Raises
    ------
    InputError : the features are not (n, D) floats, or there is not one label for each.

    Notes
    -----
    Source: supplement, eq. (1) and (2), which writes the norm "divided by d"; its matrix form squares the norm, and so
    does this. No n x n x D array is formed, and no exponential of a positive number: any distance is finite.

    Examples
    --------
    >>> features = torch.tensor([[0.0, 0.0], [0.0, 0.0], [40.0, 0.0]])
    >>> float(metric_loss(features, torch.tensor([7, 7, 3])))
    0.0
    >>> round(float(metric_loss(torch.zeros(2, 8), torch.tensor([0, 1]))), 4)  # 2 pairs of log 1.5, over 2
    0.4055
    """
    _check(features, labels)
    with torch.autocast(features.device.type, enabled=False):
        V = features if features.dtype == torch.float64 else features.float()
        same = labels[:, None] == labels[None, :]
        d = squared_distances(V) / V.shape[1]
        # log((1 + exp d) / 2) = softplus(d) - log 2 and log(1 + exp(-d) / 2) = softplus(-d - log 2)
        pairs = functional.softplus(torch.where(same, d, -d - _LOG_2), threshold=_LINEAR_FROM)
        pairs = pairs - _LOG_2 * same.to(pairs.dtype)
        if negatives:
            return _weighted_means(pairs, same, negatives)
        return pairs.sum() / len(V)  # Eq. (1).


def squared_distances(V: torch.Tensor) -> torch.Tensor:
    """(n, n) squared distances of the rows of V (n, D), never negative; the gradient is finite where they are 0."""
    V = V - V.mean(0, keepdim=True)  # distances do not change, but far from the origin their rounding would
    squares = V.square().sum(1)
    squared = squares[:, None] + squares[None, :] - 2 * (V @ V.T)  # Eq. (2): D2 = F 1^T + (F 1^T)^T - 2 V V^T.
    return squared.clamp_min(0)


def _weighted_means(pairs: torch.Tensor, same: torch.Tensor, negatives: float) -> torch.Tensor:
    positive = torch.where(same, pairs, 0).fill_diagonal_(0).sum()
    count = int(same.sum())
    negative = torch.where(same, 0, pairs).sum()
    return positive / max(count - len(same), 1) + negatives * negative / max(same.numel() - count, 1)


def _check(features: torch.Tensor, labels: torch.Tensor) -> None:
    if features.ndim != 2 or not features.is_floating_point() or features.numel() == 0:
        raise InputError(
            f"the features have shape {tuple(features.shape)} and type {features.dtype}, expected (n, D) floats, one "
            "row for each sampled pixel; reshape (h, w, D) features to (h * w, D) and pick rows with sample_pixels"
        )
    if labels.shape != features.shape[:1] or labels.is_floating_point():
        raise InputError(
            f"the labels have shape {tuple(labels.shape)} and type {labels.dtype}, expected "
            f"{tuple(features.shape[:1])} integers, one for each row of the features"
        )
