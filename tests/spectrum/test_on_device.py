"""Eigenvectors in plain PyTorch against the definitions and against the compiled kernels, on the processor."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.linalg import eigh

from softseg.errors import ConvergenceError
from softseg.graph import superpixels
from softseg.settings import SpectrumSettings
from softseg.spectrum import Eigenbasis, eigenbasis, refinement, smoothed_space, smoothing
from softseg.spectrum.coarse import galerkin_eigenpairs, lowest_pairs
from softseg.spectrum.coarse_space import coarse_space
from softseg.spectrum.on_device import basis as on_device
from softseg.spectrum.on_device.basis import DeviceBasis, group_sums
from softseg.spectrum.on_device.refinement import lowest_coefficients, refine
from softseg.spectrum.on_device.rows import PaddedRows
from softseg.spectrum.on_device.smoothed_space import smoothed_matrices
from softseg.spectrum.on_device.smoothing import DeviceSmoother
from softseg.spectrum.packing import Packing
from softseg.spectrum.smoothed_space import RIDGES
from tests.elsewhere import elsewhere
from tests.laws.examples import make_image, make_laplacian
from tests.reference.smoothed_space import smoothed_matrices_reference
from tests.reference.smoothing import smooth_reference

HERE = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
SMALL = SpectrumSettings(count=40, coarse_unknowns=400, candidates=60)


@pytest.mark.parametrize("steps", [1, 2, 5, 24])
def test_smoothing_is_the_polynomial(steps: int) -> None:
    matrix = make_laplacian(make_image("smooth", 18, 20, seed=1))
    smoother = DeviceSmoother.of(matrix, 20, steps, HERE)
    compiled = smoothing.Smoother.of(matrix, 20, steps)
    assert smoother.bounds == pytest.approx(compiled.bounds, rel=1e-6)  # products of single precision
    vectors = np.random.default_rng(0).normal(size=(360, 70))  # blocks that are full and one that is not
    planes = smoother(smoother.stencil.padded(torch.from_numpy(vectors.T).float()))
    diagonal = 1 / smoother.scale.numpy().astype(np.float64)
    expected = smooth_reference(matrix.toarray(), diagonal, vectors, smoother.bounds, steps)
    # single precision, whose rounding each step passes on: as the compiled kernels
    np.testing.assert_allclose(smoother.stencil.inside(planes).T, expected, atol=2e-5)
    margins = planes[:, : smoother.stencil.margin], planes[:, smoother.stencil.margin + 360 :]
    assert not any(part.any() for part in margins)


def test_rows_that_are_filled_up_are_the_matrix() -> None:
    matrix = sp.csr_array(sp.random(50, 9, 0.3, random_state=np.random.default_rng(0)))
    coefficients = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    found = PaddedRows.of(matrix, HERE).product(torch.from_numpy(coefficients))
    np.testing.assert_allclose(found.T, matrix @ coefficients, atol=1e-6)


# Of entries up to one. Single precision rounds the factors of each of the 8 steps, the compiled kernels do so half as
# often: that scales all functions, which no eigenvector sees.
ROUNDED = 6e-6


@pytest.mark.parametrize(("h", "w", "unknowns"), [(90, 30, 100), (24, 100, 300), (20, 85, 40), (40, 40, 400)])
@pytest.mark.parametrize("kind", ["noise", "blocks", "gray"])
def test_functions_that_share_columns_are_smoothed_as_if_alone(kind: str, h: int, w: int, unknowns: int) -> None:
    image = make_image(kind, h, w, seed=3)
    matrix, space = make_laplacian(image), coarse_space(image, unknowns)
    smoother, packing = DeviceSmoother.of(matrix, w, 5, HERE), Packing.of(space, 16)
    steps = packing.reach // 2
    local = smoother.local(steps)
    diagonal, functions = 1 / local.scale.numpy().astype(np.float64), space.functions.toarray()
    expected = smoothed_matrices_reference(matrix.toarray(), w, functions, diagonal, local.bounds, steps)
    squares = np.diag(np.diag(expected[1]))
    ridges = RIDGES[0] / smoother.scale.mean().item() * squares, RIDGES[1] * squares
    for found, known, ridge in zip(smoothed_matrices(smoother, packing), expected, ridges, strict=True):
        np.testing.assert_allclose(found, known + ridge, atol=ROUNDED)


@pytest.mark.parametrize(("h", "w", "unknowns"), [(60, 72, 60), (130, 97, 300)])
def test_the_smoothed_functions_are_those_of_the_compiled_kernels(h: int, w: int, unknowns: int) -> None:
    image = make_image("blocks", h, w, seed=3)
    matrix, packing = make_laplacian(image), Packing.of(coarse_space(image, unknowns), 16)
    found = smoothed_matrices(DeviceSmoother.of(matrix, w, 5, HERE), packing)
    compiled = smoothed_space.smoothed_matrices(smoothing.Smoother.of(matrix, w, 5), packing)
    for one, other in zip(found, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=ROUNDED)


@pytest.mark.parametrize("kind", ["noise", "levels"])
def test_the_coarse_problem_is_solved(kind: str) -> None:
    image = make_image(kind, 48, 52, seed=4)
    smoother = DeviceSmoother.of(make_laplacian(image), 52, 5, HERE)
    stiffness, mass = smoothed_matrices(smoother, Packing.of(coarse_space(image, 200), 16))
    found = lowest_coefficients(stiffness, mass, 30).numpy().astype(np.float64)
    values, vectors = eigh(stiffness.double().numpy(), mass.double().numpy())
    lowest = np.argsort(np.abs(values), kind="stable")[:30]
    # To be refined: residuals of a fifth are good enough, and those of the last pairs only are so large.
    assert np.linalg.svd(found.T @ mass.numpy() @ vectors[:, lowest])[1].min() > 0.99
    np.testing.assert_allclose(found.T @ mass.double().numpy() @ found, np.eye(30), atol=1e-5)
    compiled = lowest_pairs(stiffness.numpy(), mass.numpy(), 30, roughly=True)[1]
    # The same Krylov space, by products in single precision.
    assert np.linalg.svd(found.T @ mass.numpy() @ compiled)[1].min() > 1 - 1e-5


def test_a_coarse_laplacian_that_no_shift_helps() -> None:
    broken = torch.full((4, 4), torch.nan)
    with pytest.raises(ConvergenceError, match="positive definite"):
        lowest_coefficients(broken, torch.eye(4), 2)


@pytest.mark.parametrize(("h", "w"), [(24, 30), (60, 72)])  # less than a strip of pixels, and two and a bit
def test_the_refined_are_the_lowest_and_orthonormal(h: int, w: int) -> None:
    image = make_image("noise", h, w, seed=7)
    matrix, prolongation = make_laplacian(image), coarse_space(image, 200).functions
    _, coefficients = galerkin_eigenpairs(matrix, prolongation, 30)
    smoother = DeviceSmoother.of(matrix, w, 8, HERE)
    rows, start = PaddedRows.of(prolongation, HERE), torch.from_numpy(coefficients).float()
    values, planes = refine(smoother, rows, start, 20)
    vectors = planes.double().numpy().T
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(20), atol=2e-5)  # as the compiled kernels
    np.testing.assert_allclose(vectors.T @ (matrix @ vectors), np.diag(values), atol=1e-4)
    constant = planes[values == 0]
    assert len(constant) == 1 and constant.unique().numel() == 1
    compiled = smoothing.Smoother.of(matrix, w, 8)
    known, others = refinement.refine(compiled, prolongation, coefficients, 20)
    np.testing.assert_allclose(values, known, atol=1e-5)
    assert np.linalg.svd(vectors.T @ others)[1].min() > 1 - 1e-3


@pytest.mark.parametrize("groups", [[0], [0, 0, 0], [2, 0, 1, 0, 2, 2, 2, 2, 0, 2, 2, 2, 2, 2, 2]])
def test_sums_of_groups(groups: list[int]) -> None:
    labels = np.array(groups)
    planes = torch.from_numpy(np.random.default_rng(0).normal(size=(3, len(labels))))
    expected = np.stack([np.bincount(labels, plane) for plane in planes.numpy()])
    np.testing.assert_allclose(group_sums(planes, labels, np.bincount(labels)), expected, atol=1e-14)


@pytest.fixture(scope="module")
def bases() -> tuple[DeviceBasis, Eigenbasis, np.ndarray]:
    """Of one photo: both kinds, and its superpixels."""
    image = make_image("smooth", 48, 52, seed=2)
    matrix = make_laplacian(image)
    found = eigenbasis(matrix, image, SMALL, HERE)
    assert isinstance(found, DeviceBasis)
    return found, eigenbasis(matrix, image, SMALL), superpixels(image, 90)


def test_the_eigenbasis_spans_what_the_compiled_one_spans(bases: tuple[DeviceBasis, Eigenbasis, np.ndarray]) -> None:
    found, compiled, _ = bases
    assert found.refined and found.pixels == compiled.pixels == 48 * 52 and found.statistics == compiled.statistics
    # What single precision leaves: the last of the eigenvectors are nearest to others that did not come along.
    np.testing.assert_allclose(found.values, compiled.values, atol=1e-4 * compiled.values[-1])
    everywhere = np.arange(48 * 52)
    shared = np.square(found.rows(everywhere).T @ compiled.rows(everywhere)).sum()
    assert shared > 40 - 0.01  # dimensions, of 40


def test_a_basis_on_a_device_answers_as_the_same_one_in_arrays(
    bases: tuple[DeviceBasis, Eigenbasis, np.ndarray],
) -> None:
    found, _, labels = bases
    arrays = Eigenbasis(found.values, np.ascontiguousarray(found.vectors.numpy().T), None, {})
    pixels = np.array([5, 5, 0, 48 * 52 - 1])
    mixture = np.random.default_rng(0).normal(size=(3, 40))
    np.testing.assert_array_equal(found.rows(pixels), arrays.rows(pixels))
    np.testing.assert_allclose(found.combine(mixture), arrays.combine(mixture), atol=1e-6)
    np.testing.assert_allclose(found.ones(), arrays.ones(), atol=1e-12)
    # sums of single precision, in another order
    np.testing.assert_allclose(found.means(labels.reshape(-1)), arrays.means(labels.reshape(-1)), atol=1e-7)
    for answer in (found.rows(pixels), found.means(labels.reshape(-1)), found.combine(mixture), found.ones()):
        assert answer.dtype == np.float64 and answer.flags.c_contiguous


@pytest.mark.parametrize("size", [16, 24])
def test_vectors_that_depend_on_each_other_are_left_out(size: int) -> None:
    """A few dots on one colour, as in the test of the compiled route."""
    rng, image = np.random.default_rng(0), np.full((size, size, 3), 0.4)
    image[2::8, 2::8] = rng.random((len(image[2::8]), len(image[2::8]), 3))
    basis = eigenbasis(make_laplacian(image), image, SpectrumSettings(), HERE)
    vectors = basis.rows(np.arange(size * size))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(basis.values)), atol=1e-3)  # as the compiled kernels
    np.testing.assert_allclose(basis.combine(basis.ones()[None]), 1, atol=1e-3)


def test_too_few_directions_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "refine", lambda *_: (np.zeros(3), torch.zeros(3, 576)))
    image = make_image("noise", 24, 24, seed=2)
    basis = eigenbasis(make_laplacian(image), image, SMALL, HERE)
    assert isinstance(basis, Eigenbasis) and not basis.refined


def test_the_exact_route_and_large_photos_stay_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image("noise", 24, 24, seed=2)
    exact = eigenbasis(make_laplacian(image), image, SpectrumSettings(count=16, solver="exact"), HERE)
    assert isinstance(exact, Eigenbasis) and "solves" in exact.statistics
    monkeypatch.setattr(sys.modules["softseg.spectrum.eigenbasis"], "_LARGEST_REFINED", 24 * 24 - 1)
    large = eigenbasis(make_laplacian(image), image, SMALL, HERE)
    assert isinstance(large, Eigenbasis) and not large.refined


def test_no_tensor_is_made_on_another_device() -> None:
    image = make_image("smooth", 48, 52, seed=2)
    matrix, labels = make_laplacian(image), superpixels(image, 90).reshape(-1)
    with elsewhere() as device:
        basis = eigenbasis(matrix, image, SMALL, device)
        assert isinstance(basis, DeviceBasis) and basis.vectors.device == device
        means, ones = basis.means(labels), basis.ones()
        rows, combined = basis.rows(np.arange(3)), basis.combine(np.eye(40))
    here = eigenbasis(matrix, image, SMALL, HERE)
    for found, expected in (
        (means, here.means(labels)),
        (ones, here.ones()),
        (rows, here.rows(np.arange(3))),
        (combined, here.combine(np.eye(40))),
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.gpu
@GPU
def test_a_gpu_smooths_as_the_processor_does() -> None:
    matrix = make_laplacian(make_image("smooth", 60, 72, seed=1))
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 60 * 72))).float()
    results = []
    for device in (torch.device("cuda"), HERE):
        smoother = DeviceSmoother.of(matrix, 72, 24, device)
        results.append(smoother.stencil.inside(smoother(smoother.stencil.padded(vectors.to(device)))).cpu())
    np.testing.assert_allclose(*results, atol=2e-5)


@pytest.mark.gpu
@GPU
def test_a_gpu_finds_the_span_of_the_processor_and_the_same_bytes_twice() -> None:
    image = make_image("smooth", 96, 104, seed=2)
    matrix = make_laplacian(image)
    once, again = (eigenbasis(matrix, image, SpectrumSettings(), torch.device("cuda")) for _ in range(2))
    assert isinstance(once, DeviceBasis) and once.vectors.is_cuda
    everywhere = np.arange(96 * 104)
    assert once.rows(everywhere).tobytes() == again.rows(everywhere).tobytes()
    compiled = eigenbasis(matrix, image, SpectrumSettings())
    # Ten times what the processor's two ways differ by; a GPU adds up in yet another order.
    np.testing.assert_allclose(once.values, compiled.values, atol=1e-3 * compiled.values[-1])
    assert np.square(once.rows(everywhere).T @ compiled.rows(everywhere)).sum() > len(once.values) - 0.2
