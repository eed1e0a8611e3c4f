"""`softseg bench speed`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softseg.errors import SoftsegError
from softseg.evaluation import speed

RATES = {"bytes_per_second": 2e9, "flops_per_second": 3e9, "seconds_at_limit": 0.5, "share_of_limit": 0.25}
ROW = {
    "row": "decompose",
    "title": "t",
    "size": [640, 480],
    "device": "cpu",
    "target": {"seconds": 3.0, "memory": 1.5e9},
    "seconds": {"median": 2.5, "best": 2.0},
    "stages": {"affinities": 2.0, "grouping": 0.5},
    "peak_memory_bytes": 1_200_000_000,
    "achieved": {"affinities": RATES},
}
LIMITS = {"threads": 2, "bytes_per_second": 25e9, "flops_per_second_float32": 3e11, "flops_per_second_float64": 9e10}
STEP = {"device": "cpu", "sizes": [[640, 480], [1280, 960]], "ratio": 4.25, "target": 4.5}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the measurement was asked for; it answers at once."""
    calls: list[dict[str, Any]] = []
    cold = ROW | {"row": "cold", "stages": {}, "peak_memory_bytes": None}

    def measure(photo: Path | None, rows: list[str], *, tell: Any, **options: Any) -> dict[str, Any]:
        calls.append({"photo": photo, "rows": rows, **options})
        if photo is not None and photo.name == "broken.jpg":
            raise SoftsegError("it is broken; choose another")
        broken = {"row": "file", "size": [640, 480], "device": "cpu", "failure": "out of luck"}
        found = [ROW, *([cold] if "cold" in rows else []), *([broken] if "file" in rows else [])]
        for row in found if tell else []:
            tell(row)
        facts = {"photo": "a.jpg", "gpu": "none: no GPU", "limits": {"cpu": LIMITS}}
        return {**facts, "rows": found, "growth": [STEP]}

    monkeypatch.setattr(speed, "measure_speed", measure)
    return calls


def test_the_table_and_the_file(softseg: Callable[..., Any], asked: list[dict[str, Any]], tmp_path: Path) -> None:
    run = softseg("bench", "speed", "--rows", "decompose,growth", "--runs", 2, "-o", tmp_path / "bench.json")
    assert run.exit_code == 0, run.output
    assert asked[0]["rows"] == ["decompose", "growth"] and asked[0]["runs"] == 2 and asked[0]["size"] == (640, 480)
    lines = [line.split() for line in run.stdout.splitlines()]
    assert ["decompose", "640x480", "cpu", "2.50", "s", "3.00", "s", "1.20", "GB", "1.50", "GB"] in lines
    assert ["decompose", "640x480", "cpu", "affinities", "2.000", "2.0", "3.0", "25", "%"] in lines
    assert ["decompose", "640x480", "cpu", "grouping", "0.500", "-", "-", "-"] in lines
    assert "copies 25.0 GB/s, multiplies matrices at 300 GFLOP/s in float32 and 90 in float64" in run.stdout
    assert "growth 640x480 to 1280x960, cpu: 4.25 (target 4.5)" in run.stdout
    assert "1/3 decompose 640x480 cpu: 2.50 s" in run.stderr
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert report["machine"]["cores"] >= 1 and report["rows"] == [ROW] and report["growth"] == [STEP]


def test_the_large_photo_is_measured_only_when_asked_for(
    softseg: Callable[..., Any], asked: list[dict[str, Any]]
) -> None:
    softseg("bench", "speed")
    softseg("bench", "speed", "--rows", "all")
    assert "large" not in asked[0]["rows"] and asked[1]["rows"] == list(speed.ROWS)
    assert set(asked[0]["rows"]) == {name for name, row in speed.ROWS.items() if row.usual}


def test_a_row_that_fails_is_named_and_the_others_are_kept(
    softseg: Callable[..., Any], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    run = softseg("bench", "speed", "-q", "-o", tmp_path / "bench.json")
    assert run.exit_code == 1
    assert run.stderr == "file: out of luck\n" and "decompose" in run.stdout
    assert len(json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"]) == 3


def test_memory_that_is_not_known_is_a_dash(softseg: Callable[..., Any], asked: list[dict[str, Any]]) -> None:
    lines = [line.split() for line in softseg("bench", "speed", "--rows", "cold").stdout.splitlines()]
    assert ["cold", "640x480", "cpu", "2.50", "s", "3.00", "s", "-", "1.50", "GB"] in lines


def test_a_broken_photo_is_one_sentence(softseg: Callable[..., Any], asked: list[dict[str, Any]]) -> None:
    run = softseg("bench", "speed", "broken.jpg")
    assert run.exit_code == 1
    assert run.stderr == "broken.jpg: it is broken; choose another\n"


def test_an_earlier_file_is_kept(softseg: Callable[..., Any], asked: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("mine")
    run = softseg("bench", "speed", "-o", tmp_path / "bench.json")
    assert run.exit_code == 1 and "--overwrite" in run.stderr and not asked
    run = softseg("bench", "speed", "photo.jpg", "-o", tmp_path / "bench.json")
    assert run.stderr.startswith(str(tmp_path / "bench.json"))  # the photo has nothing to do with it
    assert softseg("bench", "speed", "--rows", "decompose", "-o", tmp_path / "bench.json", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rows", "fast"],
        ["--rows", ","],
        ["--size", "640"],
        ["--size", "8x480"],
        ["--size", "99999x99999"],
        ["--runs", "0"],
        ["--largest", "inf"],
        ["--largest", "nan"],
        ["--largest", "101"],
        ["--largest", "-1"],
    ],
)
def test_wrong_usage(softseg: Callable[..., Any], asked: list[dict[str, Any]], arguments: list[str]) -> None:
    assert softseg("bench", "speed", *arguments).exit_code == 2
    assert not asked


def test_help_names_it(softseg: Callable[..., Any]) -> None:
    assert "bench" in softseg("--help").stdout
    assert "speed" in softseg("bench", "--help").stdout


@pytest.mark.slow
def test_a_tiny_photo_measured_in_processes(softseg: Callable[..., Any], photo: Path, tmp_path: Path) -> None:
    arguments = ["--rows", "decompose", "--size", "40x32", "--runs", "1", "--device", "cpu"]
    run = softseg("bench", "speed", photo, *arguments, "-o", tmp_path / "bench.json")
    assert run.exit_code == 0, run.output
    [row] = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"]
    assert row["runs"] == 1 and row["seconds"]["median"] > 0 and row["peak_memory_bytes"] > 5e7
    assert row["achieved"]["affinities"]["share_of_limit"] > 0
