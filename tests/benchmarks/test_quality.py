"""`python -m benchmarks.quality`: what it writes where, what is missing, what failed, and going on after Ctrl-C."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality.suite import measurements
from benchmarks.quality.suite.options import METHODS
from softseg.evaluation import feature_score

from .conftest import DOCS, Suite

FILES = ["alpha", "boundaries", "features_bsds500", "features_msrc", "regions", "synthetic"]


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def test_everything_there_is_data_for(all_data: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert all_data.run() == 0
    assert names(all_data.committed) == [f"{name}.json" for name in FILES]  # and no picture
    contents = {name: json.loads((all_data.committed / f"{name}.json").read_text()) for name in FILES}
    for name, one in contents.items():
        part = name.split("_")[0]
        command = f"python -m benchmarks.quality --data DATA --only {part}"
        more = {"boundaries": [" --every 2"], "alpha": [f" --methods {method}" for method in METHODS]}
        runs = list(one["runs"].values()) if part == "alpha" else [one]
        assert [run["command"] for run in runs] == [command + words for words in more.get(part, [""])]
        for run in runs:
            assert {"processor", "softseg", "torch"} <= set(run["machine"])
    assert [contents[name].get("data") for name in ("alpha", "regions", "synthetic")] == [
        "alphamatting",
        "bsds500/val",
        None,
    ]
    assert list(contents["alpha"]["runs"]) == list(contents["alpha"]["mean"]) == list(METHODS)
    ours = contents["alpha"]["runs"]["softseg"]
    assert ours["settings"] == {"layers": [5, 8, 12, "auto"], "seed": 0, "device": "cpu", "spectral_solver": "exact"}
    assert (ours["model"], ours["seconds"] >= 0) == ("embedded", True)
    assert list(contents["alpha"]["mean"]["softseg"]) == ["5", "8", "12", "auto"]
    assert contents["regions"]["layers"]["layers"] == list(range(2, 41))
    assert contents["regions"]["layers"]["feature_clusters"] == [2, 3, 4, 5, 6, 8, 12]
    assert contents["regions"]["chosen"]["layers"]["mean_layers"] == 2
    assert [at["pixels"] for at in contents["boundaries"]["tolerances"]] == [1, 2, 4]
    assert contents["boundaries"]["layers"]["layers"] == [5, 8, 12, 20, 40]
    assert contents["boundaries"]["settings"]["every"] == 2
    assert [photo["name"] for photo in contents["boundaries"]["photos"]] == ["a", "c"]
    assert [photo["name"] for photo in contents["features_msrc"]["photos"]] == ["a", "f"]  # every fifth
    assert len(contents["features_bsds500"]["photos"]) == 3
    docs, printed = all_data.docs.read_text(), capsys.readouterr()
    assert "text of mine" in docs
    assert "\nold\n" not in docs
    assert "| ours | 12 |" in docs
    assert re.search(r"^met +alpha: mean MSE", printed.out, re.MULTILINE)
    assert "3/3 regions: c" in printed.err


def test_pictures_of_the_best_the_median_and_the_worst(all_data: Suite) -> None:
    all_data.results.mkdir()
    regions = all_data.results / "regions"
    regions.mkdir()
    (regions / "worst-01_0.1000_z.png").touch()  # of an earlier run
    (regions / "mine.png").touch()
    assert all_data.run() == 0
    photos = json.loads((all_data.committed / "regions.json").read_text())["photos"]
    worst_first = sorted(photos, key=lambda photo: photo["best"]["layers"]["covering"]["value"])
    expected = [
        f"worst-{place:02d}_{photo['best']['layers']['covering']['value']:.4f}_{photo['name']}.png"
        for place, photo in enumerate(worst_first, 1)
    ]
    assert names(regions) == ["mine.png", *expected, "worst.png"]
    with Image.open(regions / expected[0]) as one, Image.open(regions / "worst.png") as page:
        assert one.width > 5 * 120  # photo, truth, clusters, ours twice, features
        assert page.height > 3 * one.height
    assert [name.split("_")[0] for name in names(all_data.results / "boundaries")] == ["best", "worst-01"]
    assert len(names(all_data.results / "alpha", "worst-*")) == 3
    assert names(all_data.results / "alpha" / "softseg") == ["a.png", "b.png", "c.png"]
    [worst] = (all_data.results / "alpha").glob("worst-01_*")
    with Image.open(worst) as four, Image.open(all_data.results / "alpha" / "softseg" / "a.png") as one:
        assert four.width == 4 * one.width  # a method beside the other
    assert len(names(all_data.results / "features_msrc")) == 2
    assert len(names(all_data.results / "synthetic")) == 2


def test_an_interrupted_run_goes_on(
    all_data: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = feature_score.extract
    seen: list[int] = []

    def interrupted(image: np.ndarray, model: str, device: str = "auto") -> np.ndarray:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return quick(image, model, device)

    monkeypatch.setattr(feature_score, "extract", interrupted)
    assert all_data.run("--only", "features") == 130
    assert "are kept in" in capsys.readouterr().err
    assert not names(all_data.committed)
    assert all_data.docs.read_text() == DOCS
    assert all_data.run("--only", "features") == 0
    assert len(seen) == 6  # three photos and two of them again: the third one of BSDS, and two of MSRC
    first = {path.name: path.read_bytes() for path in all_data.committed.iterdir()}
    all_data.work.clear()
    assert all_data.run("--only", "features") == 0
    assert all_data.work == []  # pictures are kept too
    assert first == {path.name: path.read_bytes() for path in all_data.committed.iterdir()}


@pytest.mark.parametrize("part", ["synthetic", "alpha", "regions", "boundaries"])
def test_nothing_is_measured_twice(all_data: Suite, part: str) -> None:
    assert all_data.run("--only", part) == 0
    first = [path.read_bytes() for path in all_data.committed.iterdir()]
    all_data.work.clear()
    assert all_data.run("--only", part) == 0
    assert all_data.work == []
    assert [path.read_bytes() for path in all_data.committed.iterdir()] == first


def test_missing_data_is_named_and_the_rest_is_done(all_data: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    (all_data.data / "bsds500").rename(all_data.data / "elsewhere")
    for photo in (all_data.data / "alphamatting").glob("*/alpha.png"):
        photo.unlink()
    assert all_data.run() == 0
    assert names(all_data.committed) == ["features_msrc.json", "synthetic.json"]
    printed = capsys.readouterr()
    assert f"regions: left out: {all_data.data / 'bsds500' / 'val'} is missing" in printed.err
    assert "alpha: left out:" in printed.err
    assert "not measured" in printed.out
    assert "no regions.json" in printed.out
    assert all_data.run("--only", "synthetic,alpha") == 1  # it was asked for by name


def test_without_any_data(suite: Suite) -> None:
    assert suite.run() == 0
    assert names(suite.committed) == ["synthetic.json"]


def test_a_trial_leaves_the_repository_alone(all_data: Suite) -> None:
    (all_data.committed / "alpha.json").write_text("mine")
    assert all_data.run("--only", "alpha,synthetic", "--photos", "2", "--methods", "softseg,feature_clusters") == 0
    assert names(all_data.committed) == ["alpha.json"]
    assert (all_data.committed / "alpha.json").read_text() == "mine"
    assert all_data.docs.read_text() == DOCS
    contents = json.loads((all_data.results / "trial" / "alpha.json").read_text())
    assert contents["runs"]["softseg"]["command"].endswith("--only alpha --photos 2 --methods softseg")
    assert [photo["name"] for photo in contents["photos"]] == ["a", "c"]
    assert list(contents["mean"]) == ["softseg", "feature_clusters"]
    assert "| ours | 12 |" in (all_data.results / "trial" / "quality.md").read_text()


def test_every_photo_of_the_boundaries(all_data: Suite) -> None:
    assert all_data.run("--only", "boundaries,regions", "--every", "1") == 0
    for name in ("boundaries", "regions"):
        contents = json.loads((all_data.committed / f"{name}.json").read_text())
        assert [photo["name"] for photo in contents["photos"]] == ["a", "b", "c"]
        assert ("--every 1" in contents["command"]) == (name == "boundaries")


def test_photos_that_fail_are_named(all_data: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    (all_data.data / "alphamatting" / "b" / "alpha.png").write_bytes(b"no image")
    (all_data.data / "bsds500" / "val" / "c.mat").write_bytes(b"no segmentations")
    assert all_data.run() == 1
    printed = capsys.readouterr()
    assert "alpha: b: " in printed.err
    for name in ("regions", "boundaries", "features_bsds500"):
        assert f"{name}: c: " in printed.err
        rows = json.loads((all_data.committed / f"{name}.json").read_text())["photos"]
        assert [row["name"] for row in rows if "failure" in row] == ["c"]
    [_, b, _] = json.loads((all_data.committed / "alpha.json").read_text())["photos"]
    assert b["failure"] == b["failures"]["softseg"]  # said once
    assert "met, but for photos that failed" in printed.out
    assert "2 of 3" in printed.out
    assert len(names(all_data.results / "alpha", "worst-*")) == 2


def test_a_measurement_that_cannot_be_done(
    all_data: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_model(*arguments: Any, **options: Any) -> None:
        from softseg.errors import ModelError

        raise ModelError("the weights are missing; install them")

    monkeypatch.setattr(measurements, "evaluate_regions", no_model)
    assert all_data.run("--only", "regions,alpha") == 1
    assert "regions: all: the weights are missing" in capsys.readouterr().err
    assert names(all_data.committed) == ["alpha.json"]


def test_a_file_is_not_replaced_by_failures_alone(
    all_data: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all_data.run("--only", "alpha") == 0
    first, pictures = (all_data.committed / "alpha.json").read_bytes(), names(all_data.results / "alpha")
    for path in (all_data.data / "alphamatting").glob("*/alpha.png"):
        path.write_bytes(b"no image")
    assert all_data.run("--only", "alpha") == 1
    assert (all_data.committed / "alpha.json").read_bytes() == first
    assert names(all_data.results / "alpha") == pictures
    assert capsys.readouterr().err.count("is no readable image") == 3


@pytest.mark.slow
def test_several_jobs(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes know nothing of the quick methods of these tests: the real one is run there."""
    monkeypatch.setattr(measurements, "METHODS", ("feature_clusters",))
    assert suite.run("--only", "synthetic", "--jobs", "2") == 0
    rows = json.loads((suite.committed / "synthetic.json").read_text())["composites"]
    assert [row["layers"] for row in rows] == [2, 3]
    assert all(0 < row["methods"]["feature_clusters"]["matched"] < 0.3 for row in rows)
    assert len(names(suite.results / "synthetic")) == 2


def test_tables_alone(all_data: Suite) -> None:
    assert all_data.run("--only", "alpha") == 0
    filled = all_data.docs.read_text()
    all_data.docs.write_text(DOCS)
    all_data.work.clear()
    assert all_data.run("--tables") == 0
    assert all_data.docs.read_text() == filled != DOCS
    assert all_data.work == []


@pytest.mark.parametrize(
    "arguments", [["--only", "best"], ["--photos", "0"], ["--jobs", "x"], ["--methods", ","], ["--every", "0"]]
)
def test_wrong_usage(suite: Suite, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        suite.run(*arguments)
    assert stopped.value.code == 2
    assert "is not" in capsys.readouterr().err
    assert not suite.results.exists()
