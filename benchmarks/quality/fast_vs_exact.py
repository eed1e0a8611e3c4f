"""How far the fast route's layers are from the exact route's, on real photos.

    python -m benchmarks.quality.fast_vs_exact PHOTO... -o benchmarks/quality/fast_vs_exact.json

Both routes get the same features, superpixels, seed and number of layers. "as they come": each route groups its own
soft segments; its layers are matched by overlap. "same grouping": every soft segment of the fast route goes to the
exact layer with which it overlaps most, so that only eigenvectors, sparsification and sampling differ.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from benchmarks.machine import machine
from softseg.pipeline import Decomposition, decompose
from softseg.segments import relaxed_sparsification
from softseg.settings import Settings

LAYERS = 5


def compare(path: Path, pixels: int, unknowns: list[int]) -> dict[str, Any]:
    """Differences of the final alphas of one photo, reduced to about `pixels` pixels."""
    image = reduced(path, pixels)
    start = time.perf_counter()
    exact = decompose(image, solver="exact")
    seconds = time.perf_counter() - start
    grouped = exact.grouped(LAYERS)
    reference = relax(exact, grouped)
    row: dict[str, Any] = {
        "photo": path.name,
        "size": list(image.size),
        "features": exact.model["name"],
        "exact_seconds": round(seconds, 1),
        "fast": [],
    }
    for count in unknowns:
        settings = Settings.for_solver("fast")
        settings = replace(settings, spectrum=replace(settings.spectrum, coarse_unknowns=count))
        start = time.perf_counter()
        fast = decompose(image, features=exact.features, settings=settings)
        seconds = time.perf_counter() - start
        own = relax(fast, fast.grouped(LAYERS))
        transferred = relax(fast, transfer(fast.segments, grouped))
        row["fast"].append(
            {
                "unknowns": fast.statistics["coarse_unknowns"],
                "seconds": round(seconds, 1),
                "as_they_come": round(matched_difference(own, reference), 5),
                "same_grouping": round(float(np.abs(transferred - reference).mean()), 5),
                "same_grouping_per_layer": np.abs(transferred - reference).mean(axis=(1, 2)).round(5).tolist(),
            }
        )
    return row


def reduced(path: Path, pixels: int) -> Image.Image:
    """The photo with about so many pixels, or its own fewer."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def relax(decomposition: Decomposition, layers: np.ndarray) -> np.ndarray:
    return relaxed_sparsification(
        layers, decomposition.laplacian, decomposition.photo.pixels, decomposition.settings.relaxed
    )


def transfer(segments: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """(K, N): each segment added to the layer with which it shares most."""
    best = (np.clip(segments, 0, 1) @ np.clip(layers, 0, 1).T).argmax(axis=1)
    return (best == np.arange(len(layers))[:, None]).astype(np.float64) @ segments


def matched_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean absolute difference over layers, matched to be smallest."""
    distance = np.array([[np.abs(a - b).mean() for b in theirs] for a in ours])
    i, j = linear_sum_assignment(distance)
    return float(distance[i, j].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pixels", type=int, default=110_000)
    parser.add_argument("--unknowns", type=int, nargs="+", default=[Settings().spectrum.coarse_unknowns])
    arguments = parser.parse_args()
    rows = []
    for path in arguments.photos:
        rows.append(compare(path, arguments.pixels, arguments.unknowns))
        print(json.dumps(rows[-1]), flush=True)
        arguments.output.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
