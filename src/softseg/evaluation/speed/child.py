"""One task in a process of its own, so that its peak memory is its own: ``python -m ... TASK ANSWER``.

TASK is a JSON file that names the task; ANSWER is written: the result, or under "failure" the sentence why there is
none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from softseg.errors import SoftsegError


def answer(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the task asks for, and the peak memory of this process, unless the task has its own word on that."""
    kind, arguments = task["kind"], task["arguments"]
    try:
        found = _KINDS[kind](**arguments)
    except SoftsegError as error:
        return {"failure": str(error)}
    except MemoryError:
        return {"failure": "there is not enough memory"}
    if "peak_memory_bytes" in found:
        return found
    return found | {"peak_memory_bytes": _peak_memory()} | _device_memory(arguments.get("device", "cpu"))


def _inputs(source: str | None, photos: Mapping[str, tuple[int, int]], features: str | None, device: str) -> Any:
    """Write the photo at each size, and features for the first."""
    from softseg.evaluation.speed.inputs import sized_photo, write_features, write_photo

    for path, size in photos.items():
        write_photo(sized_photo(Path(source) if source else None, (size[0], size[1])), Path(path))
    if features:
        write_features(Path(next(iter(photos))), Path(features), device)
    return {}


def _limits(device: str) -> dict[str, Any]:
    import torch

    from softseg.evaluation.speed.limits import measure_limits

    return {"threads": torch.get_num_threads(), **measure_limits(device)}


def _devices() -> dict[str, Any]:
    import torch

    return {"cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None}


def _row(**fields: Any) -> dict[str, Any]:
    from softseg.evaluation.speed.rows import Request, measure_row

    return measure_row(Request(**fields))


_KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "inputs": _inputs,
    "limits": _limits,
    "devices": _devices,
    "row": _row,
}


def _peak_memory() -> int | None:
    """Bytes; from Linux by way of its files, where the older call includes the process that this one came from."""
    from softseg.layers.report import peak_memory

    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return peak_memory()


def _device_memory(device: str) -> dict[str, int]:
    import torch

    return {"peak_device_memory_bytes": torch.cuda.max_memory_allocated()} if device.startswith("cuda") else {}


def main() -> None:
    """Do the task."""
    task, result = (Path(path) for path in sys.argv[1:3])
    found = answer(json.loads(task.read_text(encoding="utf-8")))
    result.write_text(json.dumps(found, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main()
