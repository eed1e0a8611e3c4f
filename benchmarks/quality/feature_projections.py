"""Ways from the embedded model's 64 dimensions to the few of the graph, compared by pair AUC.

    python -m benchmarks.quality.feature_projections BSDS500/val MSRC -o benchmarks/quality/feature_projections.json

All of them start from the guided-filtered features. "principal n": the first n principal components, each scaled to
[0, 1] (n = 3 is the paper's); "common scale": all by the factor of the widest; "root": each by the root of its range,
half way between the two; "balanced": principal components of 20 cluster centres, so that a small region counts as much
as a large one; "without extremes": from the 1st to the 99th percentile instead of the range.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from softseg.features import extract, guided_filter
from softseg.features.projection import principal_directions
from softseg.segments.clusters import kmeans
from softseg.training.open import open_photos
from softseg.training.score import pair_auc


def principal(points: np.ndarray, count: int) -> np.ndarray:
    directions = principal_directions(torch.from_numpy(np.ascontiguousarray(points.T)), count).numpy()
    return np.asarray((points - points.mean(0)) @ directions)


def balanced(points: np.ndarray, count: int) -> np.ndarray:
    centers = kmeans(points.astype(np.float64), 20, seed=0)
    directions = principal_directions(torch.from_numpy(np.ascontiguousarray(centers.T)), count).numpy()
    return np.asarray((points - points.mean(0)) @ directions)


def scaled(points: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Each coordinate divided by its range to the power, relative to the widest."""
    span = np.ptp(points, axis=0)
    return np.asarray((points - points.min(0)) / (span.max() * (span / span.max()) ** power))


def without_extremes(points: np.ndarray) -> np.ndarray:
    low, high = np.percentile(points, [1, 99], axis=0)
    return np.asarray(((points - low) / (high - low)).clip(0, 1))


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "filtered, all dimensions": lambda points: points,
    **{f"principal {n}": lambda points, n=n: scaled(principal(points, n)) for n in (1, 2, 3, 4, 5, 8)},
    **{f"principal {n}, common scale": lambda points, n=n: scaled(principal(points, n), 0.0) for n in (2, 3, 4, 8)},
    "principal 3, root": lambda points: scaled(principal(points, 3), 0.5),
    "principal 4, root": lambda points: scaled(principal(points, 4), 0.5),
    "principal 5, root": lambda points: scaled(principal(points, 5), 0.5),
    "balanced 3": lambda points: scaled(balanced(points, 3)),
    "balanced 3, root": lambda points: scaled(balanced(points, 3), 0.5),
    "principal 3, without extremes": lambda points: without_extremes(principal(points, 3)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bsds", type=Path)
    parser.add_argument("msrc", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3, help="take every n-th photo")
    arguments = parser.parse_args()
    result: dict[str, object] = {"machine": machine(), "every": arguments.every}
    for name, source in (("bsds", f"bsds:{arguments.bsds}"), ("msrc", f"msrc-val:{arguments.msrc}")):
        photos = open_photos(source)
        scores: dict[str, list[float]] = {way: [] for way in ("raw", *WAYS)}
        for index in range(0, len(photos.names), arguments.every):
            sample = photos.load(index)
            image = sample.image / 255.0
            raw = extract(image, device="cpu")
            scores["raw"].append(pair_auc(raw, sample.labels))
            points = guided_filter(image, raw.clip(-5, 5)).reshape(-1, raw.shape[2])
            for way, reduced in WAYS.items():
                scores[way].append(pair_auc(reduced(points).reshape(*sample.labels.shape, -1), sample.labels))
        result[name] = {way: round(float(np.nanmean(values)), 4) for way, values in scores.items()}
        print(name, json.dumps(result[name]), flush=True)
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
