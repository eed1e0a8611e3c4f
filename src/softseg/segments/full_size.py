"""Large photos: layers found on a reduced photo, brought to every pixel of the full one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional

from softseg.errors import InputError
from softseg.features.upsampling import guided_upsample
from softseg.graph import laplacian, matting_affinity
from softseg.segments.relaxed import relax
from softseg.segments.simplex import project_to_simplex
from softseg.settings import RelaxedSettings

_REGULARIZATION = 1e-4  # squared colour units; measured: docs/performance.md, Large photos
_STRIP = 1_500_000  # pixels at a time; what the memory is for
# Rows that two strips share on either side: what is far is not felt, because every pixel is held by its own start.
_OVERLAP = 32


def working_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(h, w) of the photo on which layers are found: `size` itself, or its shape with at most `pixels` pixels."""
    factor = (pixels / (size[0] * size[1])) ** 0.5
    if factor >= 1:
        return size
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def reduced(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(y, x, C) means of an (h, w, C) map over the equal parts into which y rows and x columns divide it."""
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(channels, 2, 0)))
    return np.ascontiguousarray(functional.interpolate(planes[None], size, mode="area")[0].permute(1, 2, 0).numpy())


def enlarged(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, ...) map from a reduced (y, x, ...) one: each value at all pixels of its part."""
    y, x = (np.arange(length) * cells // length for length, cells in zip(size, channels.shape[:2], strict=True))
    return np.asarray(channels[y[:, None], x])


@dataclass(frozen=True)
class FullSize:
    """Alphas at full size, and how the sharpening of the strips went."""

    alphas: np.ndarray  # (K, h, w) float32 in [0, 1], summing to one
    steps: int  # conjugate gradient steps, over all strips
    residual: float  # the largest relative one at the end of a solve


def at_full_size(
    alphas: np.ndarray,
    image: np.ndarray,
    settings: RelaxedSettings,
    epsilon: float = 1e-7,
) -> FullSize:
    """Layers of a reduced photo at every pixel of the full one.

    They are lifted by local colour-affine models: within a few cells, alpha is ``a . I + b``, fitted where alphas are
    known and applied to the colours of all pixels. The relaxed sparsification with the matting affinity at full size
    then decides every pixel, in strips that overlap, so that memory does not grow with the photo.

    Parameters
    ----------
    alphas : (K, y, x) float array in [0, 1], of the photo reduced by `reduced`.
    image : (h, w, 3) float array in [0, 1], the photo; h >= y and w >= x.
    settings : of the relaxed sparsification.
    epsilon : of the matting affinity, in squared colour units.

    Returns
    -------
    FullSize : each alpha in [0, 1], the sum over K one at every pixel.

    Raises
    ------
    InputError : the alphas are larger than the photo.

    Notes
    -----
    Source: here; the lifting is the fast guided filter (He and Sun 2015). Differs from the paper in: 1. At full size
    the graph has no affinities between superpixels; they had their say at the reduced one.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((32, 32, 3))
    >>> image[:, 15:] = 1
    >>> small = reduced(image, (16, 16))[..., 0]
    >>> result = at_full_size(np.stack([small, 1 - small]), image, RelaxedSettings(tolerance=1e-5))
    >>> bool(np.abs(result.alphas[0] - image[..., 0]).max() < 0.01)
    True
    """
    if alphas.ndim != 3 or alphas.shape[1] > image.shape[0] or alphas.shape[2] > image.shape[1]:
        raise InputError(
            f"the alphas {alphas.shape} are not those of a reduced photo {image.shape}: expected (K, y, x), "
            f"y <= {image.shape[0]} and x <= {image.shape[1]}."
        )
    planes = torch.from_numpy(alphas.astype(np.float32, copy=False))
    lifted = guided_upsample(torch.from_numpy(image), planes, regularization=_REGULARIZATION).numpy()
    steps, residual = 0, 0.0
    result = np.empty_like(lifted)
    for outer, inner in _strips(image.shape[0], image.shape[1]):
        part = image[outer]
        nothing = sp.csr_array((part.shape[0] * part.shape[1],) * 2)
        graph = laplacian(matting_affinity(part, epsilon), nothing, nothing)
        relaxed = relax(np.clip(lifted[:, outer], 0, 1), graph, part, settings)
        within = slice(inner.start - outer.start, inner.stop - outer.start)
        result[:, inner] = project_to_simplex(relaxed.alphas[:, within])
        steps, residual = steps + sum(relaxed.steps), max(residual, relaxed.residual)
    return FullSize(result, steps, residual)


def _strips(h: int, w: int) -> Iterator[tuple[slice, slice]]:
    """Rows that are solved together, and those of them that are kept."""
    count = max(1, round(h * w / _STRIP))
    bounds = np.linspace(0, h, count + 1).astype(int)
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield slice(max(0, first - _OVERLAP), min(h, last + _OVERLAP)), slice(first, last)
