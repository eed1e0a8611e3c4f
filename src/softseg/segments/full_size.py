"""Large photos: layers found on a reduced photo, brought to every pixel of the full one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional

from softseg.checks import for_kernel
from softseg.errors import InputError
from softseg.features.upsampling import guided_upsample
from softseg.graph import laplacian, matting_affinity
from softseg.images import MINIMUM_SIDE
from softseg.segments.relaxed import relax
from softseg.segments.simplex import project_to_simplex
from softseg.settings import RelaxedSettings

_REGULARIZATION = 1e-4  # squared colour units; measured: docs/performance.md, Large photos
_TILE = 1200  # pixels a side; what the memory is for
# Pixels that two tiles share on either side: what is far is not felt, because every pixel is held by its own start.
_OVERLAP = 32  # measured: tests/segments/test_full_size.py


def working_size(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """(h, w) of the photo on which layers are found: `size` itself, or its shape with about `pixels` pixels.

    No side becomes shorter than the shortest that a photo may have.
    """
    factor = (pixels / (size[0] * size[1])) ** 0.5
    if factor >= 1:
        return size
    h, w = (max(min(side, MINIMUM_SIDE), int(side * factor)) for side in size)
    return h, w


def reduced(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(y, x, C) means of an (h, w, C) map over the parts into which y rows and x columns divide it.

    A pixel that two parts share counts for both.
    """
    planes = torch.from_numpy(for_kernel(np.moveaxis(channels, 2, 0), channels.dtype))
    return np.ascontiguousarray(functional.interpolate(planes[None], size, mode="area")[0].permute(1, 2, 0).numpy())


def enlarged(channels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, ...) map from a reduced (y, x, ...) one: each value at all pixels of its part."""
    y, x = (np.arange(length) * cells // length for length, cells in zip(size, channels.shape[:2], strict=True))
    return np.asarray(channels[y[:, None], x])


@dataclass(frozen=True)
class FullSize:
    """Alphas at full size, and how the sharpening of the tiles went."""

    alphas: np.ndarray  # (K, h, w) float32 in [0, 1], summing to one
    steps: int  # conjugate gradient steps, over all tiles
    residual: float  # the largest relative one at the end of a solve


def at_full_size(
    alphas: np.ndarray,
    image: np.ndarray,
    settings: RelaxedSettings,
    epsilon: float = 1e-7,
    device: torch.device | None = None,
) -> FullSize:
    """Layers of a reduced photo at every pixel of the full one.

    They are lifted by local colour-affine models: within a few cells, alpha is ``a . I + b``, fitted where alphas are
    known and applied to the colours of all pixels. The relaxed sparsification with the matting affinity at full size
    then decides every pixel, in tiles that overlap, so that what it needs does not grow with the photo.

    Parameters
    ----------
    alphas : (K, y, x) float array in [0, 1], of the photo reduced by `reduced`.
    image : (h, w, 3) float array in [0, 1], the photo; h >= y and w >= x.
    settings : of the relaxed sparsification.
    epsilon : of the matting affinity, in squared colour units.
    device : where, in plain PyTorch, layers are lifted and systems solved; None: on the processor.

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
    where = device or torch.device("cpu")
    planes = torch.from_numpy(alphas.astype(np.float32, copy=False)).to(where)
    guide = torch.from_numpy(for_kernel(image, np.float64)).to(where)
    lifted = guided_upsample(guide, planes, regularization=_REGULARIZATION).cpu().numpy()
    steps, residual = 0, 0.0
    result = np.empty_like(lifted)
    for outer, inner in _tiles(image.shape[0], image.shape[1]):
        part = image[outer]
        nothing = sp.csr_array((part.shape[0] * part.shape[1],) * 2)
        graph = laplacian(matting_affinity(part, epsilon), nothing, nothing)
        relaxed = relax(np.clip(lifted[(slice(None), *outer)], 0, 1), graph, part, settings, device)
        within = tuple(slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True))
        result[(slice(None), *inner)] = project_to_simplex(relaxed.alphas[(slice(None), *within)])
        steps, residual = steps + sum(relaxed.steps), max(residual, relaxed.residual)
    return FullSize(result, steps, residual)


def _tiles(h: int, w: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Rows and columns that are solved together, and those of them that are kept."""
    for rows, columns in product(_cuts(h), _cuts(w)):
        yield (rows[0], columns[0]), (rows[1], columns[1])


def _cuts(length: int) -> list[tuple[slice, slice]]:
    bounds = np.linspace(0, length, -(-length // _TILE) + 1).astype(int).tolist()
    return [
        (slice(max(0, first - _OVERLAP), min(length, last + _OVERLAP)), slice(first, last))
        for first, last in pairwise(bounds)
    ]
