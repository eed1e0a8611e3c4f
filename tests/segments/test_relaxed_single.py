"""The compiled relaxed sparsification against the plain one, part by part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from softseg.graph.diagonals import Diagonals
from softseg.segments.relaxed import RelaxedResult, relax
from softseg.segments.relaxed_double import relax_in_double
from softseg.segments.relaxed_single import relax_in_single
from softseg.segments.simplex import project_to_simplex
from softseg.settings import RelaxedSettings, Settings
from tests.laws.examples import make_image, make_laplacian

FAST = Settings.for_solver("fast").relaxed


def make_layers(h: int, w: int, count: int, seed: int = 0) -> np.ndarray:
    """(K, N) soft, summing to one, leaving [0, 1] a little."""
    rng = np.random.default_rng(seed)
    layers = rng.dirichlet(np.full(count, 0.2), h * w).T
    noise = 0.05 * rng.normal(size=layers.shape)
    return layers + noise - noise.mean(axis=0)


@pytest.mark.parametrize(("h", "w", "count"), [(16, 17, 2), (23, 31, 5), (40, 33, 3), (19, 16, 20), (64, 65, 4)])
@pytest.mark.parametrize("tolerance", [1e-5, 1e-3])
def test_single_precision_takes_the_steps_of_double_precision(h: int, w: int, count: int, tolerance: float) -> None:
    image = make_image("smooth", h, w, 3)
    layers, graph = make_layers(h, w, count), make_laplacian(image, np.roll(image, 2, axis=2))
    start = np.clip(layers, 0.01, None) / np.clip(layers, 0.01, None).sum(axis=0)
    exponent = np.random.default_rng(1).uniform(0.9, 1, (h, w))
    settings = replace(FAST, tolerance=tolerance)
    expected, steps, residuals = relax_in_double(start, graph, exponent, settings)
    alphas, taken, reached = relax_in_single(start, graph, exponent, settings)
    assert taken == steps
    assert alphas.dtype == np.float32 and expected.dtype == np.float64
    np.testing.assert_allclose(reached, residuals, rtol=0.02)
    assert abs(alphas - expected).mean() < 1e-5
    assert abs(alphas - expected).max() < 1e-3


@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 6), (6, 1), (2, 3), (4, 4)])
def test_the_smallest_photos_and_a_matrix_that_is_read_only(h: int, w: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((h * w, h * w))
    weights += weights.T
    graph = sp.csr_array(np.diag(weights.sum(axis=1)) - weights)
    start, exponent = rng.dirichlet(np.ones(3), h * w).T, rng.uniform(0.9, 1, (h, w))
    expected, steps, _ = relax_in_double(start, graph, exponent, FAST)
    for part in (graph.data, graph.indices, graph.indptr):
        part.flags.writeable = False
    alphas, taken, _ = relax_in_single(start, graph, exponent, FAST)
    assert taken == steps
    np.testing.assert_allclose(alphas, expected, atol=1e-3)
    alphas.flags.writeable = False
    assert project_to_simplex(alphas).shape == (3, h, w)


def test_the_steps_of_the_fast_route_stay_few() -> None:
    image = make_image("smooth", 60, 50, 3)
    result = relax(make_layers(60, 50, 5), make_laplacian(image), image, FAST)
    assert len(result.steps) == 21 and sum(result.steps) <= 80
    assert result.residual <= FAST.tolerance


def test_the_tolerance_chooses_the_precision() -> None:
    image = make_image("smooth", 16, 16, 3)

    def solve(tolerance: float) -> RelaxedResult:
        return relax(make_layers(16, 16, 2), make_laplacian(image), image, RelaxedSettings(tolerance=tolerance))

    assert solve(FAST.tolerance).alphas.dtype == np.float32
    assert solve(Settings.for_solver("exact").relaxed.tolerance).alphas.dtype == np.float64


def test_threads_change_no_digit() -> None:
    image = make_image("smooth", 90, 91, 5)
    arguments = make_layers(90, 91, 3), make_laplacian(image), image, FAST
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(relax(*arguments))
    finally:
        torch.set_num_threads(threads)
    assert len({result.alphas.tobytes() for result in results}) == 1
    assert len({result.residual for result in results}) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (4, 7), (9, 3), (12, 11)])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_diagonals_and_rest_are_the_matrix(shape: tuple[int, int], index: type) -> None:
    size = shape[0] * shape[1]
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.5)
    dense += dense.T
    csr = sp.csr_array(dense)
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    parts = Diagonals.of(csr, shape[1])
    again = np.diag(parts.main.astype(np.float64))
    for offset, values in zip(parts.offsets, parts.values[:, parts.reach :], strict=True):
        upper = np.diag(values[: size - offset], offset) if offset < size else 0
        again += upper + np.transpose(upper)
    rest = sp.csr_array((parts.entries, parts.columns, parts.starts), shape=(len(parts.rows),) * 2).toarray()
    again[np.ix_(parts.rows, parts.rows)] += rest
    np.testing.assert_allclose(again, dense, atol=1e-6)


def test_a_photos_matting_affinities_are_all_on_diagonals() -> None:
    image = make_image("smooth", 30, 40, 1)
    parts = Diagonals.of(make_laplacian(image), 40)
    assert len(parts.offsets) == 12
    assert len(parts.rows) < 30 * 40 / 4
    assert parts.values.nbytes <= 12 * 4 * (30 * 40 + 2 * 40 + 2)


def project_by_sorting(alphas: np.ndarray) -> np.ndarray:
    """Held et al. 1974: the threshold from the alphas in order."""
    ordered = -np.sort(-alphas, axis=0)
    excess = (np.cumsum(ordered, axis=0) - 1) / np.arange(1, len(alphas) + 1)[:, None]
    positive = (ordered > excess).sum(axis=0)
    return np.maximum(alphas - excess[positive - 1, np.arange(alphas.shape[1])], 0)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("pixels", [1, 511, 1300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_projection_is_that_by_sorting(count: int, pixels: int, dtype: type) -> None:
    rng = np.random.default_rng(count)
    for scale in (0.01, 0.3, 3.0):
        alphas = (1 / count + scale * rng.normal(size=(count, pixels))).astype(dtype)
        projected = project_to_simplex(alphas)
        np.testing.assert_allclose(projected, project_by_sorting(alphas.astype(np.float64)), atol=2e-6)
        assert not np.signbit(projected).any()
