"""Small runs on synthetic shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softseg.training.recipes import Recipe, change
from softseg.training.shapes import Shapes
from softseg.training.train import train

TINY: dict[str, Any] = {
    "network": "tiny",
    "steps": 12,
    "batch": 2,
    "draws": 2,
    "pixels": 40,
    "negatives": 1.0,
    "optimizer": "adamw",
    "head_rate": 1e-2,
    "base_rate": 1e-2,
    "average": 0.9,
    "clip_norm": 1.0,
    "scale_least": 0.8,
    "scale_most": 1.2,
    "flip": True,
    "jitter": 0.1,
    "log_every": 1,
    "checkpoint_every": 4,
    "validate_every": 6,
    "panels": 1,
}
Run = Callable[..., list[dict[str, float]]]


def losses(folder: Path) -> list[dict[str, float]]:
    """The entries of a log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def tiny() -> Recipe:
    return change(Recipe(), TINY)


@pytest.fixture
def run(tiny: Recipe) -> Run:
    """Train into a folder, with changes to the tiny recipe; returns the entries of its log."""

    def go(folder: Path, resume: bool = False, **changes: Any) -> list[dict[str, float]]:
        train(change(tiny, changes), Shapes(5), {"shapes": Shapes(3)}, folder, resume=resume, device="cpu")
        return losses(folder)

    return go
