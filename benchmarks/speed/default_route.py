"""Seconds per stage of the fast route, features included, the photo in memory and imports done.

python -m benchmarks.speed.default_route PHOTO --size 640x480 -o benchmarks/speed/default_route.json
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from softseg.pipeline import decompose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    image = np.asarray(Image.open(arguments.photo).convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
    runs = []
    for _ in range(arguments.runs + 1):
        timings = dict(decompose(image).layers(5).timings)
        runs.append(timings | {"total": sum(timings.values())})
    stages = {name: round(median(run[name] for run in runs[1:]), 2) for name in runs[0]}
    summary = {
        "photo": arguments.photo.name,
        "size": [width, height],
        "median_seconds_of": arguments.runs,
        "seconds": stages,
        "graph_seconds": round(stages["superpixels"] + stages["affinities"], 2),
        "first_run_seconds": round(runs[0]["total"], 2),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(summary, indent=2))
    arguments.output.write_text(json.dumps({"machine": machine()} | summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
