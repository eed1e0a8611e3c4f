"""The tables of docs/performance.md, from the JSON files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.marked import filled
from benchmarks.quality.suite.tables import markdown
from benchmarks.speed.roofline import ROW, stages

FILES = ("speed", "side_by_side")
_ROUTES = {"fast": "fast", "exact": "exact", "scipy": "straightforward SciPy"}


def read_files(folder: Path) -> dict[str, Any]:
    """Those of the JSON files that there are."""
    paths = {name: folder / f"{name}.json" for name in FILES}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}


def fill(text: str, files: Mapping[str, Any]) -> str:
    """The text with every table made anew; InputError for one that does not exist."""
    return filled(text, TABLES, lambda name: table(name, files))


def table(name: str, files: Mapping[str, Any]) -> str:
    """One table as Markdown; a sentence where its file is missing."""
    file, make = TABLES[name]
    return make(files[file]) if file in files else "*Not measured yet: `python -m benchmarks.speed PHOTO`.*"


def _targets(found: Mapping[str, Any]) -> str:
    head = ["work", "size", "device", "seconds", "target", "peak memory", "target"]
    rows = []
    for row in found["rows"]:
        done = "failure" not in row
        rows.append(
            [
                row["title"],
                _size(row["size"]),
                row["device"],
                f"{row['seconds']['median']:.2f}" if done else "failed",
                _or_dash(row["target"]["seconds"], "{:.1f}"),
                _or_dash(_gigabytes(row["peak_memory_bytes"] if done else None), "{:.2f} GB"),
                _or_dash(_gigabytes(row["target"]["memory"]), "{:.1f} GB"),
            ]
        )
    for step in found["growth"]:
        small, large = map(_size, step["sizes"])
        ratio, target = f"{step['ratio']:.2f} times", f"{step['target']} times"
        rows.append([f"growth from {small}", large, step["device"], ratio, target, "-", "-"])
    made = found.get("machine", {})
    facts = f"{made.get('processor', '?')}, {made.get('cores', '?')} cores; photo {found['photo']}"
    medians = ", ".join(sorted({f"{row['runs']}" for row in found["rows"] if "runs" in row}))
    return f"{facts}; GPU: {found['gpu']}. Medians of {medians} runs.\n\n{markdown(head, rows)}"


def _limits(found: Mapping[str, Any]) -> str:
    head = ["device", "memory, read and written", "products, float32", "products, float64", "threads"]
    rows = []
    for device, limits in found["limits"].items():
        single, double = (limits[f"flops_per_second_{kind}"] / 1e9 for kind in ("float32", "float64"))
        rates = [f"{limits['bytes_per_second'] / 1e9:.1f} GB/s", f"{single:.0f} GFLOP/s", f"{double:.0f} GFLOP/s"]
        rows.append([device, *rates, str(limits["threads"])])
    return markdown(head, rows)


def _roofline(found: Mapping[str, Any]) -> str:
    points = stages(found)
    if not points:
        return "*No stage was counted: measure the row decompose.*"
    nearest = max(points, key=lambda stage: points[stage][0])
    return (
        "![Operations per second of each stage over its operations per byte, below the limits](images/roofline.png)\n\n"
        f"*The row {ROW}. Dotted: what is left up to the limit. The most operations for each byte are those of "
        f"the {nearest}.*"
    )


def _stages(found: Mapping[str, Any]) -> str:
    head = ["row", "stage", "seconds", "GB/s", "GFLOP/s", "seconds at the limit", "share of the limit"]
    rows = []
    for row in found["rows"]:
        for stage, seconds in row.get("stages", {}).items():
            rates = row.get("achieved", {}).get(stage)
            cells = ["-"] * 4
            if rates:
                cells = [f"{rates[f'{kind}_per_second'] / 1e9:.1f}" for kind in ("bytes", "flops")]
                cells += [f"{rates['seconds_at_limit']:.3f}", f"{100 * rates['share_of_limit']:.0f} %"]
            name = f"{row['row']}, {_size(row['size'])}, {row['device']}"
            rows.append([name, stage, f"{seconds:.3f}", *cells])
    return markdown(head, rows)


def _side_by_side(found: Mapping[str, Any]) -> str:
    head = ["stage", *(f"{title}, s" for title in _ROUTES.values()), "exact / fast", "SciPy / fast"]
    rows = [
        [
            stage,
            *(f"{found['seconds'][route][stage]:.2f}" for route in _ROUTES),
            *(f"{found['ratio_to_fast'][route][stage]:.1f}" for route in ("exact", "scipy")),
        ]
        for stage in found["seconds"]["fast"]
    ]
    matting = found["pymatting"]
    beside = f"PyMatting was left out: {matting.get('skipped')}."
    if "seconds" in matting:
        beside = (
            f"PyMatting's closed-form matting of one of the layers, {100 * matting['unknown']:.0f} % of its trimap "
            f"unknown: {matting['seconds']:.2f} s; these stages of the fast route, for all {found['layers']} layers "
            f"and without a trimap, take {matting['fast_route_takes_times']:.1f} times as long."
        )
    return f"{found['photo']}, {_size(found['size'])}.\n\n{markdown(head, rows)}\n\n{beside}"


def _size(size: list[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _gigabytes(value: float | None) -> float | None:
    return None if value is None else value / 1e9


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


TABLES: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "targets": ("speed", _targets),
    "limits": ("speed", _limits),
    "roofline": ("speed", _roofline),
    "stages": ("speed", _stages),
    "side-by-side": ("side_by_side", _side_by_side),
}
