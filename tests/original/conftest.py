"""The stages of the authors' implementation on its sample photo; skipped where the research data is absent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity

DATA = Path(os.environ.get("SOFTSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def original() -> Mapping[str, np.ndarray]:
    """Arrays by stage, see SOURCES.md beside the data."""
    path = DATA / "docia" / "reference.npz"
    if not path.is_file():
        pytest.skip(f"the original's output is not there: {path} (set SOFTSEG_DATA to the folder of the research data)")
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def graph(original: Mapping[str, np.ndarray]) -> sp.csr_array:
    """Our Laplacian from the original's image, features and superpixels."""
    return laplacian(
        matting_affinity(original["image"]),
        semantic_affinity(original["features"], original["superpixels"]),
        color_affinity(original["image"], original["superpixels"]),
    )
