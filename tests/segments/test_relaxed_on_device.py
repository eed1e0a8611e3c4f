"""The relaxed sparsification in plain PyTorch on a device against that in double precision and the compiled one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from softseg.errors import ConvergenceError
from softseg.segments import full_size
from softseg.segments.full_size import at_full_size
from softseg.segments.relaxed import relax
from softseg.segments.relaxed_double import relax_in_double
from softseg.segments.relaxed_on_device import relax_on_device
from softseg.settings import RelaxedSettings, Settings
from tests.elsewhere import elsewhere
from tests.laws.examples import make_image, make_laplacian
from tests.segments.test_full_size import disk
from tests.segments.test_relaxed_single import make_layers

HERE = torch.device("cpu")
FAST = Settings.for_solver("fast").relaxed
EXACT = Settings.for_solver("exact").relaxed
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")


@pytest.mark.parametrize(("h", "w", "count"), [(16, 17, 2), (23, 31, 5), (19, 16, 20), (64, 65, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_steps_and_alphas_are_those_of_double_precision(h: int, w: int, count: int, dtype: torch.dtype) -> None:
    image = make_image("smooth", h, w, 3)
    layers, graph = make_layers(h, w, count), make_laplacian(image, np.roll(image, 2, axis=2))
    start = np.clip(layers, 0.01, None) / np.clip(layers, 0.01, None).sum(axis=0)
    exponent = np.random.default_rng(1).uniform(0.9, 1, (h, w))
    settings = FAST if dtype == torch.float32 else EXACT
    expected, steps, residuals = relax_in_double(start, graph, exponent, settings)
    alphas, taken, reached = relax_on_device(start, graph, exponent, settings, HERE, dtype)
    assert taken == steps and torch.from_numpy(alphas).dtype == dtype and alphas.shape == (count, h, w)
    np.testing.assert_allclose(reached, residuals, rtol=0.02)
    # the bounds of the compiled one; in double precision only the order of sums is another
    mean, most = (1e-5, 1e-3) if dtype == torch.float32 else (1e-12, 1e-9)
    assert abs(alphas - expected).mean() < mean and abs(alphas - expected).max() < most


@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 6), (6, 1), (2, 3), (4, 4)])
def test_the_smallest_photos_and_a_matrix_that_is_read_only(h: int, w: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((h * w, h * w))
    weights += weights.T
    graph = sp.csr_array(np.diag(weights.sum(axis=1)) - weights)
    start, exponent = rng.dirichlet(np.ones(3), h * w).T, rng.uniform(0.9, 1, (h, w))
    expected, steps, _ = relax_in_double(start, graph, exponent, FAST)
    for part in (graph.data, graph.indices, graph.indptr, start, exponent):
        part.flags.writeable = False
    alphas, taken, _ = relax_on_device(start, graph, exponent, FAST, HERE, torch.float32)
    assert taken == steps
    np.testing.assert_allclose(alphas, expected, atol=1e-3)


def test_a_device_takes_the_place_of_the_compiled_kernels() -> None:
    image = make_image("smooth", 60, 50, 3)
    layers, graph = make_layers(60, 50, 5), make_laplacian(image)
    for settings in (FAST, EXACT):
        compiled, ours = (relax(layers, graph, image, settings, device) for device in (None, HERE))
        assert ours.alphas.dtype == compiled.alphas.dtype and ours.steps == compiled.steps
        assert ours.residual <= settings.tolerance
        assert abs(ours.alphas - compiled.alphas).mean() < 1e-5


def test_what_does_not_converge_is_said() -> None:
    image = make_image("smooth", 16, 16, 3)
    settings = replace(FAST, maximum_steps=0)
    with pytest.raises(ConvergenceError, match="maximum_steps"):
        relax(make_layers(16, 16, 2), make_laplacian(image), image, settings, HERE)


def test_layers_of_a_large_photo_are_those_of_the_compiled_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_size, "_TILE", 50)
    image, truth = disk(96)
    small = truth.reshape(2, 48, 2, 48, 2).mean(axis=(2, 4))
    compiled, ours = (at_full_size(small, image, FAST, device=device) for device in (None, HERE))
    assert ours.steps == compiled.steps
    assert abs(ours.alphas - compiled.alphas).mean() < 1e-5  # the same bound, in every tile


def test_no_tensor_is_made_on_another_device() -> None:
    image, truth = disk(40)
    layers, graph = make_layers(40, 40, 3), make_laplacian(image)
    small = truth.reshape(2, 20, 2, 20, 2).mean(axis=(2, 4))
    for settings in (FAST, EXACT):
        with elsewhere() as device:
            away = relax(layers, graph, image, settings, device)
            large = at_full_size(small, image, settings, device=device)
        assert away.alphas.tobytes() == relax(layers, graph, image, settings, HERE).alphas.tobytes()
        assert large.alphas.tobytes() == at_full_size(small, image, settings, device=HERE).alphas.tobytes()


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("settings", [FAST, EXACT, RelaxedSettings(tolerance=1e-3)])
def test_a_gpu_agrees_and_gives_the_same_bytes_twice(settings: RelaxedSettings) -> None:
    image = make_image("smooth", 90, 91, 5)
    arguments = make_layers(90, 91, 5), make_laplacian(image), image, settings
    once, again = (relax(*arguments, torch.device("cuda")) for _ in range(2))
    compiled = relax(*arguments)
    assert once.alphas.tobytes() == again.alphas.tobytes()
    assert sum(abs(a - b) for a, b in zip(once.steps, compiled.steps, strict=True)) <= 2
    assert abs(once.alphas - compiled.alphas).mean() < 1e-4


@pytest.mark.gpu
@GPU
def test_a_gpu_brings_layers_to_full_size() -> None:
    image, truth = disk(96)
    small = truth.reshape(2, 48, 2, 48, 2).mean(axis=(2, 4))
    compiled, ours = (at_full_size(small, image, FAST, device=device) for device in (None, torch.device("cuda")))
    assert abs(ours.alphas - compiled.alphas).mean() < 1e-4
