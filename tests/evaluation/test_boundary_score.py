"""Boundary scores over a folder, and recall compared at equal precision without extrapolation."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softseg.errors import InputError, ModelError
from softseg.evaluation.boundary_errors import BoundaryCounts, boundary_errors
from softseg.evaluation.boundary_report import BoundaryReport, recall_at
from softseg.evaluation.boundary_score import evaluate_boundaries
from softseg.training.datasets import Bsds, Folder

from .data import HEIGHT, halves, write_bsds, write_msrc
from .quarters import QuickParts, install, quarters


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickParts:
    return install(monkeypatch)


def counts(precision: float, recall: float) -> BoundaryCounts:
    return BoundaryCounts(round(100 * precision), 100, round(1000 * recall), 1000)


def report_of(ours: list[BoundaryCounts], other: list[BoundaryCounts]) -> BoundaryReport:
    """One photo, one tolerance; 3, 4, ... layers and 11, 12, ... clusters."""
    ways = {"layers": [[asdict(c)] for c in ours], "feature_clusters": [[asdict(c)] for c in other]}
    numbers = {"layers": range(3, 3 + len(ours)), "feature_clusters": range(11, 11 + len(other))}
    return BoundaryReport("m", "d", {}, [{"name": "a", "people": None, "ways": ways}], numbers, (2,))


def test_recall_at_equal_precision() -> None:
    ours = [counts(0.8, 0.3), counts(0.6, 0.5)]
    other = [counts(0.9, 0.1), counts(0.7, 0.3), counts(0.5, 0.4)]
    first, second = report_of(ours, other).comparison(2)
    assert (first["layers"], second["layers"]) == (3, 4)
    assert first["other_recall"] == pytest.approx(0.2)
    assert first["ratio"] == pytest.approx(1.5)
    assert second["ratio"] == pytest.approx(0.5 / 0.35)
    assert {row["place"] for row in (first, second)} == {"within"}


def test_nothing_is_extrapolated() -> None:
    other = [counts(0.7, 0.3), counts(0.5, 0.4)]
    above, below, edge = report_of([counts(0.8, 0.3), counts(0.4, 0.9), counts(0.5, 0.6)], other).comparison(2)
    assert (above["place"], above["ratio"], above["other_recall"]) == ("above", None, None)
    assert above["nearest"] == {"layers": 11, "precision": 0.7, "recall": 0.3, "f_measure": 0.42}
    assert (below["place"], below["ratio"]) == ("below", None)
    assert below["nearest"]["layers"] == 12
    assert edge["ratio"] == pytest.approx(1.5)


def test_the_other_is_taken_at_its_best() -> None:
    """Its curve comes by the precision of 0.6 three times."""
    curve = [counts(0.5, 0.1), counts(0.7, 0.2), counts(0.5, 0.3), counts(0.6, 0.25)]
    assert recall_at(0.6, curve) == pytest.approx(0.25)
    assert recall_at(0.6, curve[:2]) == pytest.approx(0.15)
    assert recall_at(0.6, [BoundaryCounts(), *curve[:2]]) == pytest.approx(0.15)  # no boundaries: no point
    assert recall_at(0.6, [counts(0.6, 0.2)]) == 0.2
    assert recall_at(0.6, []) is None


def test_without_boundaries_there_is_no_comparison() -> None:
    (row,) = report_of([BoundaryCounts(0, 0, 0, 10)], [counts(0.5, 0.5)]).comparison(2)
    assert (row["ratio"], row["place"], row["precision"], row["nearest"]) == (None, "nowhere", None, None)
    (alone,) = report_of([counts(0.5, 0.5)], [BoundaryCounts(0, 0, 0, 10)]).comparison(2)
    assert (alone["ratio"], alone["place"], alone["nearest"]) == (None, "nowhere", None)
    (zero,) = report_of([counts(0.5, 0.5)], [counts(0.5, 0.0)]).comparison(2)
    assert (zero["ratio"], zero["other_recall"]) == (None, 0)


def test_each_number_of_layers_is_scored(quick: QuickParts, tmp_path: Path) -> None:
    truths = [halves(61), halves(90)]
    write_bsds(tmp_path, "a", *truths)
    report = evaluate_boundaries(Bsds(tmp_path), "hub", [4, 2], [2, 4, 3], device="cpu", seed=5)
    assert quick.calls == [{"features": "hub", "device": "cpu", "seed": 5}]
    assert report.counts == {"layers": (2, 4), "feature_clusters": (2, 3, 4)}
    two, four = boundary_errors(quarters() // 2, truths), boundary_errors(quarters(), truths)
    for t, tolerance in enumerate((1, 2, 4)):
        assert report.curve("layers", tolerance) == [two[t], four[t]]
        assert report.curve("feature_clusters", tolerance)[::2] == [two[t], four[t]]
    assert report.curve("layers", 1)[0] == BoundaryCounts(HEIGHT, HEIGHT, HEIGHT, 2 * HEIGHT)
    # three clusters have the precision of two, and all of the recall
    assert [row["ratio"] for row in report.comparison(1)] == [0.5, 1]


def test_pixels_of_all_photos_are_added_up(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves(), halves(), halves())
    write_bsds(tmp_path, "b", halves(10))
    report = evaluate_boundaries(Bsds(tmp_path), counts=[2], clusters=[2], device="cpu")
    (count,) = report.curve("layers", 2)
    assert count == BoundaryCounts(HEIGHT, 2 * HEIGHT, 3 * HEIGHT, 4 * HEIGHT)
    assert report.people(2) == BoundaryCounts(3 * HEIGHT, 3 * HEIGHT, 6 * HEIGHT, 6 * HEIGHT)  # of the first photo


def test_people_are_matched_with_the_others(quick: QuickParts, tmp_path: Path) -> None:
    people = [halves(60), halves(62), halves(90)]
    write_bsds(tmp_path, "a", *people)
    report = evaluate_boundaries(Bsds(tmp_path), counts=[2], clusters=[2], device="cpu")
    assert (report.people(1).precision, report.people(1).recall) == (0, 0)
    assert (report.people(2).precision, report.people(2).recall) == (2 / 3, 2 / 6)


def test_one_person_and_void(quick: QuickParts, tmp_path: Path) -> None:
    labels = halves()
    labels[:, 80:] = 0
    write_msrc(tmp_path, "photo", labels)
    report = evaluate_boundaries(Folder(tmp_path), counts=[4], clusters=[2], device="cpu")
    (count,) = report.curve("layers", 1)
    assert count == BoundaryCounts(HEIGHT, 2 * HEIGHT, HEIGHT, HEIGHT)  # of our three boundaries one lies in void
    assert math.isnan(report.people(1).precision)
    assert report.as_dict()["tolerances"][0]["people"] == {"precision": None, "recall": None, "f_measure": None}


def test_layers_are_the_finished_ones(quick: QuickParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softseg.pipeline import Decomposition

    asked: list[int] = []
    real = Decomposition.layers

    def layers(self: Decomposition, count: int) -> Any:
        asked.append(count)
        return real(self, count)

    monkeypatch.setattr(Decomposition, "layers", layers)
    write_bsds(tmp_path, "a", halves())
    evaluate_boundaries(Bsds(tmp_path), counts=[2, 20], clusters=[2], device="cpu")
    assert asked == [2, 4]  # as many as there are soft segments


def test_a_damaged_photo_is_named_and_the_others_are_scored(quick: QuickParts, tmp_path: Path) -> None:
    for name in "ab":
        write_bsds(tmp_path, name, halves())
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    report = evaluate_boundaries(Bsds(tmp_path), counts=[2], clusters=[2], device="cpu")
    assert [photo["name"] for photo in report.failures] == ["a"]
    assert report.curve("layers", 1)[0].recall == 1
    contents = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert contents["photos_scored"] == 1
    assert contents["tolerances"][1]["comparison"][0]["ratio"] == 1


def test_nothing_scored(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    report = evaluate_boundaries(Bsds(tmp_path), counts=[2], clusters=[2], device="cpu")
    assert (report.curve("layers", 1), report.comparison(1)) == ([], [])
    json.dumps(report.as_dict(), allow_nan=False)


def test_what_is_kept_is_taken_up(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path / "data", "a", halves())

    def run(**options: Any) -> dict[str, Any]:
        known: dict[str, Any] = {"counts": [2], "clusters": [2], "device": "cpu", "kept": tmp_path / "kept"}
        return evaluate_boundaries(Bsds(tmp_path / "data"), **known | options).as_dict()

    assert run() == run()
    assert len(quick.calls) == 1
    for other in ({"seed": 1}, {"counts": [3]}, {"clusters": [3]}, {"tolerances": [3]}, {"model": "x"}):
        before = len(quick.calls)
        run(**other)
        assert len(quick.calls) == before + 1, other


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"counts": []}, "ask for 2 or more"),
        ({"clusters": [1, 2]}, "feature_clusters were asked for"),
        ({"tolerances": []}, "tolerances from 0 pixels"),
        ({"tolerances": [-1]}, "tolerances from 0 pixels"),
        ({"jobs": 0}, "1 job"),
    ],
)
def test_refuses(options: dict[str, Any], sentence: str, quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    with pytest.raises(InputError, match=sentence):
        evaluate_boundaries(Bsds(tmp_path), **options)
    assert not quick.calls


def test_a_missing_model_stops_it_before_any_photo_is_read(tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate_boundaries(Bsds(tmp_path), "no-such-model", device="cpu")


def test_quarters_are_as_they_should_be() -> None:
    assert np.unique(quarters(), return_counts=True)[1].tolist() == [HEIGHT * 30] * 4
