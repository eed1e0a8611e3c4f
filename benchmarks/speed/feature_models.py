"""Seconds and memory of feature extraction: the embedded model, and the paper's network with random weights.

OMP_NUM_THREADS=2 python -m benchmarks.speed.feature_models -o benchmarks/speed/feature_models.json

Each model runs in a process of its own, so that its peak memory is its own, libraries included; imports and loading are
not timed. Seconds of the processor, over all threads, hold on a busy machine; those of the clock only on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from softseg.features import extract, project
from softseg.features.seed_network import SeedNetwork
from softseg.features.tiling import seed_features

SIZE = (480, 640)


def embedded(device: str) -> Callable[[], object]:
    image = np.random.default_rng(0).random((*SIZE, 3))
    return lambda: extract(image, device=device)


def embedded_and_projected(device: str) -> Callable[[], object]:
    image = np.random.default_rng(0).random((*SIZE, 3))
    return lambda: project(extract(image, device=device), image, device=device)


def seed(device: str) -> Callable[[], object]:
    torch.manual_seed(0)
    network = SeedNetwork().eval().to(device)
    image = torch.rand(1, 3, *SIZE, device=device)

    def run() -> torch.Tensor:
        features = seed_features(network, image)
        if device == "cuda":
            torch.cuda.synchronize()
        return features

    return run


MODELS = {"embedded": embedded, "embedded, projected to 3": embedded_and_projected, "seed": seed}


def measure(name: str, device: str, runs: int) -> dict[str, Any]:
    work = MODELS[name](device)
    work()  # loads, warms up
    clock, processor = [], []
    for _ in range(runs):
        started = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "clock": {"median": round(median(clock), 3), "best": round(min(clock), 3)},
        "processor": {"median": round(median(processor), 3), "best": round(min(processor), 3)},
        "peak_memory_mib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "machine": machine(),
        "size": [SIZE[1], SIZE[0]],
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    for name in arguments.models:
        with get_context("spawn").Pool(1) as pool:
            result[name] = pool.apply(measure, (name, arguments.device, arguments.runs))
        print(name, json.dumps(result[name]), flush=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
