"""`softseg features`: the formats, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from .conftest import FakeFeatures

Run = Callable[..., Any]


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.asarray(np.load(path))
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return np.asarray(archive["features"])
    return np.asarray(loadmat(path)["features"])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".NPY"])
@pytest.mark.parametrize(("option", "depth"), [("--raw", 12), ("--projected", 3), (None, 12)])
def test_formats(
    suffix: str, option: str | None, depth: int, softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"f{suffix}"
    run = softseg("features", photo, "-o", output, "--model", "hub", "--device", "cpu", *([option] if option else []))
    assert (run.exit_code, run.exception) == (0, None)
    assert read(output if suffix.islower() else output.rename(tmp_path / "f.npy")).shape == (20, 40, depth)
    assert feature_models.calls == [("hub", "cpu")]
    assert run.stdout == f"{photo} -> {output}: features of shape (20, 40, {depth})\n"


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_the_same_features_give_the_same_bytes(
    suffix: str, softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for output in outputs:
        assert softseg("features", photo, "-o", output).exit_code == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert suffix != ".mat" or b"Created on" not in outputs[0].read_bytes()


def test_png_is_projected_and_says_its_depth(
    softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path
) -> None:
    run = softseg("features", photo, "-o", tmp_path / "f.png")
    assert run.exit_code == 0
    assert "(20, 40, 3), 8 bits per channel" in run.stdout
    with Image.open(tmp_path / "f.png") as picture, Image.open(photo) as original:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(original))


def test_quiet(softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path) -> None:
    run = softseg("features", photo, "-o", tmp_path / "f.npy", "-q")
    assert (run.exit_code, run.output) == (0, "")


def test_wrong_usage(softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path) -> None:
    run = softseg("features", photo, "-o", tmp_path / "f.csv")
    assert run.exit_code == 2
    assert "f.csv has none of the endings .npy, .npz, .mat, .png" in run.stderr
    run = softseg("features", photo, "-o", tmp_path / "f.png", "--raw")
    assert run.exit_code == 2
    assert "a .png holds projected features only" in run.stderr
    assert not feature_models.calls


def test_existing_file(softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "f.npy"
    output.write_text("mine")
    run = softseg("features", photo, "-o", output)
    assert run.exit_code == 1
    assert "f.npy exists already: nothing was written" in run.stderr
    assert output.read_text() == "mine"
    assert not feature_models.calls
    assert softseg("features", photo, "-o", output, "--overwrite").exit_code == 0
    assert read(output).shape == (20, 40, 12)


def test_nowhere_to_write(softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path) -> None:
    run = softseg("features", photo, "-o", tmp_path / "missing" / "f.npy")
    assert run.exit_code == 1
    assert "missing is not a folder; create it first" in run.stderr
    (tmp_path / "folder.npy").mkdir()
    run = softseg("features", photo, "-o", tmp_path / "folder.npy")
    assert run.exit_code == 1
    assert "is a folder, expected a file" in run.stderr
    assert not feature_models.calls


def test_bad_image(softseg: Run, feature_models: FakeFeatures, tmp_path: Path) -> None:
    run = softseg("features", tmp_path / "missing.jpg", "-o", tmp_path / "f.npy")
    assert run.exit_code == 1
    assert "missing.jpg does not exist" in run.stderr


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "interrupted: nothing was written"),
        (OSError(28, "No space left on device"), 1, "f.npy could not be written: the disk is full"),
    ],
)
def test_nothing_is_left_after_a_failure(
    error: BaseException,
    code: int,
    sentence: str,
    softseg: Run,
    feature_models: FakeFeatures,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(np, "save", fail)
    run = softseg("features", photo, "-o", tmp_path / "f.npy")
    assert run.exit_code == code
    assert sentence in run.stderr
    assert list(tmp_path.iterdir()) == [photo]
