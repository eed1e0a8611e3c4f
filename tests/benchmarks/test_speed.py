"""The speed benchmark: straightforward stages are right, the side by side runs, tables are those of the files."""

from __future__ import annotations

import doctest
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import marked
from benchmarks.speed import __main__ as command
from benchmarks.speed import roofline, side_by_side, straightforward, tables
from softseg.errors import InputError
from softseg.graph import laplacian, matting_affinity
from softseg.segments import constrained_sparsification
from softseg.segments.relaxed import relax
from softseg.settings import ConstrainedSettings, RelaxedSettings
from softseg.spectrum import smallest_eigenpairs
from tests.laws.examples import make_image, make_laplacian, make_partition

ROOT = Path(__file__).parents[2]


# The straightforward stages compute what the package does


def test_affinities_and_laplacian() -> None:
    image = make_image("smooth", 11, 14)
    ours, theirs = matting_affinity(image), straightforward.matting_affinity(image)
    assert abs(ours - theirs).max() < 1e-8
    nothing = 0 * ours
    assert abs(laplacian(ours, nothing, nothing) - straightforward.laplacian(theirs, nothing)).max() < 1e-8


def test_eigenvectors_and_segments() -> None:
    graph = make_laplacian(make_image("smooth", 16, 18, seed=3))
    values, vectors = straightforward.eigenvectors(graph, 8)
    np.testing.assert_allclose(values, smallest_eigenpairs(graph, 8)[0], atol=1e-8)
    labels = make_partition(16, 18, 5).ravel()
    ours = constrained_sparsification(vectors, values, labels, ConstrainedSettings(iterations=4, drop_below=0))
    theirs = straightforward.constrained_sparsification(vectors, values, labels, iterations=4, drop_below=0)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_relaxed_layers() -> None:
    image = make_image("smooth", 16, 18, seed=3)
    graph = make_laplacian(image)
    soft = np.clip(image[..., 0].ravel(), 0.05, 0.95)
    layers = np.stack([soft, 1 - soft])
    ours = relax(layers, graph, image, RelaxedSettings()).alphas.reshape(2, -1)
    np.testing.assert_allclose(straightforward.relaxed_sparsification(layers, graph, image), ours, atol=1e-3)


# The side by side


def test_routes_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = straightforward.constrained_sparsification
    monkeypatch.setattr(straightforward, "constrained_sparsification", lambda *a: rounds(*a[:3], iterations=1))
    monkeypatch.setitem(sys.modules, "pymatting", None)  # as if it were not installed
    found = side_by_side.rounded(side_by_side.compare(None, (40, 32), runs=1, count=2))
    assert set(found["seconds"]) == {"fast", "exact", "scipy"}
    for route in ("exact", "scipy"):
        for stage in (*side_by_side.STAGES, "total"):
            ratio = found["seconds"][route][stage] / found["seconds"]["fast"][stage]
            assert found["ratio_to_fast"][route][stage] == pytest.approx(ratio, rel=1e-2)
    assert found["largest_difference_of_affinities"] < 1e-8
    assert "pip install pymatting" in found["pymatting"]["skipped"]
    text = tables.table("side-by-side", {"side_by_side": found})
    assert "PyMatting was left out: pymatting is not installed" in text and "| eigenvectors |" in text


def test_trimap_of_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    class Matting:
        @staticmethod
        def estimate_alpha_cf(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
            seen.append(trimap)
            return trimap

    monkeypatch.setitem(sys.modules, "pymatting", Matting)
    alpha = np.repeat([[1.0] * 20 + [0.5] + [0.0] * 20], 30, axis=0)
    found = side_by_side._pymatting(np.zeros((30, 41, 3)), alpha, 2, 1.0)
    assert len(seen) == 3 and found["unknown"] == pytest.approx(17 / 41)
    assert (seen[0][:, :12] == 1).all() and (seen[0][:, 29:] == 0).all() and (seen[0][:, 12:29] == 0.5).all()
    assert "skipped" in side_by_side._pymatting(np.zeros((30, 41, 3)), np.ones_like(alpha), 1, 1.0)


# Tables and picture


def measured() -> dict[str, Any]:
    rates = {"bytes_per_second": 2e9, "flops_per_second": 3e10, "seconds_at_limit": 0.5, "share_of_limit": 0.25}
    row = {
        "row": "decompose",
        "title": "decompose and layers(5)",
        "size": [640, 480],
        "device": "cpu",
        "target": {"seconds": 3.0, "memory": 1.5e9},
        "runs": 5,
        "seconds": {"median": 2.5},
        "stages": {"affinities": 2.0, "grouping": 0.5},
        "peak_memory_bytes": 1_200_000_000,
        "achieved": {"affinities": rates},
        "work": [
            {"stage": "affinities", "part": "a", "precision": "float32", "bytes": 1.0, "flops": 1.0},
            {"stage": "affinities", "part": "b", "precision": "float64", "bytes": 1.0, "flops": 2.0},
        ],
    }
    rates_of_machine = {"bytes_per_second": 25e9, "flops_per_second_float32": 3e11, "flops_per_second_float64": 9e10}
    broken = {**row, "row": "file", "failure": "no", "target": {"seconds": None, "memory": None}}
    for name in ("seconds", "stages", "achieved", "runs", "peak_memory_bytes"):
        del broken[name]
    growth = {"device": "cpu", "sizes": [[640, 480], [1280, 960]], "ratio": 4.25, "target": 4.5}
    return {
        "machine": {"processor": "P", "cores": 2},
        "photo": "a.jpg",
        "gpu": "none",
        "limits": {"cpu": {"threads": 2, **rates_of_machine}},
        "rows": [row, broken],
        "growth": [growth],
    }


def test_tables_of_measured_numbers() -> None:
    files = {"speed": measured()}
    targets = tables.table("targets", files)
    assert "| decompose and layers(5) | 640 x 480 | cpu | 2.50 | 3.0 | 1.20 GB | 1.5 GB |" in targets
    assert "| failed | - | - | - |" in targets and "| 4.25 times | 4.5 times |" in targets
    assert "| cpu | 25.0 GB/s | 300 GFLOP/s | 90 GFLOP/s | 2 |" in tables.table("limits", files)
    rows = tables.table("stages", files)
    assert "| decompose, 640 x 480, cpu | affinities | 2.000 | 2.0 | 30.0 | 0.500 | 25 % |" in rows
    assert "| grouping | 0.500 | - | - | - | - |" in rows
    assert "images/roofline.png" in tables.table("roofline", files)
    assert "Not measured yet" in tables.table("side-by-side", files)


def test_the_committed_tables_are_those_of_the_committed_files() -> None:
    """If this fails: python -m benchmarks.speed --tables"""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert tables.fill(text, tables.read_files(ROOT / "benchmarks" / "speed")) == text
    assert all(f"<!-- table: {name} -->" in text for name in tables.TABLES)
    with pytest.raises(InputError, match="no table 'best'"):
        tables.fill("<!-- table: best -->\n<!-- end -->", {})


@pytest.mark.parametrize("module", [marked, roofline])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0


def test_one_command_measures_draws_and_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "performance.md"
    docs.write_text("text\n<!-- table: limits -->\n<!-- end -->\n")
    calls: dict[str, Any] = {}

    def measure(photo: Path | None, rows: list[str], **options: Any) -> dict[str, Any]:
        calls.update(photo=photo, rows=rows, **options)
        return measured()

    def draw(found: Any, path: Path) -> None:
        raise ImportError

    for name, value in {
        "HERE": tmp_path,
        "DOCS": docs,
        "measure_speed": measure,
        "compare": lambda *arguments: {"photo": "a.jpg", "compared": 1 / 3},
        "draw_roofline": draw,
    }.items():
        monkeypatch.setattr(command, name, value)
    assert command.main(["a.jpg", "--rows", "all", "--largest", "12"]) == 1  # a row failed
    assert "large" in calls["rows"] and calls["largest"] == 12
    assert "| cpu | 25.0 GB/s |" in docs.read_text()
    beside = json.loads((tmp_path / "side_by_side.json").read_text())
    assert beside["compared"] == 0.3333 and beside["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    "arguments",
    [["--size", "640"], ["--size", "99999x99999"], ["--beside", "8x8"], ["--largest", "inf"], ["--rows", "fast"]],
)
def test_what_softseg_bench_refuses_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


def test_memory_that_is_not_known_is_a_dash() -> None:
    found = measured()
    found["rows"][0]["peak_memory_bytes"] = None
    assert "| 2.50 | 3.0 | - | 1.5 GB |" in tables.table("targets", {"speed": found})


def test_a_stage_is_drawn_below_the_limit_of_most_of_its_operations() -> None:
    assert roofline.stages(measured()) == {"affinities": (15.0, 3e10)}
    assert roofline._precision(measured(), "affinities", "cpu") == "float64"


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    roofline.draw_roofline(measured(), tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").read_bytes()[:4] == b"\x89PNG"
