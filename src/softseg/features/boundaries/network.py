"""The boundary network: the first stages of EfficientNet-Lite2, and a way back up to every fourth pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from softseg.features.efficientnet_lite import STAGES, EfficientNetLite, SameConv2d
from softseg.features.hypercolumn import fit_to_stride

GRID = 4  # input pixels between two cells of the map
REACH = 4  # input pixels to either side within which a drawn boundary counts for a cell
STRIDE = 32  # the sides of what the network sees are multiples of this, plus 1
LONGEST_SIDE = 481  # of the photo as the network sees it: that of the photos it has learned from
TRUNK_STAGES = 5  # at strides 2, 4, 8, 16 and 16; the two after them see the whole photo and know no edge
TOP_WIDTH, WIDTH, LAST_WIDTH = 64, 48, 32
RARE = -1.5  # logit from which training starts: a boundary is near one cell in five
# Root mean square of the outputs of the stages with the ImageNet weights, on photos (docs/features.md).
DEVIATIONS = (5.5, 9.5, 7.6, 6.1, 6.0)


class BoundaryNetwork(nn.Module):
    """Photo in, for every fourth pixel out: the share of people who draw a boundary within 4 pixels of it.

    The trunk starts from ImageNet and is trained further with the rest. On the way up each finer stage is added to what
    came from the coarser one, as in feature pyramids (Lin et al. 2017): the coarse stages know what is an object, the
    fine ones where it ends.
    """

    def __init__(self) -> None:
        super().__init__()
        trunk = EfficientNetLite()
        self.stem = trunk.stem
        self.stages = trunk.stages[:TRUNK_STAGES]
        channels = [stage.channels for stage in STAGES[:TRUNK_STAGES]]
        self.top = nn.Conv2d(channels[4], TOP_WIDTH, 1)  # stride 16
        self.around = nn.Conv2d(TOP_WIDTH, TOP_WIDTH, 3, padding=1)
        self.side8 = nn.Conv2d(channels[2], TOP_WIDTH, 1)
        self.mix8 = nn.Conv2d(TOP_WIDTH, WIDTH, 3, padding=1)
        self.side4 = nn.Conv2d(channels[1], WIDTH, 1)
        self.side2 = SameConv2d(channels[0], WIDTH, 3, 2)
        self.mix4 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.narrow = nn.Conv2d(WIDTH, LAST_WIDTH, 3, padding=1)
        self.last = nn.Conv2d(LAST_WIDTH, 1, 1)
        nn.init.constant_(cast(torch.Tensor, self.last.bias), RARE)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(b, (h - 1) / 4 + 1, (w - 1) / 4 + 1) logits of (b, 3, h, w) sRGB in [0, 1]; h and w: 32 m + 1."""
        x = functional.relu6(self.stem((image * 255 - 127) / 128))  # as EfficientNetLite
        outputs = []
        for stage, deviation in zip(self.stages, DEVIATIONS, strict=True):
            x = stage(x)
            outputs.append(x / deviation)
        y = functional.relu(self.around(functional.relu(self.top(outputs[4]))))
        y = functional.relu(self.mix8(functional.relu(_resized(y, outputs[2]) + self.side8(outputs[2]))))
        fine = self.side4(outputs[1]) + self.side2(outputs[0])
        y = functional.relu(self.mix4(functional.relu(_resized(y, fine) + fine)))
        logits: torch.Tensor = self.last(functional.relu(self.narrow(y)))[:, 0]
        return logits

    def extract(self, image: torch.Tensor) -> torch.Tensor:
        """(y, x) float32 shares in [0, 1] for one photo (h, w, 3) in [0, 1] of any size, spread evenly over it."""
        with torch.inference_mode():
            return torch.sigmoid(self(fit_to_stride(image, STRIDE, LONGEST_SIDE)))[0]

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """What comes from ImageNet."""
        yield from self.stem.parameters()
        yield from self.stages.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """What is trained from the start."""
        return (p for name, p in self.named_parameters() if not name.startswith(("stem.", "stages.")))


def _resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
