"""The roofline picture: how fast each stage computes, below what memory and arithmetic allow.

To the right is how many operations a stage makes with each byte that passes through memory, upwards how many it makes
in a second. The sloping line is the rate of memory; the level ones are those of matrix products.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROW = "decompose"
_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
_LEVELS = {"float32": "-", "float64": "--"}


def stages(measured: Mapping[str, Any], device: str = "cpu") -> dict[str, tuple[float, float]]:
    """Operations per byte, and per second, of each stage of the first row whose work is counted.

    Examples
    --------
    >>> rates = {"a": {"bytes_per_second": 2.0, "flops_per_second": 6.0}}
    >>> stages({"rows": [{"row": "decompose", "device": "cpu", "achieved": rates}]})
    {'a': (3.0, 6.0)}
    """
    return {
        stage: (rates["flops_per_second"] / rates["bytes_per_second"], rates["flops_per_second"])
        for stage, rates in _row(measured, device).get("achieved", {}).items()
    }


def draw_roofline(measured: Mapping[str, Any], path: Path, device: str = "cpu") -> None:
    """Write the picture; matplotlib is needed."""
    from matplotlib.figure import Figure

    limits, points = measured["limits"][device], stages(measured, device)
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    intensity = np.geomspace(0.05, 200, 200)
    for precision, style in _LEVELS.items():
        peak = limits[f"flops_per_second_{precision}"]
        roof = np.minimum(intensity * limits["bytes_per_second"], peak) / 1e9
        axes.plot(intensity, roof, style, color="black", linewidth=1.3)
        axes.annotate(
            f"matrix products, {precision}: {peak / 1e9:.0f} GFLOP/s",
            (intensity[-1], peak / 1e9),
            textcoords="offset points",
            xytext=(-4, 4),
            ha="right",
            fontsize=8,
        )
    slope = limits["bytes_per_second"] / 1e9
    axes.annotate(
        f"memory: {slope:.1f} GB/s",
        (0.12, 0.12 * slope),
        textcoords="offset points",
        xytext=(-4, 5),
        rotation=45,  # of a line through the origin, in the coordinates of the data
        rotation_mode="anchor",
        transform_rotates_text=True,
        fontsize=8,
    )
    for (stage, (operations, rate)), color in zip(points.items(), _COLORS, strict=False):
        axes.plot(operations, rate / 1e9, "o", color=color, label=stage)
        peak = limits[f"flops_per_second_{_precision(measured, stage, device)}"]
        roof = min(operations * limits["bytes_per_second"], peak) / 1e9
        axes.plot([operations, operations], [rate / 1e9, roof], ":", color=color, linewidth=1)
    axes.set(xscale="log", yscale="log", xlim=(0.05, 200))
    axes.set_xlabel("operations per byte of memory traffic")
    axes.set_ylabel("GFLOP/s")
    axes.grid(True, which="major", color="0.9")
    if points:
        axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _row(measured: Mapping[str, Any], device: str) -> Mapping[str, Any]:
    return next((row for row in measured["rows"] if (row["row"], row["device"]) == (ROW, device)), {})


def _precision(measured: Mapping[str, Any], stage: str, device: str) -> str:
    """That of the part with the most operations, below whose limit the stage is drawn."""
    parts = [part for part in _row(measured, device)["work"] if part["stage"] == stage]
    return str(max(parts, key=lambda part: part["flops"])["precision"])
