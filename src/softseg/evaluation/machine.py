"""What something was measured on, for the head of its JSON file."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from softseg.layers.report import versions

_PACKAGES = ("softseg", "torch", "numpy", "scipy", "scikit-image", "numba")


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory and versions.

    Examples
    --------
    >>> machine()["cores"] >= 1
    True
    """
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(_memory() / 2**30, 1),
        "system": platform.system(),
        **versions(_PACKAGES),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
