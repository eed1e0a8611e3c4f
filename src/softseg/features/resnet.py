"""DeepLab-ResNet-101, the base of the seed's network: convolutions, strides, dilations and normalisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

BLOCKS = (3, 4, 23, 3)
WIDTH = 64  # channels of conv1; stage n reduces to WIDTH * 2^(n - 2) channels
EXPANSION = 4
STRIDE = 8  # photo pixels per pixel of stages 3 to 5
_EPSILON = 1e-3
_MOMENTUM = 0.01  # share of the newest image in the running statistics
_STRIDES = {2: 1, 3: 2, 4: 1, 5: 1}
_DILATIONS = {2: 1, 3: 1, 4: 2, 5: 4}


class SameConv2d(nn.Conv2d):
    """A convolution with ceil(n / stride) outputs: zero padding, its odd pixel at the end (TensorFlow "SAME")."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = False
    ) -> None:
        # Only a stride makes the padding depend on the size of the photo.
        padding = dilation * (kernel // 2) if stride == 1 else 0
        super().__init__(channels_in, channels, kernel, stride, padding, dilation, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride[0] > 1:
            x = pad_same(x, self.kernel_size[0], self.stride[0])
        return super().forward(x)


def pad_same(x: torch.Tensor, kernel: int, stride: int, value: float = 0.0) -> torch.Tensor:
    """(b, c, h, w) with the border that TensorFlow gives it before a strided window operation without dilation."""
    rows, columns = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
    if not (rows or columns):
        return x
    return functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=value)


class Normalization(nn.Module):
    """Batch normalisation on the statistics of each single image, or on running ones.

    batch_statistics : True: every image of the batch is normalised with its own mean and (biased) variance over all
        pixels, in training as in use; a batch therefore gives what its images give one by one, and where there is one
        image per step it is the ordinary batch normalisation. False: with the running ones, which then do not change.

    In training with batch statistics the running ones follow, as an exponential average over the images.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batch_statistics = True
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.batch_statistics:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, _EPSILON)
        if self.training:
            self._follow(x)
        if len(x) == 1:  # the same, and it keeps the channels innermost in memory
            return functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, _EPSILON)
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=_EPSILON)

    @torch.no_grad()
    def _follow(self, x: torch.Tensor) -> None:
        variance, mean = torch.var_mean(x.to(self.running_mean.dtype), (2, 3), correction=0)
        self.running_mean.lerp_(mean.mean(0), _MOMENTUM)
        self.running_var.lerp_(variance.mean(0), _MOMENTUM)


class ConvNorm(nn.Module):
    """A convolution without bias and the normalisation after it."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = SameConv2d(channels_in, channels, kernel, stride, dilation)
        self.norm = Normalization(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.convolution(x))
        return y


class Bottleneck(nn.Module):
    """1 x 1 to fewer channels, dilated 3 x 3, 1 x 1 to more; plus the input. Its last ReLU is left to the caller.

    The stride sits on the first 1 x 1 and on the projection of the input, as in Caffe; later ResNets have it on the
    3 x 3.
    """

    def __init__(self, channels_in: int, width: int, stride: int, dilation: int, first: bool) -> None:
        super().__init__()
        wide = EXPANSION * width
        self.branch1 = ConvNorm(channels_in, wide, 1, stride) if first else None
        self.branch2a = ConvNorm(channels_in, width, 1, stride)
        self.branch2b = ConvNorm(width, width, 3, dilation=dilation)
        self.branch2c = ConvNorm(width, wide, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.branch2a(x), inplace=True)
        y = functional.relu(self.branch2b(y), inplace=True)
        total: torch.Tensor = self.branch2c(y)
        total += x if self.branch1 is None else self.branch1(x)
        return total


class Outputs(NamedTuple):
    """What the network's taps read: (b, c, rows, columns), at strides 4, 8, 8, 8."""

    pool1: torch.Tensor
    stage3: torch.Tensor
    stage4: torch.Tensor
    stage5: torch.Tensor  # before its last ReLU


class DeepLabBase(nn.Module):
    """DeepLab-ResNet-101 (v2, output stride 8) up to its last residual stage.

    Parameters
    ----------
    blocks : bottlenecks of stages 2 to 5; (3, 4, 23, 3) is ResNet-101, less is for tests.
    width : channels of the first convolution.

    ``forward`` takes (b, 3, h, w) BGR from 0 to 255 minus the mean, any size, and returns `Outputs`.

    Notes
    -----
    Source: Chen et al. 2017 (DeepLab), with the strides and the padding of the released weights.
    """

    def __init__(self, blocks: Sequence[int] = BLOCKS, width: int = WIDTH) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, width, 7, stride=2)
        self.stages = nn.ModuleDict({str(stage): nn.ModuleDict() for stage in _STRIDES})
        channels = width
        for stage, name in block_names(blocks):
            first = name == f"{stage}a"
            inner = width * 2 ** (stage - 2)
            block = Bottleneck(channels, inner, _STRIDES[stage] if first else 1, _DILATIONS[stage], first)
            self._stage(stage)[name] = block
            channels = EXPANSION * inner

    def forward(self, x: torch.Tensor) -> Outputs:
        x = functional.relu(self.conv1(x), inplace=True)
        pool1 = functional.max_pool2d(pad_same(x, 3, 2, value=float("-inf")), 3, 2)
        x = functional.relu(self._run(2, pool1), inplace=True)
        stage3 = functional.relu(self._run(3, x), inplace=True)
        stage4 = functional.relu(self._run(4, stage3), inplace=True)
        return Outputs(pool1, stage3, stage4, self._run(5, stage4))

    def _stage(self, stage: int) -> nn.ModuleDict:
        found = self.stages[str(stage)]
        assert isinstance(found, nn.ModuleDict)
        return found

    def _run(self, stage: int, x: torch.Tensor) -> torch.Tensor:
        """The stage's output before its last ReLU."""
        for index, block in enumerate(self._stage(stage).values()):
            x = block(functional.relu(x, inplace=True) if index else x)
        return x


def block_names(blocks: Sequence[int] = BLOCKS) -> Iterator[tuple[int, str]]:
    """(stage, name) of every bottleneck, as in the released weights: 2a 2b 2c, 3a 3b1 3b2 3b3, ..., 5a 5b 5c.

    Examples
    --------
    >>> [name for stage, name in block_names() if stage in (2, 3)]
    ['2a', '2b', '2c', '3a', '3b1', '3b2', '3b3']
    """
    for stage, count in zip(_STRIDES, blocks, strict=True):
        for index in range(count):
            numbered = stage in (3, 4) and index
            yield stage, f"{stage}b{index}" if numbered else f"{stage}{'abcdefghijklmnopqrstuvwxyz'[index]}"
