"""Functions compiled by Numba, which only the kernel modules import, and these only when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["cgutils", "intrinsic", "ir", "kernel", "part", "types"]  # the compiler itself is imported here alone

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Each operation rounds as it is written, but for a b + c in one instruction; a division by zero gives infinity.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def kernel(function: Callable[..., None], *like: Any) -> Callable[..., None]:
    """Compiled for arguments of the types of `like`; kept for the next process, where the compiler finds a folder."""
    signature = tuple(numba.typeof(argument) for argument in like)  # type: ignore[no-untyped-call]
    try:
        kept: Callable[..., None] = numba.njit([signature], cache=True, **_OPTIONS)(function)
        return kept
    except Exception:  # nowhere to write, a full disk, a damaged file; what is wrong with the code is raised below
        compiled: Callable[..., None] = numba.njit([signature], **_OPTIONS)(function)
        return compiled


def part(function: _Function) -> _Function:
    """Compiled as part of the kernels that call it."""
    compiled: _Function = numba.njit(**_OPTIONS)(function)
    return compiled
