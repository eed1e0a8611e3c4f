"""A device that is not there: the processor computes its tensors, which refuse to meet any that are the processor's.

Code for a GPU can be wrong in ways that a run with ``torch.device("cpu")`` does not show: a tensor made without a
device, an array taken from a tensor that is not the processor's. Here both are errors, without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ELSEWHERE = torch.device("meta")  # needs no driver; networks have only their shapes there before their weights come
HERE = torch.device("cpu")


class Away(torch.Tensor):
    """What is on the device: tells the device's name, holds the numbers on the processor."""

    numbers: torch.Tensor

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> Away:
        tensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=ELSEWHERE,
        )
        tensor.numbers = numbers
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, as a GPU would do or refuse it."""
    tensors = [part for part in tree_flatten((args, kwargs))[0] if isinstance(part, torch.Tensor)]
    away = [part for part in tensors if isinstance(part, Away)]
    named = kwargs.get("device")
    copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if away and not copies:
        # One number of the processor may go along with tensors of a GPU, as an operand, but not beside them.
        beside = func in (torch.ops.aten.cat.default, torch.ops.aten.stack.default)
        strangers = [part for part in tensors if not isinstance(part, Away) and (beside or part.dim())]
        assert not strangers, f"{func} has tensors of two devices: {[tuple(part.shape) for part in tensors]}"
    if named is not None:
        kwargs = kwargs | {"device": HERE}
    found = func(*_here(args), **_here(kwargs))
    if func is torch.ops.aten.copy_.default:
        return args[0]
    stays = torch.device(named) == ELSEWHERE if named is not None else bool(away)
    if not stays:
        return found
    by_number = {id(part.numbers): part for part in away}  # what is changed in place stays the same tensor

    def send(part: Any) -> Any:
        if not isinstance(part, torch.Tensor) or isinstance(part, Away):
            return part
        return by_number.get(id(part)) if id(part) in by_number else Away(part)

    return tree_map(send, found)


def _here(parts: Any) -> Any:
    return tree_map(lambda part: part.numbers if isinstance(part, Away) else part, parts)


class _Factories(TorchDispatchMode):
    """Tensors that are asked for on the device are made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """The device, within this context."""
    with _Factories():
        yield ELSEWHERE
