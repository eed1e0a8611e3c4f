"""`softseg evaluate features`: the layouts of data, the table, the file, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softseg.evaluation import feature_score
from tests.evaluation.data import halves, write_bsds, write_msrc

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Colours are the features; the names of the models that were asked for."""
    asked: list[str] = []

    def extract(image: np.ndarray, model: str, device: str) -> np.ndarray:
        asked.append(model)
        return image.astype(np.float32)

    monkeypatch.setattr(feature_score, "extract", extract)
    monkeypatch.setattr(feature_score, "model_digest", lambda model: "0" * 64)
    return asked


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    for name in "abcdef":
        write_bsds(tmp_path / "bsds", name, halves(), halves(50))
    return tmp_path / "bsds"


def test_the_table_and_the_file(softseg: Run, bsds: Path, tmp_path: Path, quick_model: list[str]) -> None:
    output = tmp_path / "scores.json"
    run = softseg("evaluate", "features", bsds, "-o", output, "--model", "hub", "--pairs", 400, "--device", "cpu")
    assert (run.exit_code, run.exception) == (0, None)
    title, head, *rows = run.stdout.splitlines()
    assert title == "area under the ROC curve, mean over 6 photos, model hub"
    assert head.split() == ["random", "near", "far"]
    assert [row.split()[0] for row in rows] == ["colors", "raw", "projected", "people"]
    contents = json.loads(output.read_text(encoding="utf-8"))
    for row in rows:
        way, *values = row.split()
        assert [float(value) for value in values] == pytest.approx(list(contents["mean"][way].values()), abs=6e-4)
    assert {"processor", "torch", "softseg", "python"} <= set(contents["machine"])
    assert (contents["pairs"], contents["model"], contents["split"], contents["near_pixels"]) == (400, "hub", "all", 50)
    assert [photo["name"] for photo in contents["photos"]] == list("abcdef")
    assert contents["data"] == f"{tmp_path.name}/bsds"
    assert quick_model == ["hub"] * 6
    assert [line.split(":")[0] for line in run.stderr.splitlines()] == [
        f"{i + 1}/6 {n}" for i, n in enumerate("abcdef")
    ]


@pytest.mark.parametrize(("part", "names"), [("val", "af"), ("train", "bcde"), ("all", "abcdef")])
def test_every_fifth_photo_validates(
    part: str, names: str, softseg: Run, bsds: Path, tmp_path: Path, quick_model: list[str]
) -> None:
    output = tmp_path / "scores.json"
    assert softseg("evaluate", "features", bsds, "-o", output, "--split", part, "--pairs", 50).exit_code == 0
    assert [photo["name"] for photo in json.loads(output.read_text())["photos"]] == list(names)
    assert quick_model == ["embedded"] * len(names)


def test_label_maps_beside_photos_have_no_people(softseg: Run, tmp_path: Path) -> None:
    write_msrc(tmp_path / "msrc", "one", halves())
    run = softseg("evaluate", "features", tmp_path / "msrc", "--pairs", 50, "--quiet")
    assert run.exit_code == 0
    assert "people" not in run.output
    assert run.stderr == ""
    assert "colors" in run.stdout


def test_a_damaged_photo_is_named_and_the_file_is_written(softseg: Run, bsds: Path, tmp_path: Path) -> None:
    (bsds / "b.jpg").write_bytes(b"not a photo")
    run = softseg("evaluate", "features", bsds, "-o", tmp_path / "scores.json", "--pairs", 50)
    assert run.exit_code == 1
    assert "b.jpg is not an image of a known kind" in run.stderr
    assert "mean over 5 photos" in run.stdout
    assert "failure" in json.loads((tmp_path / "scores.json").read_text())["photos"][1]


def test_an_existing_file_is_kept(softseg: Run, bsds: Path, tmp_path: Path, quick_model: list[str]) -> None:
    output = tmp_path / "scores.json"
    output.write_text("mine")
    run = softseg("evaluate", "features", bsds, "-o", output)
    assert run.exit_code == 1
    assert "scores.json exists already: nothing was written" in run.stderr
    assert output.read_text() == "mine"
    assert not quick_model
    assert softseg("evaluate", "features", bsds, "-o", output, "--pairs", 50, "--overwrite").exit_code == 0
    assert json.loads(output.read_text())["pairs"] == 50


@pytest.mark.parametrize(("make", "sentence"), [(False, "is not a folder"), (True, "holds none of what was expected")])
def test_no_data(make: bool, sentence: str, softseg: Run, tmp_path: Path, quick_model: list[str]) -> None:
    if make:
        (tmp_path / "data").mkdir()
    run = softseg("evaluate", "features", tmp_path / "data")
    assert run.exit_code == 1
    assert sentence in run.stderr
    assert not quick_model


@pytest.mark.parametrize("arguments", [[], ["--pairs", "1"], ["--jobs", "0"], ["--split", "test"], ["--model"]])
def test_wrong_usage(arguments: list[str], softseg: Run, bsds: Path) -> None:
    folder = [bsds] if arguments else []
    assert softseg("evaluate", "features", *folder, *arguments).exit_code == 2


def test_interrupted(softseg: Run, bsds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_score, "extract", interrupt)
    run = softseg("evaluate", "features", bsds, "-o", tmp_path / "scores.json")
    assert run.exit_code == 130
    assert "interrupted: nothing was written" in run.stderr
    assert list(tmp_path.iterdir()) == [bsds]


def test_evaluate_alone_prints_its_verbs(softseg: Run) -> None:
    run = softseg("evaluate")
    assert run.exit_code == 2
    assert "features" in run.output
