"""The alpha score of a folder: known answers with exact and rounded layers, means, failures, what is kept."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError, ModelError
from softseg.evaluation import alpha_score
from softseg.evaluation.alpha_photos import AlphaPhotos
from softseg.evaluation.alpha_report import ERRORS
from softseg.evaluation.alpha_score import evaluate_alpha, score_alpha
from softseg.evaluation.methods import METHODS, Subject
from tests.evaluation.alpha_data import HEIGHT, WIDTH, Broken, Exact, Failing, Hard, true_alpha, write_alpha


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Methods and features that take no time; the names of the models that were asked for."""
    asked: list[str] = []

    def subject_of(photo: Any, model: str, *, seed: int, device: str) -> Subject:
        asked.append(model)
        return Subject(photo, photo.pixels, seed)

    for name, method in {"exact": Exact, "hard": Hard, "failing": Failing, "broken": Broken}.items():
        monkeypatch.setitem(METHODS, name, method)  # type: ignore[arg-type]
    monkeypatch.setattr(alpha_score, "subject_of", subject_of)
    monkeypatch.setattr(alpha_score, "model_digest", lambda model: "0" * 64)
    return asked


def test_one_photo() -> None:
    truth = true_alpha() / 255
    unknown = np.zeros(truth.shape, bool)
    unknown[:, 10:30] = True
    score, union = score_alpha(np.stack([1 - truth, truth / 2, truth / 2]), truth, unknown)
    np.testing.assert_allclose(union, truth)
    assert (score["layers"], score["subset"]) == (3, [1, 2])
    assert score["whole"] == pytest.approx(dict.fromkeys(ERRORS, 0), abs=1e-12)
    rough, _ = score_alpha((truth > 0.5)[None].astype(float), truth, unknown)
    assert rough["subset"] == [0]
    assert rough["unknown"]["sad"] == pytest.approx(rough["whole"]["sad"])  # all errors are there
    assert rough["unknown"]["mse"] == pytest.approx(rough["whole"]["mse"] * WIDTH / 20)
    assert "unknown" not in score_alpha(truth[None], truth)[0]


def test_a_folder(quick: list[str], tmp_path: Path) -> None:
    write_alpha(tmp_path, "a")
    write_alpha(tmp_path, "b", trimap=False)
    photos = AlphaPhotos(tmp_path)
    told: list[str] = []
    report = evaluate_alpha(
        photos,
        ["exact", "hard"],
        [2, 5, "auto"],
        model="hub",
        device="cpu",
        tell=lambda photo: told.append(photo["name"]),
    )
    assert (told, quick) == (["a", "b"], ["hub", "hub"])
    assert list(report.mean) == ["exact", "hard"]
    assert list(report.mean["exact"]) == ["2", "5", "auto"]
    assert list(report.mean["hard"]) == ["2", "5"]  # it does not choose
    assert [score["layers"] for score in report.mean["exact"].values()] == [2, 5, 3]
    for score in report.mean["exact"].values():
        assert score["whole"]["mse"] == pytest.approx(0, abs=1e-12)
    ramp = np.arange(11) / 10
    squared = ((ramp - (ramp > 0.5)) ** 2).sum() / WIDTH
    hard = report.mean["hard"]["5"]
    assert hard["whole"]["mse"] == pytest.approx(squared, rel=0.02)
    assert hard["unknown"]["mse"] == pytest.approx(squared * WIDTH / 20, rel=0.02)  # of "a" alone
    assert min(hard["whole"].values()) > 0
    contents = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert "unknown" in contents["photos"][0]["methods"]["hard"]["2"]
    assert "unknown" not in contents["photos"][1]["methods"]["hard"]["2"]
    assert contents["settings"] == {
        "methods": ["exact", "hard"],
        "layers": [2, 5, "auto"],
        "seed": 0,
        "device": "cpu",
        "spectral_solver": "exact",
    }


@pytest.mark.parametrize(
    ("method", "sentence"),
    [("failing", "it did not converge"), ("broken", "unexpected ZeroDivisionError: division by zero; please report")],
)
def test_a_failure_is_named_and_the_others_are_scored(method: str, sentence: str, tmp_path: Path) -> None:
    for name in "abc":
        write_alpha(tmp_path, name)
    (tmp_path / "b" / "alpha.png").write_bytes(b"")
    photos = AlphaPhotos(tmp_path)
    report = evaluate_alpha(photos, ["exact"], [2], device="cpu")
    assert [photo["name"] for photo in report.failures] == ["b"]
    assert len(report.photos) == 3
    assert report.mean["exact"]["2"]["whole"]["sad"] == pytest.approx(0, abs=1e-9)
    all_failed = evaluate_alpha(photos, ["exact", method], [2], device="cpu")
    assert [photo["failure"].startswith(sentence) for photo in all_failed.photos] == [True, False, True]
    assert all_failed.mean == {}
    assert "traceback" not in all_failed.as_dict()["photos"][0]
    assert ("traceback" in all_failed.photos[0]) == (method == "broken")


def test_pictures_show_truth_and_unions(tmp_path: Path) -> None:
    write_alpha(tmp_path, "a")
    photos = AlphaPhotos(tmp_path)
    [photo] = evaluate_alpha(photos, ["exact", "hard"], [2, "auto"], device="cpu", pictures=True).photos
    page = np.asarray(Image.open(io.BytesIO(base64.b64decode(photo["picture"]))).convert("RGB"))
    assert page.shape[1] >= 4 * WIDTH and page.shape[0] >= 2 * HEIGHT
    truth = np.repeat(true_alpha()[:, :, None], 3, axis=2)
    step = WIDTH + 6
    for cell in (1, 2):  # truth, exact
        np.testing.assert_array_equal(page[6 : 6 + HEIGHT, 6 + cell * step :][:, :WIDTH], truth)
    assert not np.array_equal(page[6 : 6 + HEIGHT, 6 + 3 * step :][:, :WIDTH], truth)
    [without] = evaluate_alpha(photos, ["exact"], [2], device="cpu").photos
    assert "picture" not in without


def test_kept_results_are_taken_up(quick: list[str], tmp_path: Path) -> None:
    write_alpha(tmp_path / "data", "a")
    write_alpha(tmp_path / "data", "b")
    photos = AlphaPhotos(tmp_path / "data")

    def run(**options: Any) -> dict[str, Any]:
        report = evaluate_alpha(photos, ["exact"], [2], device="cpu", kept=tmp_path / "kept", **options)
        return report.as_dict()["mean"]

    first = run()
    assert len(quick) == 2
    assert run() == first
    assert len(quick) == 2
    run(seed=1)
    assert len(quick) == 4
    run(pictures=True)
    assert len(quick) == 6


@pytest.mark.parametrize(
    ("methods", "counts", "jobs", "sentence"),
    [
        (["best"], [2], 1, "no method 'best'"),
        (["exact"], [13], 1, "13 layers were asked for.*ask for 2 to 12"),
        (["exact"], [1], 1, "1 layers were asked for"),
        ([], [2], 1, "0 methods"),
        (["exact"], [], 1, "0 numbers"),
        (["exact"], [2], 0, "0 jobs"),
    ],
)
def test_what_is_refused(
    methods: list[str], counts: list[int], jobs: int, sentence: str, quick: list[str], tmp_path: Path
) -> None:
    write_alpha(tmp_path, "a")
    with pytest.raises(InputError, match=sentence):
        evaluate_alpha(AlphaPhotos(tmp_path), methods, counts, jobs=jobs)  # type: ignore[arg-type]
    assert not quick


def test_a_missing_model_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write_alpha(tmp_path, "a")
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate_alpha(AlphaPhotos(tmp_path), ["feature_clusters"], [2], model="no-such-model", device="cpu")


@pytest.mark.slow
def test_the_real_thing_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model and its clusters: both processes load them by themselves."""
    monkeypatch.undo()
    for name in "ab":
        write_alpha(tmp_path, name)
    photos = AlphaPhotos(tmp_path)
    one, two = (evaluate_alpha(photos, ["feature_clusters"], [2], device="cpu", jobs=jobs) for jobs in (1, 2))
    assert not two.failures
    assert two.mean["feature_clusters"]["2"]["whole"] == pytest.approx(
        one.mean["feature_clusters"]["2"]["whole"], rel=0.05
    )
