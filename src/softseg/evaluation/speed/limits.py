"""What the machine can do at most: the rate at which memory is copied, and that of matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from softseg.devices import synchronize

_COPIED = 2**28  # bytes: far more than any cache holds
_SIDE = 2048  # of the matrices: enough for the full rate, 0.2 s in double precision on two cores
_RUNS = 5


def measure_limits(device: str = "cpu", copied: int = _COPIED, side: int = _SIDE) -> dict[str, float]:
    """Bytes per second, read and written, of a copy; operations per second of products of square matrices.

    The best of five runs each, on as many threads as PyTorch uses: what the machine is capable of, not what it does
    while it is busy with something else.

    Parameters
    ----------
    device : "cpu" or "cuda".
    copied : bytes that are read, and as many written.
    side : rows and columns of the matrices.

    Returns
    -------
    "bytes_per_second", and "flops_per_second_float32" and "..._float64": an addition and a multiplication are two.

    Examples
    --------
    >>> sorted(measure_limits(copied=2**16, side=32))
    ['bytes_per_second', 'flops_per_second_float32', 'flops_per_second_float64']
    """
    source = torch.ones(copied // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    limits = {"bytes_per_second": 2 * copied / _best(lambda: target.copy_(source), device)}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        left = torch.ones(side, side, dtype=dtype, device=device)
        product = torch.empty_like(left)
        seconds = _best(lambda left=left, product=product: torch.mm(left, left, out=product), device)  # type: ignore[misc]
        limits[f"flops_per_second_{name}"] = 2 * side**3 / seconds
    return limits


def _best(work: Callable[[], object], device: str) -> float:
    """Seconds of the fastest of some runs, after one that is not counted."""
    work()
    seconds = []
    for _ in range(_RUNS):
        synchronize(torch.device(device))
        start = time.perf_counter()
        work()
        synchronize(torch.device(device))
        seconds.append(time.perf_counter() - start)
    return min(seconds)
