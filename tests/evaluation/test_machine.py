"""What measurements were made on."""

from __future__ import annotations

import json
import platform
from importlib import metadata

import pytest
import torch

from softseg.evaluation import machine


def test_it_says_what_matters_and_fits_into_json() -> None:
    facts = json.loads(json.dumps(machine()))
    assert facts["python"] == platform.python_version()
    assert torch.__version__.startswith(facts["torch"].split("+")[0])
    assert facts["cores"] >= 1
    assert facts["processor"]
    assert set(facts) >= {"memory_gib", "system", "softseg", "numpy", "scipy", "scikit-image"}


def test_a_package_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert machine()["softseg"] is None
