"""Region scores over a folder: the best number of layers for all and for each, connected parts, and what is kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError, ModelError
from softseg.evaluation.connected import connected_parts
from softseg.evaluation.region_errors import RegionErrors, region_errors
from softseg.evaluation.region_report import RegionReport
from softseg.evaluation.region_score import evaluate_regions, layer_labels
from softseg.pipeline import Decomposition
from softseg.training.datasets import Bsds, Folder

from .data import HEIGHT, WIDTH, halves, write_bsds, write_msrc
from .quarters import QuickParts, install, quarters


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickParts:
    return install(monkeypatch)


def test_each_number_of_layers_is_scored(quick: QuickParts, tmp_path: Path) -> None:
    truths = [halves(), halves(90)]
    write_bsds(tmp_path, "a", *truths)
    report = evaluate_regions(Bsds(tmp_path), "hub", [2, 3, 4, 9], [2, 5], device="cpu", seed=5)
    assert quick.calls == [{"features": "hub", "device": "cpu", "seed": 5}]
    maps = [quarters() // 2, np.maximum(quarters() - 1, 0), quarters(), quarters()]
    expected = [region_errors(labels, truths) for labels in maps]
    for kind in ("", "_connected"):
        assert report.curves[f"layers{kind}"] == expected
        assert report.curves[f"feature_clusters{kind}"] == [expected[0], expected[2]]  # as there are four values
    assert [report.summary[way]["covering"]["layers"] for way in ("layers", "feature_clusters")] == [2, 2]
    assert [report.summary[way]["information"]["layers"] for way in ("layers", "feature_clusters")] == [2, 2]
    assert report.photos[0]["soft_segments"] == 4


def test_numbers_for_the_data_set(quick: QuickParts, tmp_path: Path) -> None:
    """`a` is best with 2 layers, `b`, with more people, with 3, and both together with 3."""
    write_bsds(tmp_path, "a", halves())
    write_bsds(tmp_path, "b", *[np.maximum(quarters() - 1, 0).astype(np.uint16)] * 2)
    report = evaluate_regions(Bsds(tmp_path), counts=[2, 3], device="cpu", clusters=())
    assert set(report.summary) == {"layers", "layers_connected"}
    assert report.summary["layers"]["covering"] == {"ods": pytest.approx((0.75 + 2) / 3), "layers": 3, "ois": 1}
    # either number of layers is half a bit wrong for one of two photos
    assert report.summary["layers"]["information"] == {"ods": pytest.approx(0.25), "layers": 2, "ois": 0}
    assert report.people == {"covering": 1, "rand_index": 1, "information": 0}  # of the second photo


def test_people_are_scored_against_the_others(quick: QuickParts, tmp_path: Path) -> None:
    people = [halves(), halves(90), halves(30)]
    write_bsds(tmp_path, "a", *people)
    report = evaluate_regions(Bsds(tmp_path), counts=[2], device="cpu")
    each = [region_errors(people[k], [p for j, p in enumerate(people) if j != k]) for k in range(3)]
    assert report.people is not None
    assert report.people["covering"] == pytest.approx(np.mean([errors.covering for errors in each]))
    assert report.people["rand_index"] == pytest.approx(np.mean([errors.rand_index for errors in each]))
    assert report.people["information"] == pytest.approx(np.mean([errors.information for errors in each]))


def test_one_person_has_nobody_to_agree_with_and_void_is_left_out(quick: QuickParts, tmp_path: Path) -> None:
    labels = halves()
    labels[:, 50:70] = 0
    write_msrc(tmp_path, "photo", labels)
    report = evaluate_regions(Folder(tmp_path), counts=[2], device="cpu")
    assert report.people is None
    assert report.summary["layers"]["covering"]["ods"] == 1
    assert report.curves["layers"][0].area == HEIGHT * 100


@pytest.mark.parametrize("finished", [False, True])
def test_the_automatic_number_is_compared_with_the_best(
    finished: bool, quick: QuickParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decomposition, "natural_count", 3)
    write_bsds(tmp_path, "a", halves())
    report = evaluate_regions(Bsds(tmp_path), counts=[2, 4], clusters=(), finished=finished, device="cpu")
    assert report.chosen is not None
    assert report.chosen["layers"] == {
        "mean_layers": 3,
        "covering": 0.75,
        "gain_over_ods": -0.25,
        "regret_to_ois": 0.25,
    }
    (photo,) = report.as_dict()["photos"]
    assert photo["chosen"]["layers"] == 3
    assert photo["chosen"]["ways"]["layers_connected"]["covering"] == 0.75


def test_the_automatic_number_is_better_than_one_for_all(
    quick: QuickParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decomposition, "natural_count", property(lambda parts: 2 + (parts.photo.pixels.mean() > 0.5)))
    truths = {"a": halves(), "b": np.maximum(quarters() - 1, 0).astype(np.uint16)}
    for name, shade in (("a", 30), ("b", 220)):
        write_bsds(tmp_path, name, truths[name])
        Image.new("RGB", (WIDTH, HEIGHT), (shade,) * 3).save(tmp_path / f"{name}.jpg")
    report = evaluate_regions(Bsds(tmp_path), counts=[2, 3], clusters=(), device="cpu")
    assert report.chosen is not None
    chosen = report.chosen["layers"]
    assert (chosen["mean_layers"], chosen["covering"], chosen["regret_to_ois"]) == (2.5, 1, 0)
    assert chosen["gain_over_ods"] == pytest.approx(1 - report.summary["layers"]["covering"]["ods"])
    assert chosen["gain_over_ods"] > 0.1


def test_finished_layers(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    finished, grouped = (
        evaluate_regions(Bsds(tmp_path), counts=[2, 3], device="cpu", clusters=(), finished=yes)
        for yes in (True, False)
    )
    assert finished.curves == grouped.curves  # of segments that are hard already
    assert (finished.settings["finished"], grouped.settings["finished"]) == (True, False)


def test_layer_labels_are_the_largest_alphas(quick: QuickParts) -> None:
    parts = quick(np.random.default_rng(0).random((HEIGHT, WIDTH, 3)))
    alphas = parts.layers(3).alphas
    np.testing.assert_array_equal(layer_labels(parts, 3, finished=True), alphas.argmax(axis=0))
    assert len(np.unique(layer_labels(parts, 3))) == 3
    assert len(np.unique(layer_labels(parts, 40))) == 4


def test_a_photo_that_did_not_come_apart_is_one_region(quick: QuickParts, tmp_path: Path) -> None:
    quick.segments = 1
    write_bsds(tmp_path, "a", halves())
    report = evaluate_regions(Bsds(tmp_path), counts=[2, 5], device="cpu", clusters=())
    assert [errors.covering for errors in report.curves["layers"]] == [0.5, 0.5]
    assert report.chosen is not None
    assert (report.chosen["layers"]["mean_layers"], report.chosen["layers"]["covering"]) == (1, 0.5)


def test_a_damaged_photo_is_named_and_the_others_are_scored(quick: QuickParts, tmp_path: Path) -> None:
    for name in "abc":
        write_bsds(tmp_path, name, halves())
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    (tmp_path / "c.mat").write_bytes(b"not a mat file")
    told: list[Any] = []
    report = evaluate_regions(Bsds(tmp_path), counts=[2], device="cpu", clusters=(), tell=told.append)
    assert [photo["name"] for photo in told] == ["a", "b", "c"]
    assert [photo["name"] for photo in report.failures] == ["a", "c"]
    assert "a.jpg is not an image" in report.failures[0]["failure"]
    assert report.summary["layers"]["covering"]["ods"] == 1
    contents = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert sorted(contents["photos"][0]) == ["failure", "name"]


def test_nothing_scored(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    report = evaluate_regions(Bsds(tmp_path), counts=[2], device="cpu")
    assert (report.summary, report.people, report.chosen) == ({}, None, None)
    json.dumps(report.as_dict(), allow_nan=False)


def test_the_file_names_the_best_of_each_photo(quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves(), halves())
    contents = evaluate_regions(Bsds(tmp_path), counts=[2, 4], clusters=[2, 4], device="cpu").as_dict()
    (photo,) = contents["photos"]
    assert photo["best"]["layers"]["covering"] == {"value": 1.0, "layers": 2}
    assert photo["curves"]["feature_clusters"]["covering"] == [1.0, 0.5]
    assert photo["people"]["covering"] == 1
    assert contents["curves"]["layers"]["information"] == [0, 1]
    assert (contents["layers"]["layers"], contents["photos_scored"]) == ([2, 4], 1)


def test_what_is_kept_is_taken_up(quick: QuickParts, tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    for name in "ab":
        write_bsds(data, name, halves(), halves(50))

    def run(**options: Any) -> dict[str, Any]:
        return evaluate_regions(
            Bsds(data), **{"counts": [2, 3], "device": "cpu", "clusters": (), "kept": kept} | options
        ).as_dict()

    first = run()
    assert len(quick.calls) == 2
    assert run() == first
    assert len(quick.calls) == 2
    write_bsds(data, "b", halves(), halves(40))  # another truth for one photo
    assert run() != first
    assert len(quick.calls) == 3
    for other in ({"seed": 1}, {"counts": [2]}, {"finished": True}, {"clusters": (2,)}, {"model": "x"}):
        before = len(quick.calls)
        run(**other)
        assert len(quick.calls) == before + 2, other


@pytest.mark.parametrize("options", [{"counts": []}, {"counts": [1, 2]}, {"clusters": [1]}, {"jobs": 0}])
def test_refuses(options: dict[str, Any], quick: QuickParts, tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    with pytest.raises(InputError, match="2 layers or more, 2 clusters or more, and 1 job"):
        evaluate_regions(Bsds(tmp_path), **options)
    assert not quick.calls


def test_a_missing_model_stops_it_before_any_photo_is_read(tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", halves())
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate_regions(Bsds(tmp_path), "no-such-model", device="cpu")


def test_coverings_are_pooled_by_area() -> None:
    """As the benchmark does: sums of both photos, then the ratio; the other two are means over photos."""

    def photo(name: str, area: int, *covered: int) -> dict[str, Any]:
        errors = [RegionErrors(c, area, c / area, 1 - c / area) for c in covered]
        return {"name": name, "soft_segments": 4, "people": None, "ways": {"layers": [asdict(e) for e in errors]}}

    report = RegionReport(
        "m", "d", {}, [photo("small", 100, 100, 0), photo("large", 900, 450, 540)], {"layers": (2, 3)}
    )
    best = report.summary["layers"]
    assert best["covering"] == {"ods": 0.55, "layers": 2, "ois": 0.64}
    assert best["rand_index"] == {"ods": 0.75, "layers": 2, "ois": pytest.approx(0.8)}
    assert best["information"] == {"ods": 0.25, "layers": 2, "ois": pytest.approx(0.2)}


def test_connected_parts() -> None:
    labels = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]])  # corners do not connect
    assert connected_parts(labels).tolist() == [[0, 1, 2], [0, 1, 2], [3, 2, 2]]
    rng = np.random.default_rng(0)
    noise = rng.integers(3, size=(30, 40))
    parts = connected_parts(noise, smallest=0)
    assert all(len(np.unique(noise[parts == part])) == 1 for part in range(parts.max() + 1))


def test_small_parts_go_to_their_nearest_neighbour() -> None:
    labels = np.zeros((20, 40), int)
    labels[:, 20:] = 1
    labels[5:7, 5:7] = 2  # 4 of 800 pixels
    expected = np.where(labels == 2, 0, labels)
    np.testing.assert_array_equal(connected_parts(labels, smallest=0.006), expected)
    assert connected_parts(labels, smallest=0.005).max() == 2
    thirds = np.repeat([[0, 1, 2, 2]], 3, axis=0)
    assert not connected_parts(thirds, smallest=0.9).any()  # the largest takes everything


@pytest.mark.parametrize("labels", [np.zeros(4, int), np.zeros((2, 2)), -np.ones((2, 2), int)])
def test_connected_parts_of_something_else(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="whole numbers from 0"):
        connected_parts(labels)


@pytest.mark.slow
def test_several_jobs_and_the_real_thing(tmp_path: Path) -> None:
    for name in "ab":
        write_bsds(tmp_path, name, halves(), halves(70))
    report = evaluate_regions(Bsds(tmp_path), counts=[2], device="cpu", jobs=2, clusters=())
    assert [photo["name"] for photo in report.photos] == ["a", "b"]
    assert not report.failures
    assert report.chosen is not None
    assert report.chosen["layers"]["mean_layers"] >= 2
    assert report.summary["layers"]["covering"]["ois"] > 0.8
