"""A command line whose computations are replaced by quick ones of the same form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from softseg.cli.main import app
from softseg.images import load_photo
from softseg.layers import SoftSegments
from softseg.progress import Stopwatch
from softseg.settings import Settings


class FakePipeline(ModuleType):
    """Stands in for `softseg.pipeline`: columns of the image as layers; remembers how it was called."""

    def __init__(self) -> None:
        super().__init__("softseg.pipeline")
        self.calls: list[dict[str, Any]] = []
        self.before: Callable[[str], None] = lambda name: None  # is called with the photo's name

    def segment(self, photo: Any, **options: Any) -> SoftSegments:
        photo = load_photo(photo)
        self.before(photo.name)
        self.calls.append({"name": photo.name, **options})
        stopwatch = Stopwatch(options["progress"])
        with stopwatch("matting affinity"):
            h, w = photo.pixels.shape[:2]
            owner = np.arange(w) * options["layers"] // w
            alphas = np.stack([np.tile(owner == k, (h, 1)) for k in range(options["layers"])]).astype(np.float32)
        return SoftSegments(
            alphas=alphas,
            image=photo.pixels,
            features=photo.pixels,
            settings=Settings.for_solver(options["solver"], seed=options["seed"], device=options["device"]),
            grouping=options["grouping"],
            timings=stopwatch.timings,
            notes=photo.notes,
            name=photo.name,
        )


class FakeFeatures(ModuleType):
    """Stands in for `softseg.features`."""

    def __init__(self) -> None:
        super().__init__("softseg.features")
        self.calls: list[tuple[str, str]] = []
        self.projected_on: list[str] = []

    def extract(self, pixels: np.ndarray, model: str = "embedded", device: str = "auto") -> np.ndarray:
        self.calls.append((model, device))
        return np.repeat(pixels, 4, axis=2).astype(np.float32)

    def project(self, features: np.ndarray, image: np.ndarray, device: str = "cpu") -> np.ndarray:
        self.projected_on.append(device)
        return features[:, :, ::4].astype(np.float64)

    def draw_figure(
        self, image: np.ndarray, features: np.ndarray, *, projected: np.ndarray | None, device: str
    ) -> Image.Image:
        assert features.shape == (*image.shape[:2], 12)  # raw, whatever else was asked for
        if projected is None:
            self.project(features, image, device=device)
        return Image.new("RGB", (80, 60), "white")

    def available_models(self) -> list[tuple[str, str, str]]:
        return [("embedded", "a small network", "in the package")]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    fake = FakePipeline()
    monkeypatch.setitem(sys.modules, "softseg.pipeline", fake)
    return fake


@pytest.fixture
def feature_models(monkeypatch: pytest.MonkeyPatch) -> FakeFeatures:
    fake = FakeFeatures()
    monkeypatch.setitem(sys.modules, "softseg.features", fake)
    return fake


@pytest.fixture
def softseg(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command line; the result has exit_code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "300")  # no sentence is broken into lines
    monkeypatch.setenv("NO_COLOR", "1")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return make_photo(tmp_path / "photo.png")


def make_photo(path: Path, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:20, 0:40]
    Image.fromarray(np.dstack([y * 12, x * 6, x + y]).astype(np.uint8)).convert(mode).save(path)
    return path
