"""`softseg evaluate alpha` and `synthetic`: tables, files, pictures, what is kept, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from softseg.evaluation import alpha_score, synthetic
from softseg.evaluation.methods import METHODS, Subject
from tests.evaluation.alpha_data import Broken, Exact, Hard, write_alpha

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods and features that take no time; the names of the models that were asked for."""
    asked: list[str] = []

    def subject_of(photo: Any, model: str, *, seed: int, device: str) -> Subject:
        asked.append(model)
        return Subject(photo, photo.pixels, seed)

    for name, method in {
        "softseg": Exact,
        "spectral_matting": Hard,
        "feature_clusters": Hard,
        "broken": Broken,
    }.items():
        monkeypatch.setitem(METHODS, name, method)  # type: ignore[arg-type]
    monkeypatch.setattr(alpha_score, "subject_of", subject_of)
    monkeypatch.setattr(alpha_score, "model_digest", lambda model: "0" * 64)
    return asked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        write_alpha(tmp_path / "data", name)
    return tmp_path / "data"


def test_the_table_the_file_and_the_pictures(softseg: Run, folder: Path, tmp_path: Path, quick: list[str]) -> None:
    output, pictures = tmp_path / "alpha.json", tmp_path / "pictures"
    run = softseg("evaluate", "alpha", folder, "-o", output, "--pictures", pictures, "--features", "hub")
    assert (run.exit_code, run.exception) == (0, None)
    assert quick == ["hub"] * 3
    title, head, *rows = run.stdout.splitlines()
    assert title == "best union of layers, mean over 3 photos, model hub"
    assert head.split()[:4] == ["method", "layers", "whole", "sad"]
    assert head.split().count("unknown") == 4
    names = [" ".join(row.split()[:2]) for row in rows]
    assert names[:4] == ["softseg 5", "softseg 8", "softseg 12", "softseg auto"]
    assert names[4:] == [f"{m} {k}" for m in ("spectral_matting", "feature_clusters") for k in (5, 8, 12)]
    assert rows[3].split()[2] == "(3.0)"  # how many it chose
    contents = json.loads(output.read_text(encoding="utf-8"))
    assert {"processor", "torch", "softseg", "python"} <= set(contents["machine"])
    assert contents["data"] == f"{tmp_path.name}/data"
    assert contents["settings"]["layers"] == [5, 8, 12, "auto"]
    values = contents["mean"]["feature_clusters"]["12"]
    shown = [float(value) for value in rows[-1].split()[2:]]
    assert shown == pytest.approx([*values["whole"].values(), *values["unknown"].values()], abs=5.1e-3)
    assert sorted(path.name for path in pictures.iterdir()) == ["a.png", "b.png", "c.png"]
    with Image.open(pictures / "a.png") as picture:
        assert picture.width > 100
    assert [line.split(":")[0] for line in run.stderr.splitlines()] == ["1/3 a", "2/3 b", "3/3 c"]


def test_what_was_kept_is_not_done_again(softseg: Run, folder: Path, tmp_path: Path, quick: list[str]) -> None:
    arguments = ["evaluate", "alpha", folder, "--kept", tmp_path / "kept", "--layers", "5", "--quiet"]
    first, second = softseg(*arguments), softseg(*arguments)
    assert (first.stdout, first.stderr) == (second.stdout, "")
    assert len(quick) == 3


def test_pictures_of_kept_results_are_written_too(softseg: Run, folder: Path, tmp_path: Path, quick: list[str]) -> None:
    for name in ("one", "two"):
        arguments = ["--kept", tmp_path / "kept", "--layers", "5", "--pictures", tmp_path / name]
        assert softseg("evaluate", "alpha", folder, *arguments).exit_code == 0
    assert len(quick) == 3
    assert (tmp_path / "one" / "a.png").read_bytes() == (tmp_path / "two" / "a.png").read_bytes()


def test_a_damaged_photo_is_named_and_the_file_is_written(softseg: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "b" / "alpha.png").write_bytes(b"no image")
    run = softseg("evaluate", "alpha", folder, "-o", tmp_path / "alpha.json", "--layers", "5")
    assert run.exit_code == 1
    assert "alpha.png is no readable image" in run.stderr
    assert "2/3 b: failed" in run.stderr
    assert "mean over 2 photos" in run.stdout
    assert "failure" in json.loads((tmp_path / "alpha.json").read_text())["photos"][1]


def test_a_bug_is_named_and_traced_if_asked_for(softseg: Run, folder: Path) -> None:
    arguments = ["evaluate", "alpha", folder, "--methods", "broken", "--layers", "5"]
    run = softseg(*arguments)
    assert run.exit_code == 1
    assert "a: unexpected ZeroDivisionError" in run.stderr
    assert "Traceback" not in run.output
    assert "mean over" not in run.stdout
    assert "Traceback" in softseg(*arguments, "--debug").stderr


def test_existing_files_are_kept(softseg: Run, folder: Path, tmp_path: Path, quick: list[str]) -> None:
    output, pictures = tmp_path / "alpha.json", tmp_path / "pictures"
    pictures.mkdir()
    for path, option in ((output, ["-o", output]), (pictures / "c.png", ["--pictures", pictures])):
        path.write_text("mine")
        run = softseg("evaluate", "alpha", folder, *option)
        assert run.exit_code == 1
        assert f"{path.name} exists already: nothing was written" in run.stderr
        assert path.read_text() == "mine"
        assert not quick
    assert softseg("evaluate", "alpha", folder, "-o", output, "--pictures", pictures, "--overwrite").exit_code == 0
    assert (pictures / "c.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(output.read_text())["photos"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--layers", "many"], 2, "'many' is neither a number from 2 to"),
        (["--layers", "13"], 2, "'13' is neither a number from 2 to"),
        (["--layers", "1"], 2, "'1' is neither a number from 2 to"),
        (["--layers", ","], 2, "no number of layers is named"),
        (["--methods", "best"], 2, "there is no method 'best'"),
        (["--methods", ","], 2, "no method is named"),
        (["--jobs", "0"], 2, "jobs"),
    ],
)
def test_what_is_refused(
    arguments: list[str], code: int, sentence: str, softseg: Run, folder: Path, quick: list[str]
) -> None:
    run = softseg("evaluate", "alpha", folder, *arguments)
    assert run.exit_code == code
    assert sentence in run.output
    assert not quick


def test_no_data(softseg: Run, tmp_path: Path) -> None:
    run = softseg("evaluate", "alpha", tmp_path)
    assert run.exit_code == 1
    assert "holds none of what was expected" in run.stderr


def test_interrupted(softseg: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(alpha_score, "subject_of", interrupt)
    run = softseg("evaluate", "alpha", folder, "-o", tmp_path / "alpha.json")
    assert run.exit_code == 130
    assert "interrupted: nothing was written" in run.stderr
    assert list(tmp_path.iterdir()) == [folder]


def test_synthetic(softseg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [synthetic.composite("blurred", 2, size=(32, 40)), synthetic.composite("glass", 3, size=(32, 40))]
    monkeypatch.setattr(synthetic, "suite", lambda seed: made)
    output, picture = tmp_path / "scores.json", tmp_path / "composites.png"
    arguments = ["evaluate", "synthetic", "--methods", "spectral_matting", "-o", output, "--picture", picture]
    run = softseg(*arguments)
    assert (run.exit_code, run.exception) == (0, None)
    _, head, *rows = run.stdout.splitlines()
    assert head.split() == ["composite", "spectral_matting"]
    assert [row.split()[0] for row in rows] == ["blurred-2-0", "glass-3-0", "mean"]
    contents = json.loads(output.read_text())
    matched = [made["methods"]["spectral_matting"]["matched"] for made in contents["composites"]]
    assert [float(row.split()[1]) for row in rows] == pytest.approx([*matched, sum(matched) / 2], abs=6e-5)
    assert "data" not in contents
    with Image.open(picture) as page:
        assert page.width >= 5 * 40
    assert len(run.stderr.splitlines()) == 2
    again = softseg(*arguments)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
