"""Weights in and out: a checkpoint that TensorFlow wrote gives TensorFlow's features; anything wrong is named."""

from __future__ import annotations

import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from softseg.errors import ModelError, OutputError
from softseg.features.checkpoints import FORMAT, import_checkpoint, load_seed_network, tensorflow_names
from softseg.features.seed_network import SeedNetwork, SeedSizes

from .bundle import write_bundle

SMALL = SeedSizes(blocks=(1, 2, 2, 2), width=2, taps=(2, 2, 3, 2, 4), rank=3, hidden=4, dimensions=5)


def make_network() -> SeedNetwork:
    """Every entry of its state is different."""
    torch.manual_seed(0)
    network = SeedNetwork(SMALL).eval()
    for value in network.state_dict().values():
        torch.nn.init.uniform_(value, 0.1, 1.0)
    return network


def variables(network: SeedNetwork, *, matrices: bool = True) -> dict[str, np.ndarray]:
    """The network as TensorFlow stores it; `matrices`: low-rank layers with two axes, else with four."""
    state, found = network.state_dict(), {}
    for key, name in tensorflow_names(SMALL).items():
        values = state[key].numpy()
        if values.ndim == 4:
            values = values.transpose(2, 3, 1, 0)
        elif values.ndim == 2:
            values = values.T if matrices else values.T[None, None]
        found[name] = np.ascontiguousarray(values)
    return found


@pytest.fixture(scope="module")
def tensorflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed; pip install tensorflow-cpu")
    folder = tmp_path_factory.mktemp("tensorflow")
    script = Path(__file__).with_name("tensorflow_seed.py")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, script, folder], env=quiet, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    yield folder
    shutil.rmtree(folder)  # 650 MB


@pytest.mark.slow
def test_the_features_are_those_of_tensorflow(tensorflow_folder: Path) -> None:
    """The whole network, at its released size and under its released names, from TensorFlow's own files."""
    output = tensorflow_folder / "seed.safetensors"
    report = import_checkpoint(tensorflow_folder / "model.ckpt.index", output)
    assert report.ignored == ("conv1/weights/Momentum", "global_step")
    assert report.extra == ("fc1_voc12_c0/biases",)
    network = load_seed_network(output)
    assert sum(value.numel() for value in network.state_dict().values()) == report.parameters
    with np.load(tensorflow_folder / "result.npz") as result:
        image = torch.from_numpy(result["image"]).permute(2, 0, 1)[None]
        for expected, batch_statistics in ((result["own"], True), (result["running"], False)):
            network.batch_statistics = batch_statistics
            with torch.inference_mode():
                found = network(image)[0].permute(1, 2, 0).numpy()
            assert found.shape == expected.shape == (64, 77, 128)
            # Float32 on both sides; the largest differences measured: 5.1e-5 and 6.0e-5, of features up to 4 and 23.
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
            assert np.abs(found - expected).max() < 2e-4 * expected.std()


@pytest.mark.parametrize("matrices", [True, False])
def test_a_checkpoint_gives_the_network_that_it_was_made_from(matrices: bool, tmp_path: Path) -> None:
    network = make_network()
    index = write_bundle(tmp_path / "model.ckpt-1", variables(network, matrices=matrices), shards=2)
    report = import_checkpoint(index, tmp_path / "seed.safetensors", SMALL)
    state = network.state_dict()
    assert (report.tensors, report.parameters) == (len(state), sum(value.numel() for value in state.values()))
    assert (report.ignored, report.extra) == ((), ())
    loaded = load_seed_network(tmp_path / "seed.safetensors", SMALL)
    assert not loaded.training
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, state[key]), key
    image = torch.rand(1, 3, 9, 12)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))
    with safe_open(tmp_path / "seed.safetensors", framework="np") as file:
        about = file.metadata()
    assert about == {"format": FORMAT, "source": "model.ckpt-1.index", "source_index_sha256": report.digest}
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == []


def test_the_names_are_the_released_ones() -> None:
    names = tensorflow_names()
    assert len(set(names.values())) == len(names)
    for name in (
        "conv1/weights",
        "bn_conv1/moving_variance",
        "res2a_branch1/weights",
        "bn2a_branch1/gamma",
        "res3b1_branch2a/weights",
        "res4b22_branch2c/weights",
        "res5c_branch2c/weights",
        "hypercolumn_layers/hc_cv_5/biases",
        "fc1_matting/linear/fc_weights2",
        "fc3_matting/linear/fc_biases",
    ):
        assert name in names.values()
    assert set(names) == set(SeedNetwork().state_dict())


def test_what_is_missing_misshapen_or_unknown_is_named_and_nothing_written(tmp_path: Path) -> None:
    found = variables(make_network())
    del found["res3b1_branch2b/weights"]
    found["bn_conv1/gamma"] = np.zeros(3, dtype=np.float32)
    found["fc3_matting/linear/fc_weights1"] = found["fc3_matting/linear/fc_weights1"].T.copy()
    found["fc9/weights"] = found["fc9/weights/Adam"] = np.zeros(2, dtype=np.float32)
    with pytest.raises(ModelError) as caught:
        import_checkpoint(write_bundle(tmp_path / "m", found), tmp_path / "seed.safetensors", SMALL)
    for part in (
        "missing res3b1_branch2b/weights",
        "bn_conv1/gamma has shape (3,) instead of (2,)",
        "fc3_matting/linear/fc_weights1 has shape (5, 8) instead of (8, 5)",
        "unknown fc9/weights; use",
    ):
        assert part in str(caught.value)
    assert "Adam" not in str(caught.value)
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_wrong_size_is_refused_before_any_data_are_read(tmp_path: Path) -> None:
    index = write_bundle(tmp_path / "m", variables(make_network()))
    (tmp_path / "m.data-00000-of-00001").unlink()
    with pytest.raises(ModelError, match=r"conv1/weights has shape \(7, 7, 3, 2\) instead of \(7, 7, 3, 64\)"):
        import_checkpoint(index, tmp_path / "seed.safetensors")


def test_what_an_optimizer_left_is_reported_apart(tmp_path: Path) -> None:
    found = variables(make_network())
    slots = ["conv1/weights/Momentum", "fc3_matting/linear/fc_biases/Adam_1", "global_step", "beta1_power"]
    found |= dict.fromkeys([*slots, "fc1_voc12_c0/weights"], np.zeros(2, dtype=np.float32))
    report = import_checkpoint(write_bundle(tmp_path / "m", found), tmp_path / "seed.safetensors", SMALL)
    assert report.ignored == tuple(sorted(slots))
    assert report.extra == ("fc1_voc12_c0/weights",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("conv1/weights", np.nan), ("fc3_matting/linear/fc_biases", np.inf), ("bn_conv1/moving_variance", -1)],
)
def test_impossible_numbers_are_refused(name: str, value: float, tmp_path: Path) -> None:
    found = variables(make_network())
    found[name].flat[0] = value
    with pytest.raises(ModelError, match=f"the variable {name} of .* holds numbers that no training leaves"):
        import_checkpoint(write_bundle(tmp_path / "m", found), tmp_path / "seed.safetensors", SMALL)


def test_a_damaged_checkpoint_leaves_the_last_good_file(tmp_path: Path) -> None:
    output = tmp_path / "seed.safetensors"
    output.write_bytes(b"the last good one")
    index = write_bundle(tmp_path / "m", variables(make_network()), crc=5)
    with pytest.raises(ModelError, match="does not have the checksum"):
        import_checkpoint(index, output, SMALL)
    assert output.read_bytes() == b"the last good one"


def test_nowhere_to_write(tmp_path: Path) -> None:
    index = write_bundle(tmp_path / "m", variables(make_network()))
    with pytest.raises(OutputError, match="create the folder first"):
        import_checkpoint(index, tmp_path / "missing" / "seed.safetensors", SMALL)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "seed.safetensors"
    import_checkpoint(write_bundle(tmp_path / "m", variables(make_network())), path, SMALL)
    return path


def test_half_precision_is_loaded_as_single(weights: Path) -> None:
    half = {key: value.half() for key, value in load_file(weights).items()}
    save_file(half, weights, {"format": FORMAT})
    state = load_seed_network(weights, SMALL, batch_statistics=False).state_dict()
    assert all(state[key].dtype == torch.float32 and torch.equal(state[key], half[key].float()) for key in half)


def test_damaged_weights_are_refused(weights: Path) -> None:
    data = weights.read_bytes()
    forged = (1 << 62).to_bytes(8, "little")
    for content in (b"", data[:5], data[:100], data[:-1], forged + data[8:], data[:8] + b"[" * 500 + data[508:]):
        weights.write_bytes(content)
        with pytest.raises(ModelError, match=r"seed.safetensors cannot be read: .*; import the checkpoint again"):
            load_seed_network(weights, SMALL)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trap",)


def test_other_files_are_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="there is no file"):
        load_seed_network(tmp_path / "missing.safetensors", SMALL)
    tensors = load_file(weights)
    for about in (None, {"format": "pt"}):
        save_file(tensors, weights, about)
        with pytest.raises(ModelError, match=r"has the format .*, expected 'softseg-seed-resnet101'"):
            load_seed_network(weights, SMALL)
    weights.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="cannot be read"):
        load_seed_network(weights, SMALL)
    assert not (tmp_path / "trap").exists()


def test_missing_unknown_and_misshapen_tensors_are_named(weights: Path) -> None:
    tensors = load_file(weights)
    tensors["surplus"] = tensors.pop("fc3.bias")
    tensors["fc3.weight"] = tensors["fc3.weight"][:, :-1].contiguous()
    save_file(tensors, weights, {"format": FORMAT})
    with pytest.raises(ModelError) as caught:
        load_seed_network(weights, SMALL)
    for part in ("missing fc3.bias", "unknown surplus", "fc3.weight has shape (5, 7) instead of (5, 8)"):
        assert part in str(caught.value)
