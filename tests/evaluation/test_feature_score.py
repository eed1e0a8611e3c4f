"""The feature score: its extremes, the agreement of people by its definition, and reports over a folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softseg.errors import DeviceError, InputError, ModelError
from softseg.evaluation import evaluate_features, score_features
from softseg.evaluation.feature_score import DRAWS, FeatureReport, PhotoScore
from softseg.training.datasets import Bsds, Folder, split

from .data import HEIGHT, WIDTH, halves, photo, write_bsds, write_msrc


def test_perfect_features_and_noise() -> None:
    labels = halves().astype(int)
    image = np.full((HEIGHT, WIDTH, 3), 0.5)
    scores = score_features(image, labels[..., None] * np.ones(4), [labels])
    assert scores["raw"] == {"random": 1, "near": 1, "far": 1}
    assert all(value > 0.999 for value in scores["projected"].values())  # the filter blurs where the photo is flat
    assert scores["colors"] == {"random": 0.5, "near": 0.5, "far": 0.5}
    assert "people" not in scores
    noise = np.random.default_rng(0).normal(size=(HEIGHT, WIDTH, 4))
    for value in score_features(image, noise, [labels])["raw"].values():
        assert value == pytest.approx(0.5, abs=0.02)


def test_the_agreement_of_people_is_the_mean_of_two_shares() -> None:
    """Exactly, over all pairs: the first sees halves, the second a third and the rest."""
    first, second = halves(60).astype(int), halves(40).astype(int)
    columns = np.arange(WIDTH)
    one, two = np.meshgrid(columns, columns)
    same_first, same_second = ((labels[0][one] == labels[0][two]) for labels in (first, second))
    expected = (same_second[same_first].mean() + (~same_second)[~same_first].mean()) / 2
    assert 0.6 < expected < 0.9
    image = np.zeros((HEIGHT, WIDTH, 3))
    scores = score_features(image, image, [first, second], pairs=40_000)
    assert scores["people"]["random"] == pytest.approx(expected, abs=0.01)


def test_the_agreement_of_people_is_the_mean_over_the_others() -> None:
    first = halves().astype(int)
    image = np.zeros((HEIGHT, WIDTH, 3))

    def agreement(*others: np.ndarray) -> dict[str, float]:
        return score_features(image, image, [first, *others])["people"]

    blind = np.zeros_like(first)
    assert agreement(first) == {"random": 1, "near": 1, "far": 1}
    assert agreement(blind) == {"random": 0.5, "near": 0.5, "far": 0.5}
    assert agreement(first, blind) == {"random": 0.75, "near": 0.75, "far": 0.75}
    assert agreement(7 - first) == {"random": 1, "near": 1, "far": 1}  # the numbers mean nothing


def test_near_pairs_are_harder_where_borders_are_blurred() -> None:
    labels = halves().astype(int)
    ramp = np.clip((np.arange(WIDTH) - 60) / 60, -1, 1)[None, :, None] * np.ones((HEIGHT, 1, 1))
    scores = score_features(np.full((HEIGHT, WIDTH, 3), 0.5), ramp, [labels])["raw"]
    assert scores["near"] < scores["random"] < scores["far"]


def test_maps_of_another_size_are_refused() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3))
    labels = halves().astype(int)
    with pytest.raises(InputError, match="features have shape"):
        score_features(image, np.zeros((WIDTH, HEIGHT, 2)), [labels])
    with pytest.raises(InputError, match="pass its own labels"):
        score_features(image, image, [labels, labels.T])


def test_a_folder_of_bsds(quick_model: list[str], tmp_path: Path) -> None:
    write_bsds(tmp_path, "b", halves(), halves(50))
    write_bsds(tmp_path, "a", halves(), halves())
    told: list[PhotoScore] = []
    report = evaluate_features(Bsds(tmp_path), "hub", device="cpu", pairs=500, tell=told.append)
    assert quick_model == ["hub", "hub"]
    assert [photo.name for photo in report.photos] == ["a", "b"]
    assert told == list(report.photos)
    first, second = (photo.scores for photo in report.photos)
    assert first["people"]["random"] == 1 > second["people"]["random"] > 0.5
    assert report.mean["people"]["random"] == pytest.approx((1 + second["people"]["random"]) / 2)
    assert report.mean["colors"]["random"] > 0.9
    assert report.mean["colors"]["random"] == pytest.approx(report.mean["raw"]["random"], abs=1e-3)
    assert not report.failures


def test_void_is_left_out(quick_model: list[str], tmp_path: Path) -> None:
    labels = halves()
    labels[:, 40:80] = 0
    write_msrc(tmp_path, "photo", labels)
    report = evaluate_features(Folder(tmp_path), device="cpu", pairs=500)
    assert set(report.photos[0].scores) == {"colors", "raw", "projected"}
    assert report.mean["raw"]["random"] > 0.95
    assert math.isnan(report.mean["people"]["random"])


def test_a_photo_without_pairs_does_not_count(quick_model: list[str], tmp_path: Path) -> None:
    write_msrc(tmp_path, "one", np.ones((HEIGHT, WIDTH), int))
    write_msrc(tmp_path, "two", halves())
    report = evaluate_features(Folder(tmp_path), device="cpu", pairs=500)
    contents = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert contents["photos"][0] == {
        "name": "one",
        **{way: dict.fromkeys(DRAWS) for way in ("colors", "raw", "projected")},
    }
    assert contents["photos_counted"]["raw"] == {"random": 1, "near": 1, "far": 1}
    assert contents["photos_counted"]["people"] == {"random": 0, "near": 0, "far": 0}
    assert contents["mean"]["raw"] == contents["photos"][1]["raw"]
    assert contents["mean"]["people"] == {"random": None, "near": None, "far": None}


def test_a_damaged_photo_is_named_and_the_others_are_scored(quick_model: list[str], tmp_path: Path) -> None:
    for name in "abc":
        write_bsds(tmp_path, name, halves())
    (tmp_path / "a.jpg").write_bytes(b"not a photo")
    (tmp_path / "c.mat").write_bytes(b"not a mat file")
    report = evaluate_features(Bsds(tmp_path), device="cpu", pairs=500)
    assert [photo.name for photo in report.failures] == ["a", "c"]
    assert "a.jpg is not an image" in report.failures[0].failure
    assert "c.mat holds no BSDS segmentations" in report.failures[1].failure
    assert report.photos[1].scores["raw"]["random"] > 0.9
    assert report.as_dict()["photos"][0] == {"name": "a", "failure": report.failures[0].failure}


def test_the_seed_decides(quick_model: list[str], tmp_path: Path) -> None:
    write_msrc(tmp_path, "photo", halves())
    noise = np.random.default_rng(0).integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo" / "image.png")
    photos = Folder(tmp_path)
    one, again, other = (evaluate_features(photos, device="cpu", pairs=100, seed=seed).mean for seed in (1, 1, 2))
    assert one["colors"] == again["colors"]
    assert one["colors"] != other["colors"]


@pytest.mark.parametrize("options", [{"pairs": 1}, {"jobs": 0}])
def test_refuses_too_little(options: dict[str, int], quick_model: list[str], tmp_path: Path) -> None:
    write_msrc(tmp_path, "photo", halves())
    with pytest.raises(InputError, match="at least 2 pairs and 1 job"):
        evaluate_features(Folder(tmp_path), **options)
    assert not quick_model


def test_a_missing_model_stops_it_before_any_photo_is_read(tmp_path: Path) -> None:
    write_msrc(tmp_path, "photo", halves())
    (tmp_path / "photo" / "image.png").write_bytes(b"")
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate_features(Folder(tmp_path), "no-such-model", device="cpu")


def test_a_missing_device_stops_it(quick_model: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_msrc(tmp_path, "photo", halves())
    with pytest.raises(DeviceError):
        evaluate_features(Folder(tmp_path), device="cuda")
    assert not quick_model


@pytest.mark.slow
def test_several_jobs_give_the_same_report_in_the_same_order(tmp_path: Path) -> None:
    for name in "abcde":
        write_bsds(tmp_path, name, halves(), halves(70))
    (tmp_path / "b.jpg").write_bytes(b"not a photo")
    photos = split(Bsds(tmp_path), validation=False)
    one, two = (evaluate_features(photos, device="cpu", pairs=500, jobs=jobs) for jobs in (1, 2))
    assert [photo.name for photo in two.photos] == ["b", "c", "d", "e"]
    assert two.photos[1].scores["people"]["random"] < 1
    assert_equal(one, two)


def assert_equal(one: FeatureReport, two: FeatureReport) -> None:
    """Colours to the digit; features up to the rounding of a network on another number of threads."""
    for first, second in zip(one.photos, two.photos, strict=True):
        assert (first.name, first.failure, set(first.scores)) == (second.name, second.failure, set(second.scores))
        for way in first.scores:
            for draw, value in first.scores[way].items():
                assert second.scores[way][draw] == pytest.approx(value, abs=1e-12 if way == "colors" else 1e-3)


def test_the_photos_of_the_tests_are_as_they_should_be() -> None:
    image, labels = photo(halves()), halves()
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image[labels == 1].mean(0) - image[labels == 2].mean(0)).max() > 20
