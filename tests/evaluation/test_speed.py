"""Measuring speed: inputs, counted work, rows on a tiny photo, and how the processes' answers are put together."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError, SoftsegError
from softseg.evaluation.speed import ROWS, bench, child, measure_speed, rows
from softseg.evaluation.speed.inputs import sized_photo, write_photo
from softseg.evaluation.speed.limits import measure_limits
from softseg.evaluation.speed.work import Work, work_of
from softseg.settings import ConstrainedSettings, Settings

# Inputs


def photo_of(width: int, height: int, path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", [(40, 30), (64, 48), (100, 96), (30, 48)])
def test_a_photo_is_brought_to_the_size(size: tuple[int, int], tmp_path: Path) -> None:
    assert sized_photo(photo_of(64, 48, tmp_path / "photo.png"), size).shape == (size[1], size[0], 3)


def test_a_small_photo_is_continued_by_its_mirror_image_and_not_enlarged(tmp_path: Path) -> None:
    path = photo_of(40, 32, tmp_path / "photo.png")
    pixels = np.asarray(Image.open(path))
    sized = sized_photo(path, (80, 64))
    np.testing.assert_array_equal(sized[:32, :40], pixels)
    np.testing.assert_array_equal(sized[32:, :40], pixels[::-1])
    np.testing.assert_array_equal(sized[:32, 40:], pixels[:, ::-1])


# Limits and counted work

LIMITS = {"bytes_per_second": 10.0, "flops_per_second_float32": 4.0, "flops_per_second_float64": 2.0}


def test_limits_are_rates() -> None:
    limits = measure_limits(copied=2**16, side=32)
    assert set(limits) == set(LIMITS) and all(1e3 < rate < 1e15 for rate in limits.values())


def test_what_a_gpu_leaves_to_the_processor_stands_beside_the_limits_of_the_processor() -> None:
    work = [vars(Work(stage, "p", "float32", bytes=100, flops=8)) for stage in ("affinities", "eigenvectors")]
    row = {"work": work, "stages": {"affinities": 20.0, "eigenvectors": 20.0}}
    row |= {"statistics": {"stages_on_device": ["eigenvectors"]}}
    faster = {name: 5 * rate for name, rate in LIMITS.items()}
    both = bench._beside_limits(row, {"cuda": faster, "cpu": LIMITS}, "cuda")["achieved"]
    assert [both[stage]["share_of_limit"] for stage in row["stages"]] == [0.5, 0.1]


def test_the_slower_of_memory_and_arithmetic_decides() -> None:
    assert Work("s", "p", "float32", bytes=100, flops=8).seconds_at_limit(LIMITS) == 10
    assert Work("s", "p", "float32", bytes=10, flops=8).seconds_at_limit(LIMITS) == 2
    assert Work("s", "p", "float64", bytes=10, flops=8).seconds_at_limit(LIMITS) == 4


STATISTICS = {
    "eigenvectors": 10,
    "coarse_unknowns": 50,
    "candidates": 20,
    "soft_segments": 8,
    "conjugate_gradient_steps": 7,
    "shared_columns": 64,
    "smoothing_steps": 12,
}


def test_counted_work_of_a_small_case() -> None:
    settings = replace(Settings.for_solver("fast"), constrained=ConstrainedSettings(sample=500))
    parts = {work.part: work for work in work_of(1000, 25_000, 5, settings, STATISTICS)}
    gradients = parts["conjugate gradients"]
    assert gradients.flops == 7 * 5 * (2 * 25_000 + 20 * 1000)
    assert gradients.bytes == 7 * (13 * 4 * 1000 + 10 * 4 * 1000 * 5) and gradients.precision == "float32"
    assert parts["smoothing"].flops == 12 * (2 * 25_000 * 20 + 6 * 1000 * 20)
    assert parts["smoothing"].bytes == 6 * (3 * 4 * 1000 * 20 + 100 * 1000)
    functions = parts["smoothed functions"]  # 8 steps for 64 columns, one product more, and sums in cells
    assert functions.flops == 8 * (2 * 25_000 * 64 + 6 * 1000 * 64) + 2 * 25_000 * 64 + 4 * 1000 * 64**2
    assert functions.bytes == 4 * (3 * 4 * 1000 * 64 + 2 * 100 * 1000) + 8 * 1000 * 64
    grams = parts["Grams"]
    assert grams.flops == 40 * 2 * 500 * 55 * (40 + 8) / 2 and grams.precision == "float32"
    assert grams.bytes == 40 * (4 * (500 * 10 + 500 * 24) + 8 * 24 * 55)
    assert parts["matting affinity, Laplacian"].bytes == 24 * 1000 + 36 * 25_000


@pytest.mark.parametrize(("superpixels", "rows"), [(99, 500), (100, 100), (400, 400)])
def test_the_counted_fit_is_made_to_superpixels_where_they_are_many(superpixels: int, rows: int) -> None:
    settings = replace(Settings.for_solver("fast"), constrained=ConstrainedSettings(sample=500, superpixel_means=True))
    said = STATISTICS | {"superpixels": superpixels}
    [grams] = [part for part in work_of(1000, 25_000, 5, settings, said) if part.part == "Grams"]
    assert grams.flops == 40 * 2 * rows * 55 * (40 + 8) / 2 and grams.precision == "float32"


def test_counted_work_of_the_exact_route_is_in_double_precision() -> None:
    parts = {part.part: part for part in work_of(1000, 25_000, 5, Settings.for_solver("exact"), STATISTICS)}
    gradients, grams = parts["conjugate gradients"], parts["Grams"]
    assert gradients.precision == grams.precision == "float64"
    assert gradients.bytes == 7 * (12 * 25_000 + 10 * 8 * 1000 * 5)
    assert grams.flops == 10 * 2 * 1000 * 55 * 34
    assert grams.bytes == 10 * 8 * (1000 * 55 + 1000 * 34 + 34 * 55)


def test_a_sample_that_is_not_smaller_than_the_photo_is_fitted_in_double_precision() -> None:
    parts = {part.part: part for part in work_of(1000, 25_000, 5, Settings.for_solver("fast"), STATISTICS)}
    assert parts["Grams"].precision == "float64"


@pytest.mark.parametrize(("steps", "candidates", "bytes_"), [(3, 20, 2 * 340e3), (12, 33, 6 * 596e3), (0, 33, 0)])
def test_smoothing_takes_two_steps_in_a_pass_over_32_columns(steps: int, candidates: int, bytes_: float) -> None:
    said = STATISTICS | {"smoothing_steps": steps, "candidates": candidates}
    [smoothing] = [part for part in work_of(1000, 25_000, 5, Settings(), said) if part.part == "smoothing"]
    assert smoothing.bytes == bytes_ and smoothing.flops == steps * (2 * 25_000 + 6 * 1000) * candidates


def test_counted_work_of_the_stages_on_a_device() -> None:
    """Grams and the coarse factor are double precision, smoothing takes a step at a time, and L is 25 planes."""
    settings = replace(Settings.for_solver("fast"), constrained=ConstrainedSettings(sample=500))
    said = STATISTICS | {"stages_on_device": ["eigenvectors", "constrained sparsification", "relaxed sparsification"]}
    parts = {part.part: part for part in work_of(1000, 25_000, 5, settings, said)}
    assert parts["Grams"].precision == "float64" and parts["Grams"].bytes == 40 * 8 * (500 * 55 + 500 * 24 + 24 * 55)
    assert parts["coarse factor"].bytes == 3 * 8 * 50**2 and parts["coarse factor"].precision == "float64"
    assert parts["smoothing"].bytes == 12 * (3 * 4 * 1000 * 20 + 100 * 1000)
    assert parts["conjugate gradients"].bytes == 7 * (100 * 1000 + 10 * 4 * 1000 * 5)


@pytest.mark.parametrize("missing", sorted(STATISTICS.keys() - {"smoothing_steps"}))
def test_a_part_without_its_count_is_left_out(missing: str) -> None:
    found = work_of(1000, 25_000, 5, Settings(), {k: v for k, v in STATISTICS.items() if k != missing})
    whole = work_of(1000, 25_000, 5, Settings(), STATISTICS)
    assert 0 < len(found) < len(whole) or missing == "eigenvectors"
    assert "matting affinity, Laplacian" in {work.part for work in found}


def test_eigenvectors_left_in_the_coarse_space_are_not_smoothed() -> None:
    parts = {work.part for work in work_of(1000, 25_000, 5, Settings(), STATISTICS | {"candidates": 10})}
    assert not parts & {"smoothed functions", "smoothing", "Rayleigh-Ritz"} and "Galerkin product" in parts


# Rows, in this process


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("speed")
    pixels = sized_photo(None, (40, 32))
    write_photo(pixels, folder / "photo.png")
    np.save(folder / "features.npy", pixels / 255.0)
    return {"photo": str(folder / "photo.png"), "warm": str(folder / "photo.png")} | {
        "features": str(folder / "features.npy")
    }


def task(row: str, files: dict[str, str], **changed: Any) -> dict[str, Any]:
    fields = {"row": row, "size": [40, 32], "runs": 1, "device": "cpu", **files, **changed}
    return {"kind": "row", "arguments": fields}


@pytest.mark.parametrize("row", ["decompose", "layers", "file"])
def test_a_row_has_seconds_stages_and_memory(row: str, files: dict[str, str]) -> None:
    found = child.answer(task(row, files))
    assert found["seconds"]["best"] <= found["seconds"]["median"] and found["runs"] == 1
    assert found["peak_memory_bytes"] > 1e7
    stages = set(found["stages"])
    assert {"grouping", "relaxed sparsification"} <= stages
    assert ("affinities" in stages) == (row != "layers") and ("writing" in stages) == (row == "file")
    assert {part["stage"] for part in found["work"]} <= stages
    assert sum(found["stages"].values()) <= found["seconds"]["median"] * 1.01
    json.dumps(found, allow_nan=False)


def test_a_cold_start_is_the_whole_command(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Done:
        returncode = 0
        stderr = ""

    def run(command: list[str], **options: Any) -> Done:
        commands.append(command)
        return Done()

    monkeypatch.setattr(rows.subprocess, "run", run)
    found = child.answer(task("cold", files, runs=2))
    assert found["runs"] == 2 and len(commands) == 3
    assert found["peak_memory_bytes"] is None  # that of this process says nothing
    assert commands[0][:4] == [sys.executable, "-m", "softseg", "segment"]
    Done.returncode, Done.stderr = 1, "no such device\n"
    assert "no such device" in child.answer(task("cold", files))["failure"]


def test_work_is_counted_at_the_size_at_which_a_photo_is_taken_apart(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Result(list[None]):
        settings, statistics, features = Settings(), STATISTICS, np.zeros((12, 20, 3))

        def report(self) -> dict[str, Any]:
            return {"statistics": {}}

    stages = {"affinities": 1.0}
    monkeypatch.setitem(rows._WAYS, "large", lambda request: lambda: rows.Run(1.0, stages, Result(), 5000))  # type: ignore[arg-type]
    [affinities] = child.answer(task("large", files))["work"]
    assert affinities["bytes"] == 24 * 20 * 12 + 36 * 5000


def test_what_cannot_be_used_is_said(files: dict[str, str]) -> None:
    assert "does not exist" in child.answer(task("decompose", files, photo="nowhere.png"))["failure"]


# The whole, with processes that answer at once


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the processes were asked; a row takes a second for each pixel, and "cold" fails."""
    asked: list[dict[str, Any]] = []

    def answer(kind: str, folder: Path, **arguments: Any) -> dict[str, Any]:
        asked.append({"kind": kind, **arguments})
        if kind == "devices":
            return {"cuda": GPU[0]}
        if kind == "limits":
            return {"threads": 2, **LIMITS, "peak_memory_bytes": 5}
        if kind != "row":
            return {}
        if arguments["row"] == "cold":
            raise SoftsegError("it did not start")
        width, height = arguments["size"]
        part = {"stage": "affinities", "part": "p", "precision": "float32", "bytes": 100.0, "flops": 8.0}
        seconds = {"median": float(width * height), "best": 1.0}
        return {"seconds": seconds, "stages": {"affinities": 20.0}, "work": [part], "peak_memory_bytes": 7}

    monkeypatch.setattr(bench, "_asked", answer)
    monkeypatch.setattr(sys.modules[__name__], "GPU", [None])
    return asked


GPU: list[str | None] = [None]


def test_rows_stand_beside_targets_and_limits(asked: list[dict[str, Any]]) -> None:
    told: list[dict[str, Any]] = []
    found = measure_speed(None, device="cpu", tell=told.append)
    assert [row["row"] for row in found["rows"]] == ["decompose", "layers", "file", "cold", "growth", "growth"]
    assert told == found["rows"]
    first = found["rows"][0]
    assert first["target"] == {"seconds": ROWS["decompose"].seconds, "memory": ROWS["decompose"].memory}
    rates = {"bytes_per_second": 5.0, "flops_per_second": 0.4, "seconds_at_limit": 10.0, "share_of_limit": 0.5}
    assert first["achieved"] == {"affinities": rates}
    assert [row.get("failure") for row in found["rows"]].count("it did not start") == 1
    assert [step["ratio"] for step in found["growth"]] == [4.0]
    assert found["limits"] == {"cpu": {"threads": 2, **LIMITS}} and found["gpu"] == "not asked for"


def test_growth_goes_as_far_as_is_asked(asked: list[dict[str, Any]]) -> None:
    found = measure_speed(None, ["growth"], largest=20, device="cpu")
    assert [row["size"] for row in found["rows"]] == [[640, 480], [1280, 960], [2560, 1920], [5120, 3840]]
    assert bench.count_of_rows(["growth"], (640, 480), 20) == 4


def test_growth_across_a_row_that_failed_is_not_told() -> None:
    def row(width: int, device: str = "cpu") -> dict[str, Any]:
        seconds = {"median": float(width)}
        return {"row": "growth", "size": [width, width // 2], "device": device, "seconds": seconds}

    failed = row(128) | {"failure": "no memory"}
    assert bench._growth([row(64), failed, row(256)]) == []
    found = bench._growth([row(64), row(128), row(64, "cuda"), row(128, "cuda")])
    assert [(step["device"], step["ratio"]) for step in found] == [("cpu", 2.0), ("cuda", 2.0)]


def test_the_load_is_that_before_the_rows(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (float(len(asked)), 0, 0), raising=False)
    assert measure_speed(None, ["decompose"], device="cpu")["load_before"] == 0 and asked


def test_targets_are_for_their_size_only(asked: list[dict[str, Any]]) -> None:
    small = measure_speed(None, ["decompose", "large"], size=(64, 48), device="cpu")["rows"]
    assert small[0]["target"] == {"seconds": None, "memory": None}
    assert small[1]["size"] == [4000, 3000] and small[1]["target"]["seconds"] == 90


def test_a_gpu_is_measured_where_there_is_one(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_speed(None, ["decompose"])["gpu"] == "none: PyTorch finds no CUDA GPU"
    with pytest.raises(InputError, match="no CUDA GPU"):
        measure_speed(None, ["decompose"], device="cuda")
    monkeypatch.setattr(sys.modules[__name__], "GPU", ["H200"])
    found = measure_speed(None, ["decompose"])
    assert found["gpu"] == "H200" and [row["device"] for row in found["rows"]] == ["cpu", "cuda"]
    assert found["rows"][1]["target"]["seconds"] is None  # those are for the processor


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": ["fast"]}, "no row 'fast'"),
        ({"size": (640, 8)}, "32 x 32"),
        ({"size": (99999, 99999)}, "at most 100 megapixels"),
        ({"largest": float("inf")}, "up to inf megapixels"),
        ({"largest": float("nan")}, "up to nan megapixels"),
        ({"largest": 101}, "from 0 to 100"),
        ({"largest": -1}, "from 0 to 100"),
    ],
)
def test_impossible_requests_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure_speed(None, **wrong)


def test_a_process_that_dies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_CHILD", "softseg.no_such_module")
    with pytest.raises(SoftsegError, match=r"code 1: .*no_such_module"):
        bench._asked("limits", tmp_path, device="cpu")
