"""Where the tensors live: a device asked for by name is used or refused, never silently replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from softseg.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """The device for "cpu", "cuda", "cuda:1" or "auto", which is "cuda" where there is one and else "cpu".

    Raises
    ------
    DeviceError : no such name, or PyTorch finds no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise DeviceError(f"there is no device {name!r}; use 'auto', 'cpu' or 'cuda'")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} was asked for, but PyTorch {torch.__version__} finds no CUDA GPU; use 'cpu' or 'auto'"
        )
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r} was asked for, but PyTorch finds only {torch.cuda.device_count()}; count from 0"
        )
    return torch.device(name)


def to_tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on that device, its memory shared where it can be; flipped and read-only views are copied first."""
    if not array.flags.writeable or min(array.strides, default=0) < 0:
        array = array.copy(order="K")
    return torch.from_numpy(array).to(device)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was told to; nothing to do for others."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 matrices keep all of their digits inside of this context, or of a function decorated by it.

    So they do by default; but a program may have allowed PyTorch to round to TF32, three digits, on GPUs, which is not
    enough for eigenvectors. The setting is of the whole process: a program that allows TF32 and computes in several
    threads at a time may have it back in one of them too early, and should not allow it.
    """
    restore = _set_full_precision()
    try:
        yield
    finally:
        restore()


def _set_full_precision() -> Callable[[], None]:
    """Set it, and return how to have it again as it was."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer name, from PyTorch 2.9 on, which is not to be mixed with the older one
        matmul: Any = torch.backends.cuda.matmul
        named, matmul.fp32_precision = matmul.fp32_precision, "ieee"
        return lambda: setattr(matmul, "fp32_precision", named)
    if before == "highest":
        return lambda: None
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(before)
