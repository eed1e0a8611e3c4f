"""The embedded network: a hypercolumn of EfficientNet-Lite2 under per-pixel layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from softseg.features.efficientnet_lite import STAGES, STRIDE, EfficientNetLite
from softseg.features.hypercolumn import fit_to_stride, to_photo

GRID = 4  # input pixels between two feature vectors
LONGEST_SIDE = 640  # of the photo as the network sees it
FROZEN_STAGES = 3
SLOPE = 0.1  # of the rectifiers below zero
DROPOUT = 0.2  # of the two hidden per-pixel layers, in training
# Root mean square of each stage's output with the ImageNet weights, on photos: without batch normalisation nothing else
# brings the taps to one scale.
STAGE_DEVIATIONS = (5.5, 9.5, 7.6, 6.1, 6.0, 6.9, 2.3)


class Tap(NamedTuple):
    """A stage of the trunk, and the width to which its output is reduced."""

    stage: int
    width: int


TAPS = (Tap(1, 32), Tap(2, 32), Tap(3, 48), Tap(4, 64), Tap(6, 128))
COLOR_WIDTH = 8
HIDDEN = 256
DIMENSIONS = 64


class EmbeddedNetwork(nn.Module):
    """Photo in, a vector for every pixel out; distances between them say "same region or not".

    As the seed's network (supplement, Sec. 1) with a lighter base: activations at several depths are reduced by 1 x 1
    convolutions, resized to one grid and concatenated; two per-pixel layers with a dense connection and a linear one
    follow. Differs in: 1. EfficientNet-Lite2 instead of ResNet-101, its batch normalisation folded away. 2. Leaky
    rectifiers: plain ones died by the hundred in the first steps. 3. The grid has one vector every four input pixels;
    `forward` interpolates.
    """

    def __init__(self, taps: tuple[Tap, ...] = TAPS, hidden: int = HIDDEN, dimensions: int = DIMENSIONS) -> None:
        super().__init__()
        self.taps = taps
        self.trunk = EfficientNetLite()
        self.color = nn.Conv2d(3, COLOR_WIDTH, 1)
        self.reduce = nn.ModuleList(nn.Conv2d(STAGES[tap.stage].channels, tap.width, 1) for tap in taps)
        width = COLOR_WIDTH + sum(tap.width for tap in taps)
        self.first = nn.Conv2d(width, hidden, 1)
        self.second = nn.Conv2d(hidden, hidden, 1)
        self.last = nn.Conv2d(2 * hidden, dimensions, 1)
        for layer in (self.color, *self.reduce, self.first, self.second, self.last):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(b, D, h, w) float features of (b, 3, h, w) sRGB in [0, 1]; h and w are multiples of 32 plus 1."""
        return _resized(self.forward_coarse(image), list(image.shape[-2:]))

    def forward_coarse(self, image: torch.Tensor) -> torch.Tensor:
        """(b, D, (h - 1) / 4 + 1, (w - 1) / 4 + 1): the vectors at every fourth pixel, from the corner (0, 0) on."""
        size = [(side - 1) // GRID + 1 for side in image.shape[-2:]]
        return self._pixelwise(torch.cat([_resized(part, size) for part in self._reduced(image)], 1))

    def forward_at(self, image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """(n, D) vectors at the n pixels y * w + x of one photo (1, 3, h, w): what training needs, and no more."""
        h, w = image.shape[-2:]
        y, x = torch.div(pixels, w, rounding_mode="floor"), pixels % w
        points = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], 1).to(image.dtype)[None, None]  # (1, 1, n, 2)
        picked = [functional.grid_sample(part, points, align_corners=True) for part in self._reduced(image)]
        return self._pixelwise(torch.cat(picked, 1))[0, :, 0].T

    def _reduced(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The colours and every tap, reduced by its 1 x 1 convolution, each at its own resolution."""
        outputs = self.trunk(image)
        parts = [self.color(image[..., ::GRID, ::GRID] * 2 - 1)]
        for tap, reduce in zip(self.taps, self.reduce, strict=True):
            parts.append(reduce(outputs[tap.stage] / STAGE_DEVIATIONS[tap.stage]))
        return parts

    def _pixelwise(self, hypercolumn: torch.Tensor) -> torch.Tensor:
        """The per-pixel layers with their dense connection."""
        one = functional.dropout(_rectified(self.first(_rectified(hypercolumn))), DROPOUT, self.training)
        two = functional.dropout(_rectified(self.second(one)), DROPOUT, self.training)
        features: torch.Tensor = self.last(torch.cat([one, two], 1))
        return features

    def extract(self, image: torch.Tensor) -> torch.Tensor:
        """(D, h, w) float32 features of one photo (h, w, 3) in [0, 1], of any size, as the network sees it best."""
        with torch.inference_mode():
            photo = fit_to_stride(image, STRIDE, LONGEST_SIDE)
            seen, size = (photo.shape[2], photo.shape[3]), (image.shape[0], image.shape[1])
            return to_photo(self.forward_coarse(photo), seen, size)[0]

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """What comes from ImageNet and is trained further: not the stem and the first stages, edges and textures."""
        return self.trunk.stages[FROZEN_STAGES:].parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """What is trained from the start."""
        return (parameter for name, parameter in self.named_parameters() if not name.startswith("trunk."))


def _rectified(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, SLOPE)


def _resized(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    if list(x.shape[-2:]) == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)
