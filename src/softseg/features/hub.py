"""Features from backbones of the hub, such as DINOv2: vectors of patches, reduced and brought to the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

from softseg.errors import InputError, ModelError
from softseg.features.backbones import Backbone, load_backbone
from softseg.features.projection import principal_directions
from softseg.features.upsampling import guided_upsample

Extractor = Callable[[torch.Tensor], torch.Tensor]  # (h, w, 3) in [0, 1] to (D, h, w) float32

_LARGEST_FACTOR = 4.0  # small photos are at most so much enlarged
_NOISE = 1e-6  # maps whose deviation is below this share of their values are constant up to rounding
_SIDES = (32, 8192)  # within which the longest side may be chosen


@dataclass(frozen=True)
class HubSettings:
    """How a photo is shown to a backbone."""

    longest_side: int = 896  # pixels, 64 patches of 14; finer features and more time with a larger one
    dimensions: int = 128  # principal components of the photo that are kept, in all
    shifted: bool = False  # average with a second pass, its patches shifted by half their size both ways


def parse_settings(text: str) -> HubSettings:
    """What stands after the @ of a model's name: the longest side in pixels, "shifted", or both with a comma between.

    Raises
    ------
    InputError : something else.

    Examples
    --------
    >>> parse_settings("1288,shifted")
    HubSettings(longest_side=1288, dimensions=128, shifted=True)
    """
    settings = HubSettings()
    for part in text.split(","):
        if part == "shifted":
            settings = replace(settings, shifted=True)
        elif part.isdecimal() and _SIDES[0] <= int(part) <= _SIDES[1]:
            settings = replace(settings, longest_side=int(part))
        else:
            raise InputError(
                f"{part!r} after the @ of a feature model is neither a longest side from {_SIDES[0]} to {_SIDES[1]} "
                "pixels nor 'shifted'; write for example dinov2-small@1288 or dinov2-small@896,shifted"
            )
    return settings


def load_extractor(folder: Path, device: torch.device, settings: HubSettings | None = None) -> Extractor:
    """A function from photos to features, by the model in `folder`.

    The photo is resized so that its sides are multiples of the patch. Each map of vectors is reduced to its principal
    components, at its own size; only then do they go to the pixels, by `guided_upsample`: both are linear, the one over
    channels, the other over cells, so they commute, and the full number of channels is never formed for the pixels.

    Parameters
    ----------
    folder : with config.json and safetensors, as saved by transformers or timm.
    settings : None: the defaults.

    Returns
    -------
    A function from (h, w, 3) float in [0, 1] to (D, h, w) float32: channels of mean 0, the one of largest variance of
    variance 1, so that clipping at 5 (as the projection does) meets none but outliers. D is at most `dimensions`.

    Raises
    ------
    ModelError : the folder cannot be used. See `load_backbone`.
    """
    chosen = settings or HubSettings()
    backbone = load_backbone(folder, device)
    if chosen.shifted and backbone.corners:
        raise ModelError(f"the model in {folder} has no patches that could be shifted; leave out 'shifted'")

    def extractor(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return _features(backbone, image, chosen)

    return extractor


def _features(backbone: Backbone, image: torch.Tensor, settings: HubSettings) -> torch.Tensor:
    photo = _resized(image, backbone, settings.longest_side)
    maps = _centered_maps(backbone, photo)
    if settings.shifted:
        half = backbone.step // 2
        other = backbone.maps(functional.pad(photo, (half,) * 4, mode="reflect"))
        maps = [(_doubled(map_) + _between(cells)) / 2 for map_, cells in zip(maps, other, strict=True)]
    each = max(1, settings.dimensions // len(maps))
    columns = torch.cat([guided_upsample(image, _reduced(map_.float(), each)) for map_ in maps])
    columns -= columns.mean((1, 2), keepdim=True)
    largest = columns.square().mean((1, 2), dtype=torch.float64).amax().sqrt()
    return columns / largest.clamp_min(torch.finfo(torch.float32).tiny).float()


def _resized(image: torch.Tensor, backbone: Backbone, longest_side: int) -> torch.Tensor:
    """(1, 3, y, x) normalised photo: sides that are multiples of the step, plus 1 where cells lie on corners."""
    h, w, _ = image.shape
    factor = min(_LARGEST_FACTOR, longest_side / max(h, w))
    size = [max(1, round(side * factor / backbone.step)) * backbone.step + backbone.corners for side in (h, w)]
    planes = image.permute(2, 0, 1)[None].float()
    photo = functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    mean, deviation = (photo.new_tensor(values)[:, None, None] for values in (backbone.mean, backbone.deviation))
    return (photo - mean) / deviation


def _centered_maps(backbone: Backbone, photo: torch.Tensor) -> list[torch.Tensor]:
    """Maps whose cells divide the photo into equal parts."""
    maps = backbone.maps(photo)
    return [_between(map_) for map_ in maps] if backbone.corners else maps


def _doubled(cells: torch.Tensor) -> torch.Tensor:
    """(C, 2 y, 2 x) bilinear interpolation: each cell becomes four."""
    size = (2 * cells.shape[1], 2 * cells.shape[2])
    return functional.interpolate(cells[None], size, mode="bilinear", align_corners=False)[0]


def _between(cells: torch.Tensor) -> torch.Tensor:
    """(C, 2 y - 2, 2 x - 2) from cells centred on the corners of others: at the quarters of those others."""
    return _doubled(cells)[:, 1:-1, 1:-1]


def _reduced(map_: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(d, y, x) principal components of `map_` (C, y, x), of total variance 1; zeros where it is constant."""
    vectors = map_.flatten(1)
    centered = vectors - vectors.mean(1, keepdim=True)
    directions = principal_directions(vectors, dimensions).to(vectors.dtype)
    components = (directions.T @ centered).reshape(-1, *map_.shape[1:])
    deviation = components.square().sum(0).mean().sqrt()
    if deviation <= _NOISE * vectors.abs().max():
        return torch.zeros_like(components)
    return components / deviation
