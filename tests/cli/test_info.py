"""`softseg info`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from .conftest import FakeFeatures


def test_json(softseg: Callable[..., Any], feature_models: FakeFeatures) -> None:
    run = softseg("info", "--json")
    assert run.exit_code == 0
    facts = json.loads(run.stdout)
    assert facts["versions"]["numpy"] == np.__version__
    assert {"softseg", "python", "numpy", "scipy", "torch", "scikit-image"} <= set(facts["versions"])
    assert facts["devices"][0].startswith("cpu, ")
    assert facts["models"] == [{"name": "embedded", "description": "a small network", "status": "in the package"}]
    assert facts["licence"]


def test_text(softseg: Callable[..., Any], feature_models: FakeFeatures) -> None:
    run = softseg("info")
    assert run.exit_code == 0
    assert f"numpy         {np.__version__}\n" in run.stdout
    assert "model         embedded: a small network (in the package)\n" in run.stdout
    assert "licence       " in run.stdout
