"""What is written beside the layers: enough to know how they were made, and to make them again."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from softseg.layers.soft_segments import SoftSegments

PACKAGES = ("softseg", "numpy", "scipy", "torch", "numba")


def report(result: SoftSegments) -> dict[str, Any]:
    """The report as plain dictionaries, lists, numbers and strings."""
    height, width = result.image.shape[:2]
    contents = {
        "image": result.name,
        "size": {"width": width, "height": height},
        "layers": len(result),
        "areas": [round(float(area), 6) for area in result.areas],
        "grouping": result.grouping,
        "settings": result.settings.as_dict(),
        "model": result.model,
        # `auto` reports its choice through the statistics
        "device": result.statistics.get("device", result.settings.device),
        "versions": versions(PACKAGES),
        "seconds": {stage: round(seconds, 4) for stage, seconds in result.timings.items()},
        "peak_memory_bytes": peak_memory(),
        **_device_memory(str(result.statistics.get("device", ""))),
        "statistics": result.statistics,
        "notes": result.notes,
    }
    return {key: _plain(value) for key, value in contents.items()}


def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Version of Python and of each package; None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def peak_memory() -> int | None:
    """Largest memory that this process has held so far, in bytes; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes elsewhere


def _device_memory(device: str) -> dict[str, int]:
    """Likewise, of the GPU's memory that PyTorch has given out; nothing for the processor."""
    if not device.startswith("cuda"):
        return {}
    import torch

    return {"peak_device_memory_bytes": torch.cuda.max_memory_allocated(device)}


def _plain(value: Any) -> Any:
    """As JSON can hold it: NumPy numbers and arrays unpacked, NaN and infinity, which JSON lacks, as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
