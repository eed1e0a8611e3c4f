"""The fast route beside the exact one, straightforward SciPy and PyMatting, on one photo in one process.

python -m benchmarks.speed.side_by_side PHOTO --size 320x240 -o benchmarks/speed/side_by_side.json

Each stage of the straightforward version is given what the exact route has made so far. The size is small because the
factorisation by SuperLU needs more than ten times the memory of the others; PyMatting's closed-form matting, which
separates one object with the help of a trimap, is there for scale, and left out with a reason where it is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from scipy.ndimage import binary_dilation

from benchmarks.machine import machine
from benchmarks.speed import straightforward
from softseg.evaluation.speed.inputs import SYNTHETIC, sized_photo
from softseg.features import extract, project
from softseg.files import write_atomically
from softseg.graph import color_affinity, semantic_affinity, superpixels
from softseg.pipeline import Decomposition, decompose
from softseg.segments import initial_regions

T = TypeVar("T")

STAGES = ("affinities", "eigenvectors", "constrained sparsification", "relaxed sparsification")
_BAND = 8  # pixels by which what is unknown in the trimap reaches beyond the soft pixels


def compare(photo: Path | None, size: tuple[int, int], runs: int = 3, count: int = 5) -> dict[str, Any]:
    """Seconds of every stage by every route, and their ratios to the fast one.

    Parameters
    ----------
    photo : None for a composite.
    size : width and height.
    runs : of the fast route and of PyMatting, of which the median counts; the others are run once.
    count : of layers.
    """
    image = sized_photo(photo, size) / 255.0
    features = project(extract(image), image)
    fast = _fast(image, features, runs, count)
    exact = decompose(image, features=features, solver="exact")
    layers = exact.layers(min(count, len(exact.segments)))
    seconds = {"fast": fast, "exact": {stage: layers.timings[stage] for stage in STAGES}}
    seconds["scipy"], agreement = _straightforward(image, features, exact, len(layers))
    for route in seconds.values():
        route["total"] = sum(route[stage] for stage in STAGES)
    ratios = {
        route: {stage: seconds[route][stage] / fast[stage] for stage in (*STAGES, "total")}
        for route in ("exact", "scipy")
    }
    return {
        "photo": SYNTHETIC if photo is None else photo.name,
        "size": list(size),
        "layers": len(layers),
        "runs": runs,
        "seconds": seconds,
        "ratio_to_fast": ratios,
        "largest_difference_of_affinities": agreement,
        "pymatting": _pymatting(image, layers.alphas[0], runs, fast["total"]),
    }


def _fast(image: np.ndarray, features: np.ndarray, runs: int, count: int) -> dict[str, float]:
    timings = []
    for _ in range(runs + 1):  # the first loads and compiles
        decomposition = decompose(image, features=features)
        timings.append(decomposition.layers(min(count, len(decomposition.segments))).timings)
    return {stage: median(run[stage] for run in timings[1:]) for stage in STAGES}


def _straightforward(
    image: np.ndarray, features: np.ndarray, exact: Decomposition, count: int
) -> tuple[dict[str, float], float]:
    """Seconds by stage, and how far its affinities are from the package's."""
    labels, seconds = superpixels(image), {}

    def affinities() -> Any:
        weighted = 0.01 * semantic_affinity(features, labels), 0.01 * color_affinity(image, labels)
        return straightforward.laplacian(straightforward.matting_affinity(image), *weighted)

    seconds["affinities"], graph = timed(affinities)
    wanted = min(100, graph.shape[0] // 4)
    seconds["eigenvectors"], (values, vectors) = timed(lambda: straightforward.eigenvectors(graph, wanted))
    regions = exact.settings.constrained.clusters
    start = initial_regions(labels, features, image, regions, boundaries=exact.boundaries).ravel()
    fit, rounds = straightforward.constrained_sparsification, exact.settings.constrained.iterations
    seconds["constrained sparsification"], _ = timed(lambda: fit(vectors, values, start, rounds))
    grouped = exact.grouped(count)
    relax = straightforward.relaxed_sparsification
    seconds["relaxed sparsification"], _ = timed(lambda: relax(grouped, graph, image))
    return seconds, float(abs(graph - exact.laplacian).max())


def _pymatting(image: np.ndarray, alpha: np.ndarray, runs: int, fast: float) -> dict[str, Any]:
    """Seconds of closed-form matting with the trimap of one of our layers, and the ratio of ours to it."""
    try:
        from pymatting import estimate_alpha_cf
    except ImportError:
        return {"skipped": "pymatting is not installed: pip install pymatting"}
    trimap = np.where(binary_dilation((alpha > 0.05) & (alpha < 0.95), iterations=_BAND), 0.5, alpha > 0.5)
    if len(np.unique(trimap)) < 3:
        return {"skipped": "the layer leaves nothing that is known to be foreground, or background"}
    estimate_alpha_cf(image, trimap)  # compiles
    took = [timed(lambda: estimate_alpha_cf(image, trimap))[0] for _ in range(runs)]
    return {
        "unknown": float((trimap == 0.5).mean()),
        "seconds": median(took),
        "fast_route_takes_times": fast / median(took),
    }


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def rounded(value: Any) -> Any:
    """Numbers with the digits that can be trusted."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    found = rounded(compare(arguments.photo, (width, height), arguments.runs))
    print(json.dumps(found, indent=2))
    text = json.dumps({"machine": machine()} | found, indent=2) + "\n"
    write_atomically(arguments.output, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
