"""A photo taken apart in no time: four soft segments, the quarters of its width, of which neighbours mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from softseg.images import load_photo
from softseg.pipeline import Decomposition
from softseg.settings import GroupingSettings, Settings

from .data import HEIGHT, WIDTH

MEANINGS = np.array([0.0, 0.1, 0.7, 1.0])  # 2 layers: halves; 3: the right one in two; 4: quarters


def quarters() -> np.ndarray:
    """(h, w) 0 to 3, from left to right."""
    return (np.arange(WIDTH) * 4 // WIDTH)[None, :].repeat(HEIGHT, axis=0)


class QuickParts:
    """Stands in for `decompose`; remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.segments = 4

    def __call__(self, image: Any, **options: Any) -> Decomposition:
        self.calls.append(options)
        photo = load_photo(image)
        h, w = photo.pixels.shape[:2]
        owner = quarters() * self.segments // 4
        hard = (owner.ravel() == np.arange(self.segments)[:, None]).astype(np.float32)
        return Decomposition(
            photo=photo,
            features=np.repeat(MEANINGS[quarters()][:, :, None], 3, axis=2),
            laplacian=sp.csr_array((h * w, h * w)),
            segments=hard,
            settings=Settings(grouping=GroupingSettings(boundary_exponent=0)),
            model={},
            timings={},
            statistics={},
            pixels=photo.pixels,
            boundaries=None,
        )


def install(monkeypatch: pytest.MonkeyPatch) -> QuickParts:
    """Put it in the place of `decompose`, and do without a model."""
    from softseg.evaluation import boundary_score, region_score

    quick = QuickParts()
    for module in (region_score, boundary_score):
        monkeypatch.setattr(module, "decompose", quick)
        monkeypatch.setattr(module, "model_digest", lambda model: f"{model:0>64}")
    return quick
