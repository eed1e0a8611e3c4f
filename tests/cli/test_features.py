"""`softseg features`: the formats, the figure, and what is refused."""

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
    assert feature_models.projected_on == (["cpu"] if depth == 3 else [])
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


def test_a_figure_alone(softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path) -> None:
    run = softseg("features", photo, "--figure", tmp_path / "fig2.PNG", "--model", "hub", "--device", "cpu")
    assert run.exit_code == 0
    assert run.stdout == f"{photo} -> {tmp_path / 'fig2.PNG'}: figure of 80 x 60 pixels\n"
    with Image.open(tmp_path / "fig2.PNG") as picture:
        assert (picture.format, picture.size) == ("PNG", (80, 60))
    assert feature_models.calls == [("hub", "cpu")]


@pytest.mark.parametrize("option", ["--raw", "--projected"])
def test_a_figure_beside_the_features(
    option: str, softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path
) -> None:
    run = softseg("features", photo, "-o", tmp_path / "f.npy", "--figure", tmp_path / "fig.png", option)
    assert run.exit_code == 0
    assert read(tmp_path / "f.npy").shape == (20, 40, 12 if option == "--raw" else 3)
    assert (tmp_path / "fig.png").is_file()
    assert len(feature_models.calls) == len(feature_models.projected_on) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to write"),
        (["--figure", "fig.jpg"], "fig.jpg does not end in .png"),
        (["--figure", "fig.png", "--raw"], "there is no -o FILE"),
        (["--figure", "fig.png", "-o", "fig.png"], "fig.png is also the file for the features"),
    ],
)
def test_figures_that_make_no_sense(
    arguments: list[str], sentence: str, softseg: Run, feature_models: FakeFeatures, photo: Path
) -> None:
    run = softseg("features", photo, *arguments)
    assert run.exit_code == 2
    assert sentence in run.stderr
    assert not feature_models.calls


@pytest.mark.parametrize("taken", ["f.npy", "fig.png"])
def test_either_existing_file_stops_both(
    taken: str, softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / taken).write_text("mine")
    arguments = ("features", photo, "-o", tmp_path / "f.npy", "--figure", tmp_path / "fig.png")
    run = softseg(*arguments)
    assert run.exit_code == 1
    assert f"{taken} exists already: nothing was written" in run.stderr
    assert (tmp_path / taken).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([taken, photo.name])
    assert not feature_models.calls
    assert softseg(*arguments, "--overwrite").exit_code == 0
    assert read(tmp_path / "f.npy").shape == (20, 40, 12)


def test_what_was_written_before_an_interruption_is_said(
    softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupt)
    run = softseg("features", photo, "-o", tmp_path / "f.npy", "--figure", tmp_path / "fig.png")
    assert run.exit_code == 130
    assert f"interrupted: {tmp_path / 'f.npy'} was written" in run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["f.npy", photo.name])


def test_a_folder_without_permission_is_refused_before_the_computation(
    softseg: Run, feature_models: FakeFeatures, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    run = softseg("features", photo, "-o", tmp_path / "f.npy")
    assert run.exit_code == 1
    assert "f.npy could not be written: writing there is not permitted" in run.stderr
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
