"""The guided filter of many channels on the processor, against the same filter step by step, in one process.

OMP_NUM_THREADS=2 python -m benchmarks.speed.guided_filter -o benchmarks/speed/guided_filter.json

They take turns, so that what else the machine does falls on all; the ratio is what to compare with other machines.
"compiled" is the filter on planes, "function" the public one on (h, w, D) arrays, whose checks and copies it includes.
Seconds of the processor, over all threads, hold on a busy machine; those of the clock only on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine
from softseg.features import guided_filter
from softseg.features.guided_filter import filter_on_tensors, filter_planes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((height, width, 3)))
    planes = torch.from_numpy(rng.normal(size=(arguments.channels, height, width)).astype(np.float32))
    guide = (image - image.mean((0, 1))).permute(2, 0, 1).contiguous()
    colors, pixels = image.numpy(), np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
    routes: dict[str, Callable[[], Any]] = {
        "compiled": lambda: filter_planes(image, planes, 5, 0.01),
        "function": lambda: guided_filter(colors, pixels),
        "step_by_step": lambda: filter_on_tensors(guide, planes, 5, 0.01, torch.float32),
    }
    started = time.perf_counter()
    compiled = routes["compiled"]()
    first_call = time.perf_counter() - started
    step_by_step = routes["step_by_step"]()
    routes["function"]()
    runs: list[dict[str, dict[str, float]]] = []
    for _ in range(arguments.runs):
        runs.append({name: timed(route) for name, route in routes.items()})
    seconds = {name: summary([run[name] for run in runs]) for name in routes}
    summary_ = {
        "size": [width, height],
        "channels": arguments.channels,
        "threads": torch.get_num_threads(),
        "runs": arguments.runs,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "first_call": round(first_call, 3),  # loads the compiled code, or compiles it
        "seconds": seconds,
        "ratio_of_medians": {
            kind: round(seconds["step_by_step"][kind]["median"] / seconds["compiled"][kind]["median"], 2)
            for kind in ("clock", "processor")
        },
        "largest_difference": float((compiled - step_by_step).abs().max()),
    }
    print(json.dumps(summary_, indent=2))
    arguments.output.write_text(json.dumps({"machine": machine()} | summary_, indent=2) + "\n", encoding="utf-8")


def timed(route: Callable[[], Any]) -> dict[str, float]:
    clock, processor = time.perf_counter(), time.process_time()
    route()
    return {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}


def summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        kind: {"median": round(median(run[kind] for run in runs), 3), "best": round(min(run[kind] for run in runs), 3)}
        for kind in ("clock", "processor")
    }


if __name__ == "__main__":
    main()
