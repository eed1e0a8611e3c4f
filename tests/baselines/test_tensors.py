"""Reading weights: nothing in a file is run, and nothing of it is missing, left over or misshapen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from softseg.baselines.tensors import fill, read_tensors, weight_file
from softseg.errors import ModelError


class Opener:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize("wrapped", ["", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_torch_saved_is_what_arrives(wrapped: str, prefix: str, tmp_path: Path) -> None:
    state = network().state_dict()
    saved = {f"{prefix}{key}": value for key, value in state.items()}
    torch.save({wrapped: saved, "epoch": 3} if wrapped else saved, tmp_path / "a.pth")
    read = read_tensors(tmp_path / "a.pth")
    assert list(read) == list(state)
    other = network()
    fill(other, read, tmp_path / "a.pth", "a test")
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"weight": Opener(tmp_path / "made")}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"a\.pth cannot be read as tensors"):
        read_tensors(tmp_path / "a.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"a": 1}, {}, [torch.zeros(1)], {"a": torch.zeros(1), "b": "text"}])
def test_what_is_not_tensors(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="does not hold a dictionary of tensors"):
        read_tensors(tmp_path / "a.pth")


def test_no_file_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        read_tensors(tmp_path / "none.pth")
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).write_bytes(b"damaged")
        with pytest.raises(ModelError, match=rf"{name} cannot be read as tensors: .*fetch it again"):
            read_tensors(tmp_path / name)


def test_everything_must_fit() -> None:
    good = network().state_dict()
    for change, words in (
        ({"0.bias": None}, r"0\.bias missing"),
        ({"0.extra": torch.zeros(1)}, r"0\.extra unexpected"),
        ({"0.weight": torch.zeros(4, 3, 2, 2)}, r"0\.weight has shape \(4, 3, 2, 2\) instead of \(4, 3, 1, 1\)"),
        ({"1.running_var": None, "1.old": torch.zeros(1)}, r"1\.running_var missing; 1\.old unexpected"),
        ({"0.bias": torch.full((4,), torch.nan)}, r"damaged: 0\.bias hold values that are not finite"),
    ):
        state = {key: value for key, value in (good | change).items() if value is not None}
        target = network()
        before = target.state_dict()["0.weight"].clone()
        with pytest.raises(ModelError, match=words):
            fill(target, state, Path("a.pth"), "a test")
        assert torch.equal(target.state_dict()["0.weight"], before)


def test_the_counter_of_training_steps_is_not_needed() -> None:
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    fill(network(), state, Path("a.pth"), "a test")
    fill(nn.Sequential(nn.Conv2d(3, 4, 1)), {k: v for k, v in state.items() if k[0] == "0"}, Path("a"), "a test")


def test_the_weights_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        weight_file(tmp_path)
    torch.save({}, tmp_path / "a.pth")
    assert weight_file(tmp_path) == tmp_path / "a.pth"
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert weight_file(tmp_path) == tmp_path / "b.safetensors"
    save_file({"a": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match=r"holds b\.safetensors, c\.safetensors; expected one file"):
        weight_file(tmp_path)
