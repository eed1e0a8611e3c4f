"""The rows, each measured in the process that calls it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from softseg.devices import resolve_device, synchronize
from softseg.errors import SoftsegError
from softseg.evaluation.speed.targets import LAYERS
from softseg.evaluation.speed.work import work_of
from softseg.images import Photo, load_photo
from softseg.layers import SoftSegments
from softseg.pipeline import Decomposition, decompose

_PATIENCE = 120.0  # seconds after which a row is not run once more


@dataclass(frozen=True)
class Request:
    """row : of `targets.ROWS`; photo, features : files; warm : a small photo for the run that is not counted."""

    row: str
    photo: str
    features: str
    warm: str
    size: tuple[int, int]
    runs: int
    device: str


@dataclass
class Run:
    """One run: seconds in all and by stage, and what it made."""

    seconds: float
    stages: Mapping[str, float]
    result: SoftSegments | None = None
    entries: int = 0  # stored in the Laplacian


def measure_row(request: Request) -> dict[str, Any]:
    """Median and best seconds, by stage, and counted work; the first run, which loads and compiles, is not counted."""
    once = _WAYS[request.row](request)
    runs: list[Run] = []
    while len(runs) < request.runs and sum(run.seconds for run in runs) < _PATIENCE:
        runs.append(once())
    last = runs[-1]
    stages = {name: median(run.stages[name] for run in runs) for name in last.stages}
    row: dict[str, Any] = {
        "runs": len(runs),
        "seconds": {"median": median(run.seconds for run in runs), "best": min(run.seconds for run in runs)},
        "stages": stages,
    }
    if request.row == "cold":
        row["peak_memory_bytes"] = None  # this process only waits for the one that is measured
    if last.result is not None:
        height, width = last.result.features.shape[:2]  # at which a large photo is taken apart
        settings, statistics = last.result.settings, last.result.statistics
        counted = work_of(width * height, last.entries, len(last.result), settings, statistics)
        row["work"] = [vars(work) for work in counted if work.stage in stages]
        row["statistics"] = last.result.report()["statistics"]
    return row


def _decompose(request: Request) -> Callable[[], Run]:
    photo, features = load_photo(request.photo), np.load(request.features)
    _layers_of(photo, features, request.device)
    return lambda: _layers_of(photo, features, request.device)


def _growth(request: Request) -> Callable[[], Run]:
    photo = load_photo(request.photo)
    _layers_of(load_photo(request.warm), "embedded", request.device)
    return lambda: _layers_of(photo, "embedded", request.device)


def _layers_of(photo: Photo, features: str | np.ndarray, device: str) -> Run:
    start = time.perf_counter()
    decomposition = decompose(photo, features=features, device=device)  # type: ignore[arg-type]
    result = _layers(decomposition, LAYERS)
    synchronize(resolve_device(device))
    return Run(time.perf_counter() - start, result.timings, result, decomposition.laplacian.nnz)


def _again(request: Request) -> Callable[[], Run]:
    photo, features = load_photo(request.photo), np.load(request.features)
    decomposition = decompose(photo, features=features, device=request.device)  # type: ignore[arg-type]
    _layers(decomposition, LAYERS)
    counts = iter(k for _ in range(request.runs) for k in (LAYERS - 1, LAYERS + 1, LAYERS - 2, LAYERS + 3))

    def once() -> Run:
        count, start = next(counts), time.perf_counter()
        result = _layers(decomposition, count)
        synchronize(resolve_device(request.device))
        seconds = time.perf_counter() - start
        stages = {name: took for name, took in result.timings.items() if name not in decomposition.timings}
        return Run(seconds, stages, result, decomposition.laplacian.nnz)

    return once


def _layers(decomposition: Decomposition, count: int) -> SoftSegments:
    """`layers(count)`, or as many as there are soft segments in a tiny photo."""
    return decomposition.layers(max(2, min(count, len(decomposition.segments))))


def _file(request: Request) -> Callable[[], Run]:
    def once(path: str) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            photo = load_photo(path)
            read = time.perf_counter()
            run = _layers_of(photo, "embedded", request.device)
            write = time.perf_counter()
            assert run.result is not None
            run.result.save(Path(folder) / "out")
            end = time.perf_counter()
        run.seconds = end - start
        run.stages = {"reading": read - start, **run.stages, "writing": end - write}
        return run

    once(request.warm)
    return lambda: once(request.photo)


def _cold(request: Request) -> Callable[[], Run]:
    def once() -> Run:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "softseg", "segment", request.photo, "-o", folder, "--quiet"]
            command += ["--device", request.device]
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - start
        if done.returncode:
            raise SoftsegError(f"softseg segment ended with code {done.returncode}: {done.stderr.strip()}")
        return Run(seconds, {})

    once()  # what was never read before comes from the disk
    return once


_WAYS: dict[str, Callable[[Request], Callable[[], Run]]] = {
    "decompose": _decompose,
    "layers": _again,
    "file": _file,
    "cold": _cold,
    "growth": _growth,
    "large": _file,
}
