"""What the floor of the sparsity weights does to the layers: haze, sharpness, error.

    python -m benchmarks.quality.relaxed_floor -o benchmarks/quality/relaxed_floor.json [--alpha ALPHAMATTING --photos 3]

On the composites of the synthetic suite, whose layers are known: *matched*, the mean absolute error of the alphas, *union*,
the mean squared error of the best unions (both as `softseg evaluate synthetic`), *haze*, the median alpha of a layer where the
true one is zero, and the conjugate gradient steps. With `--alpha`, on photos with a true alpha: squared error of the best
union of 5 and of 12 layers.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.machine import machine
from softseg.evaluation.alpha_photos import AlphaPhotos
from softseg.evaluation.alpha_score import score_alpha
from softseg.evaluation.synthetic import suite
from softseg.evaluation.synthetic_score import score_layers
from softseg.pipeline import Decomposition, decompose
from softseg.settings import Settings

FLOORS = (0.01, 0.003, 0.001, 0.0003, 0.0001)


def main() -> None:
    """Score every floor, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--alpha", type=Path)
    parser.add_argument("--photos", type=int, default=3)
    arguments = parser.parse_args()
    rows = {f"{floor:g}": _synthetic(floor) for floor in FLOORS}
    if arguments.alpha is not None:
        photos = AlphaPhotos(arguments.alpha)
        for i in np.linspace(0, len(photos.names) - 1, arguments.photos).round().astype(int):
            sample = photos.load(int(i))
            parts = decompose(sample.photo)
            for floor in FLOORS:
                for count in (5, 12):
                    score, _ = score_alpha(_with(parts, floor).layers(count).alphas, sample.alpha, sample.unknown)
                    rows[f"{floor:g}"].setdefault(f"mse {count}", []).append(score["whole"]["mse"])
    results = {floor: {name: float(np.mean(values)) for name, values in row.items()} for floor, row in rows.items()}
    for floor, row in results.items():
        print(f"{floor:<8}" + "  ".join(f"{name} {value:.5f}" for name, value in row.items()))
    contents = {"machine": machine(), "photos": arguments.photos if arguments.alpha else 0, "results": results}
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def _synthetic(floor: float) -> dict[str, list[float]]:
    row: dict[str, list[float]] = {"matched": [], "union": [], "haze": [], "steps": []}
    settings = Settings.for_solver("fast")
    settings = replace(settings, relaxed=replace(settings.relaxed, floor=floor))
    for made in suite():
        result = decompose(made.image, features=made.features, settings=settings).layers(len(made.alphas))
        score = score_layers(result.alphas, made.alphas)
        cost = np.abs(result.alphas[:, None] - made.alphas).mean(axis=(2, 3))
        ours, theirs = linear_sum_assignment(cost)
        row["matched"].append(score.matched)
        row["union"].append(score.union)
        row["haze"].append(float(np.median(result.alphas[ours][made.alphas[theirs] == 0])))
        row["steps"].append(float(result.statistics["conjugate_gradient_steps"]))
    return row


def _with(parts: Decomposition, floor: float) -> Decomposition:
    settings = replace(parts.settings, relaxed=replace(parts.settings.relaxed, floor=floor))
    return replace(parts, settings=settings)


if __name__ == "__main__":
    main()
