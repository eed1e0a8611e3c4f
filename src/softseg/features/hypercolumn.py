"""Hypercolumns: the outputs of several stages of a network, reduced, brought to the size of the photo and stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from softseg.features.projection import principal_directions

# A tap whose deviation is below this share of its values is constant up to rounding.
_NOISE = 1e-6
_LARGEST_FACTOR = 2.0  # measured: larger does not tell more regions apart


@dataclass(frozen=True)
class Tap:
    """One stage of the network and its part in the hypercolumn."""

    stage: int  # index into the network's outputs
    scale: float  # at which the network sees the photo, relative to its largest size
    weight: float  # root of its total variance, relative to the other taps
    dimensions: int  # principal components of this photo that are kept


def hypercolumn(
    network: Callable[[torch.Tensor], Sequence[torch.Tensor]],
    image: torch.Tensor,
    taps: Sequence[Tap],
    stride: int,
    longest_side: int,
) -> torch.Tensor:
    """(D, h, w) float32 features of `image` (h, w, 3) in [0, 1], mean 0 and on average variance 1.

    The photo is resized so that its sides are multiples of `stride` plus 1. In a network that pads equally at both
    ends, the pixel (i, j) of a tap then sits exactly at input pixel (i, j) * (side - 1) / (tap side - 1): corners fall
    on corners, and resizing a tap with aligned corners puts every vector where it was computed.

    Each tap is reduced to its own principal components at its native size. Both that and the bilinear resizing are
    linear, the one over channels, the other over pixels, so they commute: nothing is lost but the smallest components,
    and the full number of channels is never formed at the size of the photo. D is the sum of the taps' dimensions.
    """
    h, w, _ = image.shape
    with torch.inference_mode():
        photos = {tap.scale: fit_to_stride(image, stride, longest_side * tap.scale) for tap in taps}
        outputs = {scale: network(photo) for scale, photo in photos.items()}
        parts = []
        for tap in taps:
            seen = (photos[tap.scale].shape[2], photos[tap.scale].shape[3])
            parts.append(to_photo(_reduced(outputs[tap.scale][tap.stage][0].float(), tap)[None], seen, (h, w))[0])
        columns = torch.cat(parts)
        columns -= columns.mean((1, 2), keepdim=True)
        deviation = columns.square().mean(dtype=torch.float64).sqrt()
        return columns / deviation.clamp_min(torch.finfo(torch.float32).tiny).float()


def fitting_size(size: tuple[int, int], stride: int, longest_side: float) -> tuple[int, int]:
    """The size at which the network sees a photo: sides that are multiples of `stride` plus 1, at most doubled."""
    factor = min(_LARGEST_FACTOR, longest_side / max(size))
    y, x = (max(1, round(side * factor / stride)) * stride + 1 for side in size)
    return y, x


def fit_to_stride(image: torch.Tensor, stride: int, longest_side: float) -> torch.Tensor:
    """(1, 3, y, x) photo (h, w, 3) as the network sees it, of `fitting_size`."""
    h, w, _ = image.shape
    size = fitting_size((h, w), stride, longest_side)
    planes = image.permute(2, 0, 1)[None].float()
    # PyTorch does not antialias with aligned corners: only where the photo grows do its corners stay on corners.
    if _is_reduced((h, w), size):
        planes = functional.interpolate(planes, size, mode="bilinear", antialias=True)
    else:
        planes = functional.interpolate(planes, size, mode="bilinear", align_corners=True)
    return planes.contiguous(memory_format=torch.channels_last)


def to_photo(planes: torch.Tensor, seen: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """(1, c, h, w) vectors of the photo from those of the network, (1, c, y, x): the way back of `fit_to_stride`.

    The corner vectors belong to the corner pixels of what the network has `seen`; the pixel i of that, in a photo that
    was reduced, is at (i + 1/2) h / seen - 1/2.
    """
    if not _is_reduced(size, seen):
        return functional.interpolate(planes, size, mode="bilinear", align_corners=True)
    axes = []
    for length, side in zip(size, seen, strict=True):
        position = (torch.arange(length, dtype=torch.float64, device=planes.device) + 0.5) * (side / length) - 0.5
        axes.append((2 * position / (side - 1) - 1).to(planes.dtype))
    y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([x, y], 2)[None]
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _is_reduced(size: tuple[int, int], seen: tuple[int, int]) -> bool:
    return seen[0] < size[0] or seen[1] < size[1]


def _reduced(output: torch.Tensor, tap: Tap) -> torch.Tensor:
    """(d, y, x) principal components of `output` (c, y, x), of total variance weight^2; zeros where it is constant."""
    vectors = output.flatten(1)
    centered = vectors - vectors.mean(1, keepdim=True)
    directions = principal_directions(vectors, tap.dimensions).to(vectors.dtype)
    components = (directions.T @ centered).reshape(-1, *output.shape[1:])
    deviation = components.square().sum(0).mean().sqrt()
    if deviation <= _NOISE * vectors.abs().max():
        return torch.zeros_like(components)
    return components * (tap.weight / deviation)
