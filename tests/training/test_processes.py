"""How many processes train together, with and without torchrun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning_fabric
import pytest

from softseg.errors import InputError
from softseg.training.processes import count_processes, launch
from softseg.training.recipes import Recipe
from softseg.training.shapes import Shapes
from softseg.training.train import train

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}


def test_without_torchrun_it_is_what_was_asked_for() -> None:
    assert count_processes(None, None, {}) == (1, 1)
    assert count_processes(4, 2, {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3"}) == (4, 2)  # set by another launcher


def test_torchrun_decides() -> None:
    assert count_processes(None, None, TORCHRUN) == count_processes(3, 2, TORCHRUN) == (3, 2)


@pytest.mark.parametrize(("devices", "nodes", "name"), [(1, None, "devices"), (None, 1, "nodes"), (2, 3, "devices")])
def test_numbers_that_contradict_torchrun_are_refused(devices: int | None, nodes: int | None, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is .*, but torchrun has started .*; leave --{name}"):
        count_processes(devices, nodes, TORCHRUN)


def test_machines_with_different_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="7 processes, 3 of them on this machine"):
        count_processes(None, None, {**TORCHRUN, "WORLD_SIZE": "7"})


class LaunchedError(Exception):
    """Instead of a launch."""


def test_fabric_is_told_of_the_processes_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Stub:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def launch(self) -> None:
            raise LaunchedError

    monkeypatch.setattr(lightning_fabric, "Fabric", Stub)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LaunchedError):
        launch("cpu", "32", None, None)
    assert (asked[0]["devices"], asked[0]["num_nodes"]) == (3, 2)
    assert asked[0]["strategy"] == "ddp_find_unused_parameters_true"


def test_a_contradiction_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="torchrun"):
        train(Recipe(network="tiny"), Shapes(2), {}, tmp_path / "run", device="cpu", devices=2)
    assert not (tmp_path / "run").exists()
