"""Tiles: equal to one piece with running statistics, refused with those of the image."""

from __future__ import annotations

import pytest
import torch

from softseg.errors import InputError
from softseg.features import tiling
from softseg.features.seed_network import SeedNetwork, SeedSizes
from softseg.features.tiling import halo, seed_features

SMALL = SeedSizes(blocks=(1, 2, 1, 1), width=4, taps=(2, 3, 4, 5, 6), rank=7, hidden=8, dimensions=9)


def make_network(batch_statistics: bool = False) -> SeedNetwork:
    torch.manual_seed(0)
    return SeedNetwork(SMALL, batch_statistics).eval().double()  # the result is rounded to float32, nothing before it


def photo(h: int, w: int) -> torch.Tensor:
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(h * w), dtype=torch.float64)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def tiles_run(monkeypatch: pytest.MonkeyPatch, network: SeedNetwork) -> list[tuple[int, ...]]:
    """The shapes that the base is going to see."""
    shapes: list[tuple[int, ...]] = []
    base = network.base.forward
    monkeypatch.setattr(network.base, "forward", lambda x: shapes.append(tuple(x.shape)) or base(x))
    return shapes


@pytest.mark.parametrize("size", [(20, 500), (301, 207), (333, 102), (92, 404)])
@pytest.mark.parametrize("tile", [56, 80, 136])
def test_tiles_give_what_one_piece_gives(size: tuple[int, int], tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of every kind modulo 8: TensorFlow's padding depends on it."""
    network, image = make_network(), photo(*size)
    whole = seed_features(network, image)
    shapes = tiles_run(monkeypatch, network)
    tiled = seed_features(network, image, tile=tile)
    assert len(shapes) == -(-(size[0] + 100) // tile) * -(-(size[1] + 100) // tile) > 1
    assert max(max(shape[2:]) for shape in shapes) < tile + 2 * halo(network) + 8
    assert difference(tiled, whole) < 1e-6


def test_less_halo_would_be_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = make_network(), photo(100, 300)
    whole, enough = seed_features(network, image), halo(network)
    monkeypatch.setattr(tiling, "halo", lambda network: enough - 24)
    assert difference(seed_features(network, image, tile=80), whole) > 1e-6


def test_the_halo_is_as_far_as_the_deepest_tap_sees() -> None:
    """Measured by what influences one value: the halo is at least that and at most 16 pixels more."""
    network = make_network()
    for parameter in network.parameters():
        parameter.data.abs_()  # all positive: no ReLU hides anything
    side = 2 * halo(network) + 101
    padded = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = side // 16
    network.tap(padded)[4][0, middle, middle].sum().backward()
    assert padded.grad is not None
    reached = padded.grad.abs().amax((0, 1, 2)).nonzero().flatten()
    reach = max(8 * middle - int(reached.min()), int(reached.max()) - 8 * middle)
    assert halo(network) - 16 <= reach <= halo(network)


def test_the_halo_of_the_released_network() -> None:
    with torch.device("meta"):
        assert halo(SeedNetwork()) == 528


def test_the_statistics_of_the_image_are_never_those_of_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = make_network(batch_statistics=True), photo(20, 300)
    with pytest.raises(
        InputError, match=r"cannot run in tiles; leave tile out, or set network\.batch_statistics = False"
    ):
        seed_features(network, image, tile=80)
    monkeypatch.setattr(tiling, "LARGEST_WHOLE", 10)
    shapes = tiles_run(monkeypatch, network)
    features = seed_features(network, image)
    assert shapes == [(1, 3, 120, 400)]
    with torch.no_grad():
        torch.testing.assert_close(features, network(image).float())


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_several_images_are_done_one_by_one(batch_statistics: bool) -> None:
    network = make_network(batch_statistics)
    images = torch.cat([photo(20, 300), photo(20, 300) ** 2])
    for tile in (None,) if batch_statistics else (None, 80):
        alone = torch.cat([seed_features(network, image[None], tile=tile) for image in images])
        assert difference(seed_features(network, images, tile=tile), alone) < 1e-6


def test_large_photos_are_tiled_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network()
    shapes = tiles_run(monkeypatch, network)
    monkeypatch.setattr(tiling, "LARGEST_WHOLE", 200 * 200)
    monkeypatch.setattr(tiling, "TILE", 80)
    seed_features(network, photo(100, 100))
    assert len(shapes) == 1
    seed_features(network, photo(100, 101))
    assert len(shapes) == 1 + 9


def test_bfloat16_is_near_and_comes_back_as_float32() -> None:
    network, image = make_network(batch_statistics=True).float(), photo(40, 60).float()
    exact, rough = seed_features(network, image), seed_features(network, image, torch.bfloat16)
    assert rough.dtype == torch.float32
    assert 1e-4 < difference(rough, exact) < 0.1
    assert not exact.requires_grad


def test_wrong_requests() -> None:
    with pytest.raises(InputError, match=r"cannot run in torch\.float16; use"):
        seed_features(make_network(), photo(4, 4), torch.float16)
    for tile in (0, -8, 100):
        with pytest.raises(InputError, match=f"the tile is {tile} pixels; use a positive multiple of 8"):
            seed_features(make_network(), photo(4, 4), tile=tile)
