"""All rows, one process after the other, and beside them what the machine can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from softseg.errors import InputError, SoftsegError
from softseg.evaluation.speed.inputs import SYNTHETIC
from softseg.evaluation.speed.targets import GROWTH, LARGE, MOST_MEGAPIXELS, ROWS, SIZE
from softseg.evaluation.speed.work import Work

_CHILD = "softseg.evaluation.speed.child"
_TAIL = 300  # characters of what a process said before it failed
_SHARING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}  # as cli/main.py has it, whoever calls


def measure_speed(
    photo: str | Path | None = None,
    rows: Sequence[str] | None = None,
    *,
    size: tuple[int, int] = SIZE,
    runs: int = 5,
    largest: float = 1.3,
    device: str = "auto",
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Measure the rows of `ROWS`, each in a process of its own.

    Parameters
    ----------
    photo : a file; None: a composite of three soft layers.
    rows : names of rows; None: all but "large", which takes minutes.
    size : width and height of all rows but "large"; the targets are those for 640 x 480.
    runs : of each row, of which the median counts; a row that takes minutes is run less often.
    largest : megapixels up to which growth is measured, in steps of four times the pixels.
    device : "cpu", "cuda", or "auto": the processor, and a GPU where there is one.
    tell : is handed every row when it is done.

    Returns
    -------
    Plain dictionaries: "gpu", a name or why there is none; "limits" of each device; "rows", in which a row that failed
    has "failure", the reason; "growth", the ratios t(4N) / t(N).

    Raises
    ------
    InputError : there is no such row, or the size or a number is out of range; no photo has more than 100 megapixels.
    SoftsegError : the photo cannot be read, or the device is not there.
    """
    chosen = _chosen(rows, size, runs, largest)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="softseg-bench-") as name:
        folder = Path(name)
        devices, gpu = _devices(device, folder)
        plan = [(row, at) for row in chosen for at in _sizes(row, size, largest)]
        files = {at: folder / f"photo-{at[0]}x{at[1]}.png" for at in dict.fromkeys([size, *(at for _, at in plan)])}
        features = folder / "features.npy"
        wanted = str(features) if {"decompose", "layers"} & set(chosen) else None
        source = None if photo is None else str(Path(photo).absolute())
        photos = {str(path): at for at, path in files.items()}
        _asked("inputs", folder, source=source, photos=photos, features=wanted, device=devices[0])
        limits = {where: _asked("limits", folder, device=where) for where in dict.fromkeys([*devices, "cpu"])}
        measured = []
        for where in devices:
            for row, at in plan:
                fields = {"photo": str(files[at]), "features": str(features), "warm": str(files[size])}
                result = _measured(folder, row=row, size=at, runs=runs, device=where, **fields)
                measured.append(_beside_limits(result, limits, where))
                if tell is not None:
                    tell(measured[-1])
    return {
        "photo": SYNTHETIC if photo is None else Path(photo).name,
        "load_before": load,
        "gpu": gpu,
        "limits": {
            where: {k: v for k, v in limit.items() if not k.startswith("peak")} for where, limit in limits.items()
        },
        "rows": measured,
        "growth": _growth(measured),
    }


def count_of_rows(rows: Sequence[str] | None, size: tuple[int, int], largest: float) -> int:
    """How many times `tell` will be called for one device."""
    return sum(len(list(_sizes(row, size, largest))) for row in _chosen(rows, size, 1, largest))


def _chosen(rows: Sequence[str] | None, size: tuple[int, int], runs: int, largest: float) -> list[str]:
    chosen = [name for name, row in ROWS.items() if row.usual] if rows is None else list(dict.fromkeys(rows))
    for name in chosen:
        if name not in ROWS:
            raise InputError(f"there is no row {name!r}; choose from: {', '.join(ROWS)}")
    if min(size) < 32 or runs < 1:
        raise InputError(f"the size is {size[0]} x {size[1]} and runs {runs}; choose at least 32 x 32 and 1")
    if size[0] * size[1] > MOST_MEGAPIXELS * 1e6:
        raise InputError(f"the size is {size[0]} x {size[1]}; choose at most {MOST_MEGAPIXELS} megapixels")
    if not 0 <= largest <= MOST_MEGAPIXELS:  # nor is nan
        raise InputError(f"growth is asked for up to {largest} megapixels; choose a number from 0 to {MOST_MEGAPIXELS}")
    return chosen


def _sizes(row: str, size: tuple[int, int], largest: float) -> Iterator[tuple[int, int]]:
    """Width and height at which a row is measured: twice the sides again and again for growth."""
    if row != "growth":
        yield LARGE if row == "large" else size
        return
    width, height = size
    yield width, height
    while 4 * width * height <= largest * 1e6:
        width, height = 2 * width, 2 * height
        yield width, height


def _devices(device: str, folder: Path) -> tuple[list[str], str]:
    """The devices to measure on, and the name of the GPU, or why there is no column for one."""
    if device == "cpu":
        return ["cpu"], "not asked for"
    name = _asked("devices", folder)["cuda"]
    if name is None and device == "cuda":
        raise InputError("the device is 'cuda', but PyTorch finds no CUDA GPU; use 'cpu' or 'auto'")
    if name is None:
        return ["cpu"], "none: PyTorch finds no CUDA GPU"
    return (["cuda"] if device == "cuda" else ["cpu", "cuda"]), str(name)


def _measured(folder: Path, **fields: Any) -> dict[str, Any]:
    """One row with its title and targets; under "failure" why there are no numbers."""
    row, size = ROWS[fields["row"]], fields["size"]
    fits = tuple(size) == (LARGE if fields["row"] == "large" else SIZE) and fields["device"] == "cpu"
    head = {"row": fields["row"], "title": row.title, "size": list(size), "device": fields["device"]}
    head["target"] = {"seconds": row.seconds if fits else None, "memory": row.memory if fits else None}
    try:
        return head | _asked("row", folder, **fields)
    except SoftsegError as error:
        return head | {"failure": str(error)}


def _asked(kind: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    """The answer of a process of its own to one task."""
    task, result = folder / "task.json", folder / "answer.json"
    task.write_text(json.dumps({"kind": kind, "arguments": arguments}), encoding="utf-8")
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", _CHILD, str(task), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_SHARING | os.environ)
    if done.returncode or not result.exists():
        said = " ".join(done.stderr.split())[-_TAIL:]
        raise SoftsegError(f"the process that measures ended with code {done.returncode}: {said or 'it said nothing'}")
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    if "failure" in found:
        raise SoftsegError(found["failure"])
    return found


def _beside_limits(row: dict[str, Any], limits: Mapping[str, Mapping[str, float]], device: str) -> dict[str, Any]:
    """The row with the rates that its stages reach, and their share of what can be done where each of them runs."""
    achieved = {}
    elsewhere = row.get("statistics", {}).get("stages_on_device", [])
    parts = [Work(**part) for part in row.get("work", ())]
    for stage in dict.fromkeys(part.stage for part in parts):
        seconds = row["stages"][stage]
        own = [part for part in parts if part.stage == stage]
        least = sum(part.seconds_at_limit(limits[device if stage in elsewhere else "cpu"]) for part in own)
        achieved[stage] = {
            "bytes_per_second": sum(part.bytes for part in own) / seconds,
            "flops_per_second": sum(part.flops for part in own) / seconds,
            "seconds_at_limit": least,
            "share_of_limit": least / seconds,
        }
    return row | {"achieved": achieved} if achieved else row


def _growth(measured: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of neighbours of one device, one with exactly twice the sides of the other: between them no row has failed."""
    rows = [row for row in measured if row["row"] == "growth" and "failure" not in row]
    pairs = [
        (a, b)
        for a, b in pairwise(rows)
        if a["device"] == b["device"] and list(b["size"]) == [2 * side for side in a["size"]]
    ]
    return [
        {
            "device": small["device"],
            "sizes": [small["size"], large["size"]],
            "ratio": large["seconds"]["median"] / small["seconds"]["median"],
            "target": GROWTH,
        }
        for small, large in pairs
    ]
