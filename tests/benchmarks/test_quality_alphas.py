"""alpha.json method by method: one measured again beside the others, reports merged, and photos that do not match."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.suite.options import METHODS as ALL
from softseg.evaluation import alpha_score
from softseg.evaluation.alpha_photos import AlphaPhotos
from softseg.evaluation.methods import METHODS
from tests.evaluation.alpha_data import Exact, Failing, Hard, write_alpha

from .conftest import Suite

MACHINE = {"processor": "P", "cores": 8, "softseg": "1", "torch": "2", "numpy": "3", "scipy": "4"}


def contents_of(suite: Suite) -> dict[str, Any]:
    return dict(json.loads((suite.committed / "alpha.json").read_text()))


def report(suite: Suite, *methods: str, **changes: Any) -> Path:
    """As `softseg evaluate alpha -o` writes it."""
    found = alpha_score.evaluate_alpha(AlphaPhotos(suite.data / "alphamatting"), methods, [5, 12], device="cpu")
    contents = {"machine": MACHINE, "data": "any/alphamatting", **found.as_dict()}
    path = suite.results.parent / "report.json"
    path.write_text(json.dumps(contents | {"settings": contents["settings"] | changes}))
    return path


def test_one_method_is_measured_again(all_data: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_data.run("--only", "alpha") == 0
    first = contents_of(all_data)
    pictures = all_data.results / "alpha"
    theirs = (pictures / "spectral_matting" / "a.png").read_bytes()
    all_data.work.clear()
    monkeypatch.setitem(METHODS, "softseg", Hard)
    shutil.rmtree(all_data.results / "kept" / "alpha" / "softseg")
    assert all_data.run("--only", "alpha", "--methods", "softseg") == 0
    assert all_data.work == ["alpha"] * 3  # ours alone
    second = contents_of(all_data)
    for key in ("runs", "mean"):
        assert list(second[key]) == list(ALL)
        assert {m: second[key][m] for m in ALL[1:]} == {m: first[key][m] for m in ALL[1:]}
    assert second["mean"]["softseg"]["12"]["whole"]["mse"] > first["mean"]["softseg"]["12"]["whole"]["mse"]
    for before, after in zip(first["photos"], second["photos"], strict=True):
        assert after["methods"]["feature_clusters"] == before["methods"]["feature_clusters"]
        assert after["methods"]["softseg"] != before["methods"]["softseg"]
    assert (pictures / "spectral_matting" / "a.png").read_bytes() == theirs
    docs = all_data.docs.read_text()
    assert "| ours | 12 |" in docs and "| Spectral Matting | 12 |" in docs


def test_methods_one_after_the_other_are_all_at_once(all_data: Suite) -> None:
    for method in ALL[::-1]:
        assert all_data.run("--only", "alpha", "--methods", method) == 0
    one_by_one = contents_of(all_data)
    (all_data.committed / "alpha.json").unlink()
    assert all_data.run("--only", "alpha") == 0
    assert contents_of(all_data) == one_by_one


def test_photos_that_do_not_match(all_data: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert all_data.run("--only", "alpha") == 0
    before = (all_data.committed / "alpha.json").read_bytes()
    write_alpha(all_data.data / "alphamatting", "d")
    all_data.work.clear()
    assert all_data.run("--only", "alpha", "--methods", "softseg,spectral_matting") == 1
    printed = capsys.readouterr().err
    assert "holds spectral_matting_grouped, feature_clusters on 3 photos" in printed
    assert "is of 4 (d is only here): run spectral_matting_grouped, feature_clusters again" in printed
    assert all_data.work == []  # before the long work
    assert (all_data.committed / "alpha.json").read_bytes() == before
    assert all_data.run("--only", "alpha") == 0
    assert [photo["name"] for photo in contents_of(all_data)["photos"]] == list("abcd")


def test_a_photo_on_which_one_method_fails(
    all_data: Suite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FailsOnB(Hard):
        def __init__(self, subject: Any) -> None:
            super().__init__(subject)
            self._name = subject.photo.name

        def layers(self, count: Any) -> Any:
            return Failing.layers(self, count) if "b" in Path(self._name).parts else super().layers(count)  # type: ignore[arg-type]

    monkeypatch.setitem(METHODS, "spectral_matting", FailsOnB)
    monkeypatch.setattr(AlphaPhotos, "load", _named(AlphaPhotos.load))
    assert all_data.run("--only", "alpha", "--methods", "softseg,spectral_matting") == 1
    assert "alpha: b: spectral_matting: it did not converge" in capsys.readouterr().err
    [_, b, _] = contents_of(all_data)["photos"]
    assert list(b["methods"]) == ["softseg"]
    monkeypatch.setitem(METHODS, "spectral_matting", Exact)
    assert all_data.run("--only", "alpha", "--methods", "spectral_matting") == 0
    [_, b, _] = contents_of(all_data)["photos"]
    assert list(b["methods"]) == ["softseg", "spectral_matting"]
    assert "failure" not in b


def _named(load: Any) -> Any:
    """The name of the photo, in place of that of its file, which is the same for all."""
    from dataclasses import replace

    def named(photos: AlphaPhotos, i: int) -> Any:
        sample = load(photos, i)
        return sample._replace(photo=replace(sample.photo, name=photos.names[i]))

    return named


def test_a_report_is_merged(all_data: Suite) -> None:
    assert all_data.run("--only", "alpha", "--methods", "softseg,feature_clusters") == 0
    first = contents_of(all_data)
    path = report(all_data, "spectral_matting", "feature_clusters", seed=7)
    all_data.work.clear()
    assert all_data.run("--merge", str(path)) == 0
    assert all_data.work == []
    second = contents_of(all_data)
    assert list(second["runs"]) == ["softseg", "spectral_matting", "feature_clusters"]
    assert second["runs"]["softseg"] == first["runs"]["softseg"]
    merged = second["runs"]["spectral_matting"]
    assert (merged["machine"], merged["settings"]["seed"]) == (MACHINE, 7)
    assert merged["command"] == (
        "softseg evaluate alpha DATA --methods spectral_matting,feature_clusters --layers 5,12 --features embedded "
        "--seed 7"
    )
    assert list(second["mean"]["feature_clusters"]) == ["5", "12"]
    assert list(second["mean"]["softseg"]) == ["5", "8", "12", "auto"]
    assert not list((all_data.results / "alpha" / "feature_clusters").iterdir())  # pictures of the other run
    assert "| Spectral Matting | 12 |" in all_data.docs.read_text()
    assert all_data.run("--only", "alpha", "--methods", "softseg") == 0
    assert contents_of(all_data) == second


def test_a_report_from_before_times_were_taken(all_data: Suite) -> None:
    path = report(all_data, "spectral_matting")
    contents = json.loads(path.read_text())
    for photo in contents["photos"]:
        del photo["seconds"]
    path.write_text(json.dumps(contents))
    assert all_data.run("--merge", str(path)) == 0
    assert contents_of(all_data)["runs"]["spectral_matting"]["seconds"] is None


def test_reports_that_cannot_be_merged(all_data: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    assert all_data.run("--only", "alpha", "--methods", "softseg") == 0
    before = (all_data.committed / "alpha.json").read_bytes()
    write_alpha(all_data.data / "alphamatting", "d")
    other_photos = report(all_data, "spectral_matting")
    refused = {"d is only here): run softseg again as well": other_photos.read_text()}
    contents = json.loads(refused["d is only here): run softseg again as well"])
    refused["with --spectral-solver exact"] = json.dumps(
        contents | {"settings": contents["settings"] | {"spectral_solver": "fast"}}
    )
    refused["has no scores"] = json.dumps(contents | {"photos": [{"name": "a", "failure": "x"}]})
    refused["is something else; expected a report written by softseg evaluate alpha -o"] = "[]"
    refused["cannot be read"] = "{"
    for sentence, text in refused.items():
        other_photos.write_text(text)
        assert all_data.run("--merge", str(other_photos)) == 1
        assert sentence in capsys.readouterr().err
        assert (all_data.committed / "alpha.json").read_bytes() == before
