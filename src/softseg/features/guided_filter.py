"""The guided filter with a colour guide (He, Sun and Tang 2013): smooths features up to the edges of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from softseg.devices import resolve_device, to_tensor
from softseg.errors import InputError
from softseg.features.guided_strips import GuidedFilter
from softseg.images import check_image

# Below it a float32 covariance has too few digits: the division by the regularisation would amplify its rounding.
_FLOAT32_REGULARIZATION = 1e-3
_BLOCK = 16  # channels at a time on the GPU


def guided_filter(
    image: np.ndarray, channels: np.ndarray, radius: int = 5, regularization: float = 0.01, device: str = "cpu"
) -> np.ndarray:
    """Replace each channel by the local linear function of the colours that fits it best.

    In every window ``w_k`` of ``2 radius + 1`` pixels a side, clipped to the image, with mean colour ``mu_k`` and
    covariance ``Sigma_k``: ``a_k = (Sigma_k + regularization Id)^-1 cov(I, p)`` and ``b_k = mean(p) - a_k^T mu_k``.
    The result is ``q_i = mean(a)^T I_i + mean(b)``, the means over all windows centred inside the window of ``i``.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], the guide.
    channels : (h, w, D) array, any finite values; (h, w) is taken as one channel.
    radius : half the window in pixels, at least 1; the released features use 5.
    regularization : in squared colour units, above 0; colour differences well below its root are smoothed away.
    device : "cpu", "cuda" or "auto".

    Returns
    -------
    (h, w, D) float32 array, or (h, w) for one channel; the image may be smaller than a window. In memory each channel
    is a plane of its own, as it was computed: `numpy.ascontiguousarray` brings the channels of a pixel together.

    Raises
    ------
    InputError : the channels are not finite numbers of the photo's size, or a parameter is out of range.

    Notes
    -----
    Source: He et al. 2013, Eqs. (14)-(16). As loops over the windows: ``tests/reference/guided_filter.py``.

    Examples
    --------
    >>> import numpy as np
    >>> filtered = guided_filter(np.full((4, 5, 3), 0.5), np.ones((4, 5, 2)))
    >>> filtered.shape, bool(np.allclose(filtered, 1))
    ((4, 5, 2), True)
    """
    guide = check_image(image)
    values = np.asarray(channels)
    single = values.ndim == 2
    values = check_channels(values[..., None] if single else values, guide.shape[:2])
    where = resolve_device(device)
    filtered = filter_planes(to_tensor(guide, where), to_tensor(values, where).permute(2, 0, 1), radius, regularization)
    result: np.ndarray = filtered.cpu().permute(1, 2, 0).numpy()
    return result[..., 0] if single else result


def check_channels(channels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, D) float32 copy or view of `channels`; InputError unless they are finite and fit a photo of `shape`."""
    values = np.asarray(channels)
    h, w = shape
    if values.ndim != 3 or values.shape[:2] != (h, w) or values.shape[2] == 0:
        raise InputError(
            f"the features have shape {values.shape}; the photo asks for ({h}, {w}, D) with D of at least 1"
        )
    if values.dtype.kind not in "fiub":
        raise InputError(f"the features have type {values.dtype}; pass real numbers")
    values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise InputError("the features hold NaN or infinite values; every pixel needs a finite vector")
    return values


def filter_planes(image: torch.Tensor, planes: torch.Tensor, radius: int, regularization: float) -> torch.Tensor:
    """`guided_filter` on tensors: `image` (h, w, 3) float64, `planes` (D, h, w) float32, to (D, h, w) float32."""
    if radius < 1 or regularization <= 0:
        raise InputError(f"radius is {radius} and regularization {regularization}; they must be at least 1 and above 0")
    accurate = torch.float32 if regularization >= _FLOAT32_REGULARIZATION else torch.float64
    if planes.is_cuda:
        guide = (image - image.mean((0, 1))).permute(2, 0, 1).contiguous()
        return filter_on_tensors(guide, planes, radius, regularization, accurate)
    colors = image.numpy()
    centered = np.moveaxis(colors - colors.mean(axis=(0, 1)), -1, 0)  # a mean by PyTorch depends on the threads
    dtype: np.dtype[np.floating[Any]] = np.dtype(str(accurate).removeprefix("torch."))
    guided = GuidedFilter(centered, radius, regularization, dtype, torch.get_num_threads())
    return torch.from_numpy(guided(planes.numpy()))


def filter_on_tensors(
    guide: torch.Tensor, planes: torch.Tensor, radius: int, regularization: float, accurate: torch.dtype
) -> torch.Tensor:
    """The filter as the paper has it, step by step: for the GPU, and to hold `GuidedFilter` against.

    Parameters
    ----------
    guide : (3, h, w) float64, each colour of mean near 0.
    planes : (D, h, w) float32.
    accurate : the type in which the channels are filtered, a few at a time.
    """
    count = _window_sum(torch.ones_like(guide[0]), radius)
    inverse, mean = _guide_statistics(guide, count, radius, regularization)
    guide, inverse, mean, count = (part.to(accurate) for part in (guide, inverse, mean, count.reciprocal()))
    result = torch.empty(planes.shape, dtype=torch.float32, device=planes.device)
    at_once = _BLOCK if planes.is_cuda else 1  # on a processor one channel stays in the cache: five times as fast
    for start in range(0, planes.shape[0], at_once):
        p = planes[start : start + at_once].to(accurate)  # (c, h, w)
        level = p.mean((1, 2), keepdim=True)
        result[start : start + at_once] = _filter(guide, p - level, inverse, mean, count, radius) + level
    return result


def _guide_statistics(
    guide: torch.Tensor, count: torch.Tensor, radius: int, regularization: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 3, h, w) inverse of Sigma_k + regularization Id, and (3, h, w) mean colour, of every window k."""
    mean = _window_sum(guide, radius) / count
    products = _window_sum(guide[:, None] * guide, radius) / count
    covariance = products - mean[:, None] * mean  # (3, 3, h, w)
    for i in range(3):
        covariance[i, i] += regularization
    rows = [torch.linalg.cross(covariance[(i + 1) % 3], covariance[(i + 2) % 3], dim=0) for i in range(3)]
    determinant = (covariance[0] * rows[0]).sum(0)
    return torch.stack(rows) / determinant, mean  # symmetric, so the cofactors need no transpose


def _filter(
    guide: torch.Tensor, p: torch.Tensor, inverse: torch.Tensor, mean: torch.Tensor, share: torch.Tensor, radius: int
) -> torch.Tensor:
    """The filter proper, on (c, h, w) channels without their mean; `share` is 1 / (pixels of the window)."""
    mean_p = _window_sum(p, radius) * share
    covariance = [_window_sum(guide[i] * p, radius) * share - mean[i] * mean_p for i in range(3)]
    result = mean_p
    sums = p.new_zeros(p.shape)
    for i in range(3):
        a = covariance[0] * inverse[i, 0] + covariance[1] * inverse[i, 1] + covariance[2] * inverse[i, 2]  # Eq. (14)
        result = result - a * mean[i]  # Eq. (15): b
        sums += _window_sum(a, radius) * guide[i]
    return (sums + _window_sum(result, radius)) * share  # Eq. (16)


def _window_sum(x: torch.Tensor, radius: int) -> torch.Tensor:
    """Sums of (..., h, w) over the (2 radius + 1)-pixel square around each pixel, as far as it is inside the image."""
    return _running_sum(_running_sum(x, radius, -2), radius, -1)


def _running_sum(x: torch.Tensor, radius: int, dim: int) -> torch.Tensor:
    """Sums over 2 radius + 1 neighbours along `dim`, by doubling: 2, 4, 8, ... terms, then the pieces of the width.

    Unlike a difference of cumulative sums it keeps every digit, and it needs 5 additions for 11 terms.
    """
    size, width = x.shape[dim], 2 * radius + 1
    padding: Sequence[int] = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
    power = functional.pad(x, padding)  # sums of `length` terms, starting at each position
    total: torch.Tensor | None = None
    length, done = 1, 0
    while True:
        if width & length:
            piece = power.narrow(dim, done, size)
            total = piece if total is None else total + piece
            done += length
        if 2 * length > width:
            assert total is not None
            return total
        rest = power.shape[dim] - length
        power = power.narrow(dim, 0, rest) + power.narrow(dim, length, rest)
        length *= 2
