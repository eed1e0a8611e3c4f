"""What the floor of the sparsity weights does to the layers: haze, sharpness, error.

    python -m benchmarks.quality.relaxed_floor -o benchmarks/quality/relaxed_floor.json

On the composites of the synthetic suite, whose layers are known: *matched*, the mean absolute error of the alphas, and
*union*, the mean squared error of the best unions (both as `softseg evaluate synthetic`); *haze*, the median alpha of a
layer where the true one is zero; and the conjugate gradient steps. With `--alpha ALPHAMATTING --photos 3`, on photos
with a true alpha: the squared error of the best union of 5 and of 12 layers.
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

FLOORS = (0.01, 0.001, 0.0001)


def main() -> None:
    """Score every floor, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--alpha", type=Path)
    parser.add_argument("--photos", type=int, default=3)
    arguments = parser.parse_args()
    rows: dict[str, dict[str, list[float]]] = {f"{floor:g}": {} for floor in FLOORS}
    for made in suite():
        parts = decompose(made.image, features=made.features)
        for floor in FLOORS:
            for name, value in _synthetic(_with(parts, floor), made.alphas).items():
                rows[f"{floor:g}"].setdefault(name, []).append(value)
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
    for name_of_floor, means in results.items():
        print(f"{name_of_floor:<8}" + "  ".join(f"{name} {value:.5f}" for name, value in means.items()))
    contents = {"machine": machine(), "photos": arguments.photos if arguments.alpha else 0, "results": results}
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def _synthetic(parts: Decomposition, truth: np.ndarray) -> dict[str, float]:
    result = parts.layers(len(truth))
    score = score_layers(result.alphas, truth)
    cost = np.abs(result.alphas[:, None] - truth).mean(axis=(2, 3))
    ours, theirs = linear_sum_assignment(cost)
    return {
        "matched": score.matched,
        "union": score.union,
        "haze": float(np.median(result.alphas[ours][truth[theirs] == 0])),
        "steps": float(result.statistics["conjugate_gradient_steps"]),
    }


def _with(parts: Decomposition, floor: float) -> Decomposition:
    settings = replace(parts.settings, relaxed=replace(parts.settings.relaxed, floor=floor))
    return replace(parts, settings=settings)


if __name__ == "__main__":
    main()
