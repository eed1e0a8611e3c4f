"""The seed's network: a hypercolumn of DeepLab-ResNet-101 and per-pixel layers, 128 features for every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.nn import functional

from softseg.errors import InputError
from softseg.features.resnet import BLOCKS, EXPANSION, WIDTH, DeepLabBase, Normalization, SameConv2d

PADDING = 50  # pixels of reflection around the photo, cut off again
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)  # of the photos that the base was first trained on
_DROPOUT = 0.5
# The 1024 channels of so many pixels stay in a processor's cache; a GPU wants fewer, larger steps (256 MiB in float32).
_PIXELS_AT_ONCE = {"cpu": 2048}
_PIXELS_AT_ONCE_ELSEWHERE = 65_536


@dataclass(frozen=True)
class SeedSizes:
    """How large the network is; the defaults are the released one's, smaller ones are for tests.

    taps : channels taken from the photo, pool1, and stages 3, 4 and 5.
    rank, hidden : of the two low-rank layers.
    """

    blocks: tuple[int, ...] = BLOCKS
    width: int = WIDTH
    taps: tuple[int, ...] = (4, 124, 128, 256, 512)
    rank: int = 256
    hidden: int = 512
    dimensions: int = 128


class LowRankLinear(nn.Module):
    """A linear layer as the product of two narrow matrices, with one bias after both."""

    def __init__(self, channels_in: int, rank: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels_in, rank, bias=False)
        self.expand = nn.Linear(rank, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.expand(self.reduce(x))
        return y


class SeedNetwork(nn.Module):
    """128 features for every pixel, by which pixels of the same region are told from others.

    Taps of the photo (/ 128), pool1 and stages 3, 4 and 5 of the base, each through a convolution of its own, are
    brought to the size of the photo and stacked, ReLU; then y1 = ReLU(A1 x), y2 = ReLU(A2 y1), f = A3 [y1, y2], A1 and
    A2 of low rank (the hidden layers are connected densely). In training, half of the inputs of A2 and of A3, the last
    two of the 1 x 1 stages, are dropped.

    Parameters
    ----------
    sizes : of the layers; the default is the released network.
    batch_statistics : normalise with the statistics of each single image (as released, also in use), or with running
        ones. Can be changed later, by the attribute of that name.

    ``forward`` takes (b, 3, h, w) floats, sRGB in [0, 1], from 1 x 1 pixels, and returns (b, 128, h, w). Without
    gradients the per-pixel layers run strip by strip: only the features themselves are ever as large as the photo.

    Raises
    ------
    InputError : the input is not (b, 3, h, w) floats.

    Notes
    -----
    Weights at first: Xavier for taps and per-pixel layers, He for the base, which training replaces by trained ones
    (`base_weights.load_base_weights`).
    Differs from the released network in: 1. a photo with a side below 51 pixels is reflected more than once, where
    TensorFlow refuses it; 2. several images at once are normalised one by one; 3. the padding is cut off before the
    per-pixel layers instead of after them, which gives the same.
    Source: supplement, Sec. 1; sizes, strides and normalisation as in the authors' released weights.

    Examples
    --------
    >>> small = SeedSizes(blocks=(1, 1, 1, 1), width=4, taps=(2, 2, 2, 2, 2), rank=3, hidden=4, dimensions=5)
    >>> SeedNetwork(small)(torch.rand(1, 3, 20, 30)).shape
    torch.Size([1, 5, 20, 30])
    """

    mean: torch.Tensor

    def __init__(self, sizes: SeedSizes | None = None, batch_statistics: bool = True) -> None:
        super().__init__()
        self.sizes = sizes = sizes or SeedSizes()
        self.base = DeepLabBase(sizes.blocks, sizes.width)
        deep = [EXPANSION * sizes.width * factor for factor in (2, 4, 8)]
        sources, kernels = (3, sizes.width, *deep), (1, 1, 1, 3, 3)
        self.taps = nn.ModuleList(
            SameConv2d(source, channels, kernel, bias=True)
            for source, channels, kernel in zip(sources, sizes.taps, kernels, strict=True)
        )
        self.fc1 = LowRankLinear(sum(sizes.taps), sizes.rank, sizes.hidden)
        self.fc2 = LowRankLinear(sizes.hidden, sizes.rank, sizes.hidden)
        self.fc3 = nn.Linear(2 * sizes.hidden, sizes.dimensions)
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[:, None, None], persistent=False)
        self.batch_statistics = batch_statistics
        self._initialize()

    @property
    def batch_statistics(self) -> bool:
        """Whether each image is normalised with its own statistics."""
        return self._batch_statistics

    @batch_statistics.setter
    def batch_statistics(self, wanted: bool) -> None:
        self._batch_statistics = wanted
        for module in self.base.modules():
            if isinstance(module, Normalization):
                module.batch_statistics = wanted

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """What trains with the smaller learning rate: everything of DeepLab."""
        return self.base.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """What trains with the larger learning rate: the taps and the per-pixel layers."""
        return chain.from_iterable(part.parameters() for part in (self.taps, self.fc1, self.fc2, self.fc3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        padded = self.prepare(image)
        return self.describe(self.tap(padded), (padded.shape[2], padded.shape[3]))

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """(b, 3, h + 100, w + 100): BGR from 0 to 255 minus the mean, reflected at the borders."""
        if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape or not image.is_floating_point():
            raise InputError(
                f"the network's input is {image.dtype} of shape {tuple(image.shape)}, expected floats (b, 3, h, w) "
                "in [0, 1]; divide bytes by 255, and put the channels before the rows"
            )
        padded = reflect(reflect(image.flip(1), 2), 3)
        return (255 * padded - self.mean).contiguous(memory_format=torch.channels_last)

    def tap(self, padded: torch.Tensor) -> list[torch.Tensor]:
        """(b, rows, columns, c) of each tap at its own resolution, strides 1, 4, 8, 8 and 8."""
        sources = (padded / 128, *self.base(padded))
        outputs = (convolution(source) for convolution, source in zip(self.taps, sources, strict=True))
        return [output.permute(0, 2, 3, 1).contiguous() for output in outputs]

    def describe(self, taps: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """(b, 128, h, w) from the taps of a padded photo of `size`: all but the padding."""
        h, w = (side - 2 * PADDING for side in size)
        if torch.is_grad_enabled():
            return self._describe_rows(taps, size, 0, h).permute(0, 3, 1, 2)
        features = taps[0].new_empty(len(taps[0]), self.sizes.dimensions, h, w)
        step = max(1, _PIXELS_AT_ONCE.get(features.device.type, _PIXELS_AT_ONCE_ELSEWHERE) // w)
        for start in range(0, h, step):
            stop = min(start + step, h)
            features[:, :, start:stop] = self._describe_rows(taps, size, start, stop).permute(0, 3, 1, 2)
        return features

    def _describe_rows(
        self, taps: Sequence[torch.Tensor], size: tuple[int, int], start: int, stop: int
    ) -> torch.Tensor:
        """(b, rows, w, 128) features of the rows from `start` to `stop` of the photo."""
        rows, columns = (PADDING + start, PADDING + stop), (PADDING, size[1] - PADDING)
        parts = [resize(resize(tap, 1, size[0], *rows), 2, size[1], *columns) for tap in taps]
        x = functional.relu(torch.cat(parts, dim=3), inplace=True)
        first = functional.relu(self.fc1(x), inplace=True)
        second = functional.relu(self.fc2(self._dropped(first)), inplace=True)
        features: torch.Tensor = self.fc3(self._dropped(torch.cat([first, second], dim=3)))
        return features

    def _dropped(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, _DROPOUT, self.training)

    def _initialize(self) -> None:
        for module in self.base.modules():
            if isinstance(module, SameConv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for part in (self.taps, self.fc1, self.fc2, self.fc3):
            for module in part.modules():
                if isinstance(module, (SameConv2d, nn.Linear)):
                    nn.init.xavier_uniform_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)


def reflect(x: torch.Tensor, dim: int, padding: int = PADDING) -> torch.Tensor:
    """`x` with `padding` more on both sides, mirrored about its first and last entries, as often as it takes.

    Examples
    --------
    >>> reflect(torch.tensor([1, 2, 3]), 0, padding=4).tolist()
    [1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]
    """
    last = x.shape[dim] - 1
    position = torch.arange(-padding, last + padding + 1, device=x.device)
    position = (position % (2 * last) if last else position.zero_()).to(torch.int64)
    return x.index_select(dim, torch.where(position > last, 2 * last - position, position))


def resize(x: torch.Tensor, dim: int, size: int, start: int, stop: int) -> torch.Tensor:
    """The entries from `start` to `stop` of `x`, linearly resized to `size` along `dim`.

    Entry i lies at i * n / size (TensorFlow 1: no aligned corners, no half-pixel centres); what lies beyond the last
    entry is that entry.

    Examples
    --------
    >>> resize(torch.tensor([0.0, 2.0, 4.0]), 0, 6, 1, 6).tolist()
    [1.0, 2.0, 3.0, 4.0, 4.0]
    """
    n = x.shape[dim]
    if n == size:
        return x.narrow(dim, start, stop - start)
    position = torch.arange(start, stop, dtype=torch.float64, device=x.device) * (n / size)
    low = position.floor()
    weight = (position - low).to(x.dtype).reshape(-1, *[1] * (x.ndim - dim - 1))
    lower = low.to(torch.int64).clamp(max=n - 1)
    return x.index_select(dim, lower).lerp(x.index_select(dim, (lower + 1).clamp(max=n - 1)), weight)
