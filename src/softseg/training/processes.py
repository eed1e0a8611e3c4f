"""The processes that train together: as many as asked for, or as torchrun has started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from softseg.devices import resolve_device
from softseg.errors import DeviceError, InputError, ModelError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32", "bf16"]
_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def launch(device: str, precision: Precision, devices: int | None, nodes: int | None) -> Fabric:
    """Start the other processes of this run, on devices that exist, or join those that torchrun has started.

    Raises
    ------
    DeviceError : the device is not there, or not as many of them.
    InputError : the numbers cannot be, or are not those of torchrun.
    ModelError : Lightning Fabric is not installed.
    """
    devices, nodes = count_processes(devices, nodes, os.environ)
    where = resolve_device(device)
    if where.type == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(
            f"{devices} GPUs were asked for, but PyTorch finds {torch.cuda.device_count()}; ask for fewer"
        )
    if precision not in _PRECISIONS or devices < 1 or nodes < 1:
        raise InputError(
            f"precision {precision!r} on {devices} devices of {nodes} nodes was asked for; choose '32' or 'bf16', and "
            "at least one of each"
        )
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise ModelError("training needs Lightning Fabric; run: pip install 'softseg[train]'") from None
    # A trunk may have stages that no tap reads: their parameters never get a gradient.
    strategy = "ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto"
    kind = cast(Any, _PRECISIONS[precision])
    fabric = Fabric(accelerator=where.type, strategy=strategy, devices=devices, num_nodes=nodes, precision=kind)
    fabric.launch()
    return fabric


def count_processes(devices: int | None, nodes: int | None, environ: Mapping[str, str]) -> tuple[int, int]:
    """How many devices on each machine, and how many machines.

    Lightning Fabric takes the rank of a process from torchrun, but not these two.

    Parameters
    ----------
    devices, nodes : as asked for; None: as torchrun has it, 1 without it.
    environ : variables of the environment, among them those of torchrun.

    Raises
    ------
    InputError : torchrun has started other numbers than were asked for, or not equally many on each machine.

    Examples
    --------
    >>> count_processes(None, 2, {})
    (1, 2)
    >>> count_processes(None, None, {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"})
    (4, 2)
    """
    started = launched_by_torchrun(environ)
    if started is None:
        return 1 if devices is None else devices, 1 if nodes is None else nodes
    for name, asked, found in (("devices", devices, started[0]), ("nodes", nodes, started[1])):
        if asked is not None and asked != found:
            raise InputError(f"{name} is {asked}, but torchrun has started {found}; leave --{name} to torchrun")
    return started


def launched_by_torchrun(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """(processes on each machine, machines) under torchrun; None without it.

    Raises
    ------
    InputError : the machines do not have equally many processes.
    """
    # Processes that Fabric itself starts see WORLD_SIZE too, but not this one.
    if "TORCHELASTIC_RUN_ID" not in environ:
        return None
    total, local = int(environ["WORLD_SIZE"]), int(environ["LOCAL_WORLD_SIZE"])
    if total % local:
        raise InputError(
            f"torchrun has started {total} processes, {local} of them on this machine; start equally many on each"
        )
    return local, total // local
