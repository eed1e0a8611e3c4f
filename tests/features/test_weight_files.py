"""Weights that were trained or imported here, used as a feature model by the name of their file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from softseg.errors import ModelError
from softseg.features import checkpoints, extract, is_model, model_digest
from softseg.features.embedded import EmbeddedNetwork
from softseg.features.registry import check_weights, find_model
from softseg.features.seed_network import SeedNetwork, SeedSizes
from softseg.pipeline import decompose

IMAGE = np.random.default_rng(0).random((20, 30, 3))
SMALL = SeedSizes(blocks=(1, 1, 1, 1), width=4, taps=(2, 2, 2, 2, 2), rank=3, hidden=4, dimensions=5)
RECIPE = {"recipe": json.dumps({"network": "embedded", "steps": 10})}


@pytest.fixture(scope="module")
def network() -> EmbeddedNetwork:
    torch.manual_seed(0)
    return EmbeddedNetwork().eval().requires_grad_(False)


def write(network: torch.nn.Module, path: Path, about: dict[str, str] | None) -> Path:
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, path, about)
    return path


@pytest.mark.parametrize("about", [{"format": "softseg-embedded"}, {"format": "pt", "network": "embedded"}, RECIPE])
def test_a_trained_embedded_network(about: dict[str, str], network: EmbeddedNetwork, tmp_path: Path) -> None:
    path = write(network, tmp_path / "model.safetensors", about)
    rounded = EmbeddedNetwork().eval().requires_grad_(False)
    rounded.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    expected = rounded.extract(torch.from_numpy(IMAGE)).permute(1, 2, 0).numpy()
    found = extract(IMAGE, model=str(path), device="cpu")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert model_digest(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not check_weights(find_model(str(path)))  # readable, but no checksum is known beforehand


@pytest.mark.parametrize("trained", [False, True])
def test_weights_of_the_seeds_network(trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = SeedNetwork(SMALL).eval()
    about = {"recipe": json.dumps({"network": "seed"})} if trained else {"format": checkpoints.FORMAT, "source": "x"}
    path = tmp_path / "seed.safetensors"
    save_file(network.state_dict(), path, about)
    load = checkpoints.load_seed_network
    monkeypatch.setattr(checkpoints, "load_seed_network", lambda path: load(path, SMALL))
    with torch.inference_mode():
        expected = network(torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(extract(IMAGE, model=str(path), device="cpu"), expected, atol=1e-4)


def test_what_is_a_file_of_weights(tmp_path: Path) -> None:
    for name in ("model.safetensors", "run/Model.SAFETENSORS", Path("a@b/model.safetensors")):
        assert is_model(name), name
    (tmp_path / "folder.safetensors").mkdir()
    for other in ("model.npy", tmp_path / "folder.safetensors", "safetensors"):
        assert not is_model(other), other
    assert find_model("hub:owner/name.safetensors").source == "owner/name.safetensors"


@pytest.mark.parametrize("as_path", [False, True])
def test_the_pipeline_takes_the_file(as_path: bool, network: EmbeddedNetwork, tmp_path: Path) -> None:
    path = write(network, tmp_path / "model.safetensors", RECIPE)
    found = decompose(IMAGE, features=path if as_path else str(path), device="cpu")
    assert found.features.shape == (20, 30, 3)
    assert found.model == {"name": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("about", "found"),
    [
        (None, "None"),
        ({"format": "pt"}, "'pt'"),
        ({"recipe": json.dumps({"network": "tiny"})}, "'tiny'"),
        ({"recipe": "{"}, "None"),
        ({"recipe": "[1]"}, "None"),
        ({"recipe": "[" * 100_000}, "None"),
    ],
)
def test_weights_of_something_else(about: dict[str, str] | None, found: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path, about)
    words = f"has the format {found}, expected 'softseg-embedded' or 'softseg-seed-resnet101'; give a file that softseg"
    for call in (lambda: extract(IMAGE, model=str(path)), lambda: decompose(IMAGE, features=path)):
        with pytest.raises(ModelError, match=words):
            call()


def test_missing_and_damaged_files(network: EmbeddedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=r"there is no file .*softseg train and softseg models import write"):
        extract(IMAGE, model=str(path))
    for content in (b"", b"not safetensors", write(network, path, RECIPE).read_bytes()[:-1]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"cannot be read: .*; copy it again, or train or import it again"):
            extract(IMAGE, model=str(path))
    save_file({"first.weight": torch.zeros(3, 3)}, path, RECIPE)
    with pytest.raises(ModelError, match=r"does not fit the embedded network: .*; copy it again, or train it again"):
        extract(IMAGE, model=str(path))


def test_such_a_file_has_no_options(network: EmbeddedNetwork, tmp_path: Path) -> None:
    path = write(network, tmp_path / "model.safetensors", RECIPE)
    with pytest.raises(ModelError, match="has no options; leave out '@896'"):
        find_model(f"{path}@896")
