"""Features of photos that are too large for the seed's network in one piece: its base runs over overlapping tiles.

Only the base is tiled. The taps, which it leaves at 1/4 and 1/8 of the resolution, are put together whole, and the
per-pixel layers run over them strip by strip, exactly as without tiles.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from softseg.errors import InputError
from softseg.features.resnet import STRIDE, Bottleneck, SameConv2d
from softseg.features.seed_network import SeedNetwork

LARGEST_WHOLE = 16_000_000  # padded pixels that the base runs over in one piece
TILE = 2048  # pixels of a tile without its halo
_POOL = 2 * 2  # reach of the 3 x 3 max pooling in pixels, at stride 2 and with all of its padding on one side
_CONV1 = 4  # reach of the 7 x 7 convolution, with its odd pixel of padding


def seed_features(
    network: SeedNetwork, image: torch.Tensor, dtype: torch.dtype = torch.float32, tile: int | None = None
) -> torch.Tensor:
    """Run the network for use: without gradients, in single or half precision, in tiles if need be.

    Parameters
    ----------
    network : as it is used, in evaluation mode.
    image : (b, 3, h, w) floats on the network's device, sRGB in [0, 1].
    dtype : float32, or bfloat16: convolutions and matrix products in 8 bits of precision, half the memory. Faster where
        the processor or GPU multiplies such numbers (AMX, AVX-512 BF16, NVIDIA from Ampere on), many times slower
        elsewhere.
    tile : side of the tiles in pixels, without their overlap; a multiple of 8; for running statistics only. None: one
        piece, or beyond 16 megapixels, with running statistics, tiles of 2048.

    Returns
    -------
    (b, 128, h, w) float32.

    Raises
    ------
    InputError : another dtype, a tile that is no positive multiple of 8, tiles with batch statistics, or an input that
        the network refuses.

    Notes
    -----
    **With running statistics** tiles give what one piece gives, up to rounding: each is larger by `halo` on every side,
    which is at least as far as one value of a tap can see (its theoretical receptive field, found from the network's
    layers), and tiles begin and end where strides and TensorFlow's padding fall as in the whole photo.

    **With batch statistics** they cannot: every value depends on all pixels. Such a photo goes through the base in one
    piece, whatever its size, and tiles that are asked for are refused. Statistics found on the photo at reduced size
    were tried and discarded: they moved the features by half of their deviation. The base in one piece takes about as
    much memory as the features that come out, so little is lost on the CPU; on a small GPU use running statistics.

    Examples
    --------
    >>> from softseg.features.seed_network import SeedSizes
    >>> small = SeedSizes(blocks=(1, 1, 1, 1), width=4, taps=(2, 2, 2, 2, 2), rank=3, hidden=4, dimensions=5)
    >>> network = SeedNetwork(small, batch_statistics=False).eval()
    >>> photo = torch.rand(1, 3, 20, 150)
    >>> whole, tiled = seed_features(network, photo), seed_features(network, photo, tile=80)
    >>> bool((tiled - whole).abs().max() < 1e-5 * whole.abs().max())
    True
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise InputError(f"the network cannot run in {dtype}; use torch.float32 or torch.bfloat16")
    if tile is not None and (tile <= 0 or tile % STRIDE):
        raise InputError(f"the tile is {tile} pixels; use a positive multiple of {STRIDE}")
    if tile is not None and network.batch_statistics:
        raise InputError(
            "with the statistics of the whole photo the network cannot run in tiles; leave tile out, or set "
            "network.batch_statistics = False"
        )
    half = torch.autocast(image.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
    with torch.inference_mode(), half:
        padded = network.prepare(image)
        size = padded.shape[2], padded.shape[3]
        if tile is None and not network.batch_statistics and size[0] * size[1] > LARGEST_WHOLE:
            tile = TILE
        # Image by image needs less memory.
        taps = (network.tap(one) if tile is None else _tiled(network, one, tile) for one in torch.split(padded, 1))
        features = [network.describe(each, size).float() for each in taps]
        return features[0] if len(features) == 1 else torch.cat(features)


def halo(network: SeedNetwork) -> int:
    """How far, in pixels, a value of the deepest tap sees; rounded up to a multiple of 8.

    Examples
    --------
    >>> halo(SeedNetwork())
    528
    """
    reach, step = _CONV1 + _POOL, 4
    layers = [module for module in network.base.stages.modules() if isinstance(module, Bottleneck)]
    for block in layers:
        step *= block.branch2a.convolution.stride[0]
        reach += step * _reach(block.branch2b.convolution)
    reach += step * max(_reach(tap) for tap in network.taps if isinstance(tap, SameConv2d))
    return -(-reach // STRIDE) * STRIDE


def _reach(convolution: SameConv2d) -> int:
    return convolution.dilation[0] * (convolution.kernel_size[0] // 2)


def _tiled(network: SeedNetwork, padded: torch.Tensor, tile: int) -> list[torch.Tensor]:
    """The taps of the whole photo, from tiles."""
    border = halo(network)
    rows, columns = (list(_tiles(side, tile, border)) for side in padded.shape[2:])
    bands = []
    for row in rows:
        pieces = [_piece(network, padded, row, column) for column in columns]
        bands.append([torch.cat(parts, dim=2) for parts in zip(*pieces, strict=True)])
    return [torch.cat(parts, dim=1) for parts in zip(*bands, strict=True)]


class _Span:
    """One tile along one axis: what it reads, and what of it is kept, in pixels of the padded photo."""

    def __init__(self, start: int, stop: int, keep_start: int, keep_stop: int) -> None:
        self.read = slice(start, stop)
        self._keep = keep_start - start, keep_stop - start

    def kept(self, stride: int) -> slice:
        start, stop = self._keep
        return slice(start // stride, -(-stop // stride))


def _tiles(side: int, tile: int, border: int) -> Iterator[_Span]:
    """Tiles whose beginnings, and ends counted from the end of the photo, are multiples of 8.

    TensorFlow's padding before a stride depends on the size modulo 8 only, so it is the same for all of them.
    """
    for keep_start in range(0, side, tile):
        keep_stop = min(keep_start + tile, side)
        start, stop = max(0, keep_start - border), keep_stop + border + side % STRIDE
        yield _Span(start, min(stop, side), keep_start, keep_stop)


def _piece(network: SeedNetwork, padded: torch.Tensor, row: _Span, column: _Span) -> list[torch.Tensor]:
    """The kept part of each tap of one tile."""
    taps = network.tap(padded[:, :, row.read, column.read].contiguous(memory_format=torch.channels_last))
    strides = (1, 4, STRIDE, STRIDE, STRIDE)
    return [tap[:, row.kept(stride), column.kept(stride)].clone() for tap, stride in zip(taps, strides, strict=True)]
