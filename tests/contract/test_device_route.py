"""The route for GPUs, in plain PyTorch, from end to end: forced on the processor, on no processor, and on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from softseg import pipeline
from softseg.pipeline import Decomposition, decompose, segment
from softseg.segments.relaxed import relax
from softseg.settings import Settings
from tests.contract.test_routes import small
from tests.elsewhere import elsewhere

HERE = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
STAGES = ["eigenvectors", "constrained sparsification", "relaxed sparsification"]


@contextmanager
def forced(device: torch.device) -> Iterator[None]:
    """All that goes to a GPU goes to this device."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_accelerator", lambda settings: device)
        yield


def difference(compiled: Decomposition, other: Decomposition, layers: int, device: torch.device | None) -> float:
    """Of the layers, by one grouping: each soft segment goes to the compiled layer with which it shares most."""
    grouped = compiled.grouped(layers)
    shared = (np.clip(other.segments, 0, 1) @ np.clip(grouped, 0, 1).T).argmax(axis=1)
    transferred = (shared == np.arange(layers)[:, None]).astype(np.float64) @ other.segments
    graph, pixels, settings = compiled.laplacian, compiled.pixels, compiled.settings.relaxed
    one, two = relax(grouped, graph, pixels, settings), relax(transferred, graph, pixels, settings, device)
    return float(np.abs(one.alphas - two.alphas).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layers"), [("astronaut", 5), ("coffee", 5), ("chelsea", 3)])
def test_the_device_route_is_near_the_compiled_one(name: str, layers: int) -> None:
    """Nearer than the fast route is to the exact one (0.01 in `test_routes.py`); measured: 0.0008 at most."""
    photo = small(200, name)
    compiled = decompose(photo, device="cpu")
    with forced(HERE):
        ours = decompose(photo, features=compiled.features)
        result = ours.layers(layers)
    assert difference(compiled, ours, layers, HERE) < 0.005
    assert ours.statistics["stages_on_device"] == STAGES and "stages_on_device" not in compiled.statistics
    np.testing.assert_allclose(result.alphas.sum(axis=0), 1, atol=1e-5)
    assert result.alphas.min() >= 0


def photo_of_two() -> np.ndarray:
    """(40, 44, 3), with texture; two things, one of them soft at its border."""
    y, x = np.mgrid[0:40, 0:44] / 40
    share = np.clip(0.5 + (0.3 - np.hypot(y - 0.5, x - 0.5)) * 10, 0, 1)[..., None]
    texture = 0.03 * np.random.default_rng(0).random((40, 44, 3))
    return np.asarray(share * [0.9, 0.7, 0.2] + (1 - share) * [0.1, 0.2, 0.4] + texture)


@pytest.mark.parametrize(("working_pixels", "eigenvectors"), [(None, 100), (24 * 24, 100), (None, 20)])
def test_a_photo_comes_apart_on_no_processor_as_on_the_processor(working_pixels: int | None, eigenvectors: int) -> None:
    """No stage mixes devices, those of a large photo neither; and the same bytes come out of both.

    With 20 eigenvectors there are enough superpixels for the fit to be made to their means.
    """
    photo = photo_of_two()
    settings = replace(Settings.for_solver("fast"), working_pixels=working_pixels)
    settings = replace(settings, spectrum=replace(settings.spectrum, count=eigenvectors))
    results = []
    for place in ("here", "elsewhere"):
        with elsewhere() as away, forced(away if place == "elsewhere" else HERE):
            results.append(segment(photo, 2, features=photo, settings=settings))
    assert results[0].alphas.tobytes() == results[1].alphas.tobytes()
    assert results[0].statistics == results[1].statistics
    assert results[0].statistics["stages_on_device"] == STAGES
    compiled = segment(photo, 2, features=photo, settings=settings)
    assert np.abs(results[0].alphas - compiled.alphas).mean() < 0.01  # the bound of `test_routes.py`


def test_coarse_eigenvectors_are_not_said_to_come_from_the_device() -> None:
    photo = photo_of_two()
    settings = Settings.for_solver("fast")
    coarse = replace(settings, spectrum=replace(settings.spectrum, smoothing_steps=0))
    with forced(HERE):
        parts = decompose(photo, features=photo, settings=coarse)
    assert parts.statistics["stages_on_device"] == STAGES[1:]
    assert parts.layers(2).alphas.shape == (2, 40, 44)


def test_the_processor_and_the_exact_route_keep_the_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pipeline._accelerator(Settings.for_solver("fast", device="cpu")) is None
    monkeypatch.setattr(pipeline, "resolve_device", lambda name: torch.device("cuda:0"))
    assert pipeline._accelerator(Settings.for_solver("fast")) == torch.device("cuda:0")
    assert pipeline._accelerator(Settings.for_solver("exact")) is None


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize(("name", "layers"), [("astronaut", 5), ("coffee", 5), ("chelsea", 3)])
def test_a_gpu_is_near_the_processor_and_gives_the_same_bytes_twice(name: str, layers: int) -> None:
    photo = small(200, name)
    compiled = decompose(photo, device="cpu")
    once, again = (decompose(photo, features=compiled.features, device="cuda") for _ in range(2))
    assert once.segments.tobytes() == again.segments.tobytes()
    result = once.layers(layers)
    assert result.alphas.tobytes() == again.layers(layers).alphas.tobytes()
    # As on the processor, see above; a GPU adds up in another order, which moved layers by 0.0008 at most there.
    assert difference(compiled, once, layers, torch.device("cuda")) < 0.005
    assert result.statistics["stages_on_device"] == STAGES
    assert result.report()["peak_device_memory_bytes"] > 0
