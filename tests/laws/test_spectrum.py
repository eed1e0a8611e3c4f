"""Laws of the spectrum: known eigenvalues, agreement of all routes, and what the coarse space holds."""

from __future__ import annotations

import functools
import glob
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from softseg.errors import InputError
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.settings import SpectrumSettings
from softseg.spectrum import (
    Eigenbasis,
    coarse,
    eigenbasis,
    exact,
    refinement,
    smallest_eigenpairs,
    smoothed_space,
    smoothing,
)
from softseg.spectrum.coarse import galerkin_eigenpairs
from softseg.spectrum.coarse_space import coarse_space
from softseg.spectrum.factorization import Factorization, NotPositiveDefiniteError, library
from softseg.spectrum.lanczos import block_lanczos
from softseg.spectrum.packing import Packing
from softseg.spectrum.smoothed_space import smoothed_matrices
from tests.laws.examples import KINDS, graph_laplacian, images, make_image, make_laplacian, seeds
from tests.laws.profile import few, law
from tests.reference.smoothed_space import smoothed_matrices_reference
from tests.reference.smoothing import smooth_reference

BASIS_NOT_FILLED = (
    "block_lanczos stops where the next whole block does not fit into a basis of the full size: when the size is not a "
    "multiple of the block, up to block - 1 directions stay out, and pairs are missing or have not converged"
)


# pypardiso looks through all installed files for MKL whenever a solver is made, for a third of a second.
_glob_once = functools.lru_cache(maxsize=None)(glob.glob)


@pytest.fixture(params=["dense", "pardiso", "superlu"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way in which `smallest_eigenpairs` can find them."""
    use_route(request.param, monkeypatch)
    return str(request.param)


def use_route(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "pardiso":
        pytest.importorskip("pypardiso")
        monkeypatch.setattr("pypardiso.pardiso_wrapper.glob.glob", _glob_once)
    if name != "dense":
        monkeypatch.setattr(exact, "_DENSE_BELOW", 0)
        monkeypatch.setattr("softseg.spectrum.factorization.library", lambda: name)


# Graphs with known spectra


def path(n: int) -> tuple[sp.csr_array, np.ndarray]:
    return graph_laplacian(n, [(i, i + 1) for i in range(n - 1)]), 2 - 2 * np.cos(np.pi * np.arange(n) / n)


def cycle(n: int) -> tuple[sp.csr_array, np.ndarray]:
    return graph_laplacian(n, [(i, (i + 1) % n) for i in range(n)]), 2 - 2 * np.cos(2 * np.pi * np.arange(n) / n)


def grid(h: int, w: int) -> tuple[sp.csr_array, np.ndarray]:
    (rows, along_y), (columns, along_x) = path(h), path(w)
    matrix = sp.kron(rows, sp.eye_array(w)) + sp.kron(sp.eye_array(h), columns)
    return sp.csr_array(matrix), np.add.outer(along_y, along_x).ravel()


def complete(n: int) -> tuple[sp.csr_array, np.ndarray]:
    return graph_laplacian(n, [(i, j) for i in range(n) for j in range(i)]), np.array([0.0] + [n] * (n - 1))


def islands(n: int, count: int) -> tuple[sp.csr_array, np.ndarray]:
    matrix, values = cycle(n)
    return sp.csr_array(sp.block_diag([matrix] * count)), np.tile(values, count)


GRAPHS = {
    "path": (*path(120), 15),
    "cycle: double eigenvalues": (*cycle(96), 12),
    "square grid: double eigenvalues": (*grid(12, 12), 20),
    "grid": (*grid(8, 20), 25),
    "complete: one eigenvalue n - 1 times": (*complete(40), 9),
    "islands: zero 7 times": (*islands(16, 7), 10),
    "islands: more zeros than are asked for": (*islands(8, 20), 6),
    "all of them": (*path(64), 64),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_known_spectra(name: str, route: str) -> None:
    matrix, known, count = GRAPHS[name]
    values, vectors = smallest_eigenpairs(matrix, count)
    np.testing.assert_allclose(values, np.sort(known)[:count], atol=1e-6, rtol=0)
    check_pairs(matrix, values, vectors, count)


def check_pairs(matrix: sp.csr_array, values: np.ndarray, vectors: np.ndarray, count: int) -> None:
    """What every answer must be, whatever the matrix."""
    assert values.shape == (count,) and vectors.shape == (matrix.shape[0], count)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-9)
    assert np.linalg.norm(matrix @ vectors - vectors * values, axis=0).max() < 1e-6
    assert (vectors.max(axis=0) >= -vectors.min(axis=0)).all()  # the largest entry of each is positive


@pytest.mark.parametrize(("size", "islands_", "count"), [(16, 40, 45), (100, 30, 33)])
def test_zeros_of_many_islands(size: int, islands_: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route("superlu", monkeypatch)
    matrix, known = islands(size, islands_)
    np.testing.assert_allclose(smallest_eigenpairs(matrix, count)[0], np.sort(known)[:count], atol=1e-6)


def test_islands_are_found_as_indicators(route: str) -> None:
    matrix, _ = islands(16, 7)
    values, vectors = smallest_eigenpairs(matrix, 7)
    assert abs(values).max() < 1e-10
    indicators = np.kron(np.eye(7), np.ones((16, 1))) / 4
    np.testing.assert_allclose(vectors @ vectors.T, indicators @ indicators.T, atol=1e-9)


@pytest.mark.parametrize("size", [1500, 1501])
def test_both_sides_of_the_dense_limit(size: int) -> None:
    assert exact._DENSE_BELOW == 1500
    steps = -np.ones(size - 1)
    matrix = sp.csr_array(sp.diags_array([steps, np.r_[1, np.full(size - 2, 2.0), 1], steps], offsets=[-1, 0, 1]))
    values, vectors = smallest_eigenpairs(matrix, 20)
    np.testing.assert_allclose(values, 2 - 2 * np.cos(np.pi * np.arange(20) / size), atol=1e-9, rtol=0)
    check_pairs(matrix, values, vectors, 20)


@pytest.mark.parametrize(("size", "count"), [(20, 5), (20, 20), (50, 12), (100, 60), (9, 9)])
def test_sizes_that_are_no_multiple_of_the_block(size: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route("superlu", monkeypatch)
    matrix, known = path(size)
    np.testing.assert_allclose(smallest_eigenpairs(matrix, count)[0], known[:count], atol=1e-9)


# Indefinite matrices


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [1, 7, 80])
def test_smallest_magnitudes_inside_an_indefinite_spectrum(seed: int, count: int, route: str) -> None:
    entries = np.random.default_rng(seed).normal(size=(80, 80))
    check_against_dense(sp.csr_array(entries + entries.T), count)


@pytest.mark.parametrize("seed", range(2))
def test_negative_edge_weights(seed: int, route: str) -> None:
    rng = np.random.default_rng(seed)
    edges = [(i, j) for i in range(96) for j in (i + 1, i + 7, i + 30) if j < 96]
    matrix = graph_laplacian(96, edges, list(rng.normal(0.2, 1, size=len(edges))))
    assert np.linalg.eigvalsh(matrix.toarray())[12] < 0  # not at the end of the spectrum
    check_against_dense(matrix, 9)


def check_against_dense(matrix: sp.csr_array, count: int) -> None:
    values, vectors = smallest_eigenpairs(matrix, count)
    known, exactly = np.linalg.eigh(matrix.toarray())
    nearest = np.sort(np.argsort(abs(known))[:count])
    np.testing.assert_allclose(values, known[nearest], atol=1e-8)
    check_pairs(matrix, values, vectors, count)
    np.testing.assert_allclose(abs((vectors * exactly[:, nearest]).sum(axis=0)), 1, atol=1e-6)


def test_whole_laplacian_by_all_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = make_laplacian(make_image("smooth", 16, 20, seed=3))
    expected = smallest_eigenpairs(matrix, 20)
    for name in ("superlu", "pardiso"):
        use_route(name, monkeypatch)
        values, vectors = smallest_eigenpairs(matrix, 20)
        np.testing.assert_allclose(values, expected[0], atol=1e-10)
        np.testing.assert_allclose(vectors @ vectors.T, expected[1] @ expected[1].T, atol=1e-6)


# Mistakes


@pytest.mark.parametrize(
    ("matrix", "count", "message"),
    [
        (np.zeros((4, 5)), 2, "square"),
        (np.eye(4), 5, "5 eigenpairs"),
        (np.eye(4), 0, "0 eigenpairs"),
        (np.diag([1, np.nan, 1, 1]), 2, "NaN"),
        (np.diag([1, np.inf, 1, 1]), 2, "infinite"),
        (np.triu(np.ones((4, 4))), 2, "not symmetric"),
    ],
)
def test_unusable_matrices_are_refused(matrix: np.ndarray, count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        smallest_eigenpairs(sp.csr_array(matrix), count)


@pytest.mark.parametrize("name", ["pardiso", "superlu"])
def test_the_matrix_without_entries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route(name, monkeypatch)
    values, vectors = smallest_eigenpairs(sp.csr_array((32, 32)), 3)
    assert not values.any()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("name", ["pardiso", "superlu"])
def test_an_isolated_vertex_that_the_first_shift_cancels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route(name, monkeypatch)
    matrix = sp.csr_array(np.diag(np.r_[-exact._FIRST_SHIFT, np.arange(1, 32)]))
    np.testing.assert_allclose(smallest_eigenpairs(matrix, 2)[0], [-exact._FIRST_SHIFT, 1], atol=1e-9)


# The factorisation


@pytest.mark.parametrize("name", ["pardiso", "superlu"])
@pytest.mark.parametrize("size", [1, 2, 40])
def test_factorization_solves(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route(name, monkeypatch)
    rng = np.random.default_rng(size)
    matrix = sp.csr_array(path(size)[0] + 0.1 * sp.eye_array(size)) if size > 1 else sp.csr_array([[2.0]])
    right = rng.normal(size=(size, 5))
    with Factorization(matrix) as factor:
        for _ in range(2):  # a factor is used more than once
            np.testing.assert_allclose(matrix @ factor.solve(right), right, atol=1e-11)
            np.testing.assert_allclose(matrix @ factor.solve(right[:, :1]), right[:, :1], atol=1e-11)


@pytest.mark.parametrize("name", ["pardiso", "superlu"])
@pytest.mark.parametrize("lowest", [-1e-3, -1.0])
def test_factorization_notices_a_negative_eigenvalue(name: str, lowest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    use_route(name, monkeypatch)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    dense = rotation @ np.diag(np.r_[lowest, np.linspace(0.5, 3, 19)]) @ rotation.T
    with pytest.raises(NotPositiveDefiniteError):
        Factorization(sp.csr_array((dense + dense.T) / 2))


def test_library_is_the_best_that_is_installed() -> None:
    try:
        import pypardiso  # noqa: F401
    except ImportError:
        assert library() == "superlu"
    else:
        assert library() == "pardiso"


# Block Lanczos


@law
@given(st.sampled_from([(48, 12, 8), (48, 48, 8), (64, 10, 16), (96, 1, 4), (5, 5, 8)]), seeds, st.floats(0.2, 1))
def test_block_lanczos_finds_the_largest_pairs(sizes: tuple[int, int, int], seed: int, rank: float) -> None:
    size, count, block = sizes
    factor = np.random.default_rng(seed).normal(size=(size, max(1, round(rank * size))))
    matrix = factor @ factor.T  # positive semidefinite, of that rank
    ritz = block_lanczos(lambda vectors: matrix @ vectors, size, count, block=block, maximum=size)
    known = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(ritz.values, known[:count], atol=1e-9 * known[0])
    np.testing.assert_allclose(ritz.vectors.T @ ritz.vectors, np.eye(count), atol=1e-10)
    residuals = np.linalg.norm(matrix @ ritz.vectors - ritz.vectors * ritz.values, axis=0)
    np.testing.assert_allclose(ritz.residuals, residuals, atol=1e-9 * known[0])
    assert ritz.applications <= size


@law
@given(st.integers(1, 8), seeds)
def test_block_lanczos_finds_every_copy_of_an_eigenvalue_up_to_the_block(copies: int, seed: int) -> None:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(48, 48)))[0]
    values = np.r_[np.full(copies, 5.0), np.linspace(0.1, 1, 48 - copies)]
    matrix = rotation * values @ rotation.T
    ritz = block_lanczos(lambda vectors: matrix @ vectors, 48, copies + 1)
    np.testing.assert_allclose(ritz.values, [5.0] * copies + [values[-1]], atol=1e-9)


def test_block_lanczos_gives_the_same_bytes_twice() -> None:
    matrix = GRAPHS["path"][0]
    once, again = (block_lanczos(lambda vectors: matrix @ vectors, 120, 5, maximum=40) for _ in range(2))
    assert once.vectors.tobytes() == again.vectors.tobytes()


@pytest.mark.parametrize(("size", "count", "block"), [(20, 20, 8), (30, 12, 8), (20, 16, 16)])
def test_block_lanczos_fills_the_whole_space(size: int, count: int, block: int) -> None:
    factor = np.random.default_rng(0).normal(size=(size, size))
    matrix = factor @ factor.T
    ritz = block_lanczos(lambda vectors: matrix @ vectors, size, count, block=block)
    assert len(ritz.values) == count
    assert ritz.residuals.max() <= 1e-9 * ritz.values[0]


# The coarse space


@law
@given(images(16, 32), st.sampled_from([16, 60, 200, 1000]))
def test_coarse_space_has_its_form(image: np.ndarray, unknowns: int) -> None:
    h, w, _ = image.shape
    prolongation = coarse_space(image, unknowns).functions
    assert prolongation.shape[0] == h * w and prolongation.shape[1] <= unknowns
    assert np.diff(prolongation.indptr).max() <= 16
    np.testing.assert_allclose((prolongation**2).sum(axis=0), 1, atol=1e-12)


def test_coarse_space_keeps_its_limit_on_a_panorama() -> None:
    assert coarse_space(make_image("noise", 16, 400), 200).functions.shape[1] <= 200


@law
@given(images(16, 32), st.sampled_from([16, 60, 200, 1000]), seeds)
def test_coarse_space_holds_constants_and_color_affine_functions(image: np.ndarray, unknowns: int, seed: int) -> None:
    prolongation = coarse_space(image, unknowns).functions.toarray()
    basis = span(prolongation)
    ones = np.ones(len(basis))
    assert np.linalg.norm(ones - basis @ (basis.T @ ones)) < 1e-8

    *c, d = np.random.default_rng(seed).normal(size=4)
    function = (image @ c + d).ravel()
    left_out = np.linalg.norm(function - basis @ (basis.T @ function))
    # Colour directions that hardly vary under a hat have no column: per hat 1e-5 |c|^2 of energy at most, and
    # four hats at a pixel, whose sum has at most four times the sum of their energies.
    hats = sum((column >= 0).all() and column.any() for column in prolongation.T)
    assert left_out <= np.sqrt(4 * 1e-5 * hats * np.dot(c, c)) + 1e-8
    if image.std() > 0.2 and prolongation.shape[1] == 4 * hats:
        assert left_out < 1e-8


def span(vectors: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the columns' span."""
    left, singular, _ = np.linalg.svd(vectors, full_matrices=False)
    return left[:, singular > 1e-9 * singular[0]]


@pytest.mark.parametrize("size", [(16, 16), (21, 34)])
def test_coarse_space_of_a_constant_photo_is_hats_alone(size: tuple[int, int]) -> None:
    prolongation = coarse_space(np.full((*size, 3), 0.4), 200).functions
    assert prolongation.data.min() > 0
    assert prolongation.shape[1] <= 200 / 4
    assert np.linalg.matrix_rank(prolongation.toarray()) == prolongation.shape[1]
    assert np.diff(prolongation.indptr).max() <= 4


@law
@given(
    st.sampled_from(["noise", "smooth"]), st.integers(16, 26), st.integers(16, 26), seeds, st.sampled_from([40, 120])
)
def test_flipping_the_photo_flips_the_coarse_space(kind: str, h: int, w: int, seed: int, unknowns: int) -> None:
    image = make_image(kind, h, w, seed)
    pixels = np.arange(h * w).reshape(h, w)
    basis = span(coarse_space(image, unknowns).functions.toarray())
    for turn in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.swapaxes(0, 1)):
        turned = span(coarse_space(np.ascontiguousarray(turn(image)), unknowns).functions.toarray())
        expected = basis[turn(pixels).ravel()]
        np.testing.assert_allclose(turned @ turned.T, expected @ expected.T, atol=1e-7)


# Galerkin


COARSE = [(20, 24, 96, 12), (24, 24, 144, 20), (16, 32, 128, 5)]  # h, w, unknowns, eigenvectors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("h", "w", "unknowns", "count"), COARSE)
def test_galerkin_obeys_the_min_max_theorem(kind: str, h: int, w: int, unknowns: int, count: int) -> None:
    image = make_image(kind, h, w, seed=5)
    matrix = make_laplacian(image)
    prolongation = coarse_space(image, unknowns).functions
    if prolongation.shape[1] % 16 and prolongation.shape[1] < 6 * count + 160:
        pytest.skip("the basis is not filled: see the tests that are expected to fail")
    values, coefficients = galerkin_eigenpairs(matrix, prolongation, count)
    vectors = prolongation @ coefficients
    assert values.shape == (count,) and (np.diff(values) >= -1e-12).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-7)
    np.testing.assert_allclose(vectors.T @ (matrix @ vectors), np.diag(values), atol=1e-6)
    assert (values - np.linalg.eigvalsh(matrix.toarray())[:count]).min() > -1e-9

    dense = prolongation.toarray()
    basis = span(dense)
    within = np.linalg.eigvalsh(basis.T @ (matrix @ basis))[:count]
    np.testing.assert_allclose(values, within, atol=1e-5)
    if values[-1] > 1e-6:  # zero is among them
        ones = np.ones(len(vectors))
        assert np.linalg.norm(ones - vectors @ (vectors.T @ ones)) < 1e-3 * np.linalg.norm(ones)


@few
@given(st.builds(make_image, st.sampled_from(KINDS), st.just(16), st.just(16), seeds))
def test_galerkin_is_exact_where_the_space_is_everything(image: np.ndarray) -> None:
    matrix = make_laplacian(image)
    values, vectors = galerkin_eigenpairs(matrix, sp.csr_array(sp.eye_array(256)), 16)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix.toarray())[:16], atol=1e-7)
    assert np.linalg.norm(matrix @ vectors - vectors * values, axis=0).max() < 1e-4


@pytest.mark.parametrize("unsorted", [False, True])
@pytest.mark.parametrize("columns", [1, 9, 60])
def test_the_matrices_of_the_space_are_sums_over_its_functions(columns: int, unsorted: bool) -> None:
    rng = np.random.default_rng(0)
    matrix = make_laplacian(make_image("noise", 16, 18, seed=4))
    dense = rng.normal(size=(288, columns)) * (rng.random((288, columns)) < 0.2)
    prolongation = sp.csr_array(dense)
    if unsorted:
        prolongation = prolongation[:, ::-1]
        assert columns == 1 or not prolongation.has_sorted_indices
    stiffness, mass = coarse._in_the_space(matrix, prolongation)
    dense = prolongation.toarray()
    np.testing.assert_allclose(stiffness, dense.T @ (matrix @ dense), atol=1e-12)
    np.testing.assert_allclose(mass, dense.T @ dense, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("h", "w", "unknowns", "count"), COARSE)
def test_a_rough_answer_spans_nearly_what_a_close_one_does(
    kind: str, h: int, w: int, unknowns: int, count: int
) -> None:
    """Single precision and early stopping: more vectors than wanted hold the wanted ones."""
    image = make_image(kind, h, w, seed=5)
    matrix, prolongation = make_laplacian(image), coarse_space(image, unknowns).functions
    wanted = count // 2
    values, close = galerkin_eigenpairs(matrix, prolongation, wanted)
    candidates = min(count, prolongation.shape[1])
    _, rough = coarse.lowest_pairs(*coarse._in_the_space(matrix, prolongation), candidates, roughly=True)
    if len(values) < wanted or candidates <= wanted:
        pytest.skip("the space is no larger than what is wanted")
    basis = span(prolongation @ rough)
    vectors = prolongation @ close
    lost = 1 - np.square(basis.T @ vectors).sum(axis=0)
    assert lost[values < values[-1] - 1e-9].max(initial=0) < 1e-3


@pytest.mark.parametrize(("columns", "count"), [(20, 20), (20, 12), (40, 8), (100, 90)])
def test_galerkin_gives_the_pairs_that_it_was_asked_for(columns: int, count: int) -> None:
    matrix = path(120)[0]
    basis = span(np.random.default_rng(0).normal(size=(120, columns)))
    values, _ = galerkin_eigenpairs(matrix, sp.csr_array(basis), count)
    assert len(values) == count
    np.testing.assert_allclose(values, np.linalg.eigvalsh(basis.T @ (matrix @ basis))[:count], atol=1e-6)


def test_eigenbasis_of_a_mosaic_holds_the_constant() -> None:
    image = np.kron(np.random.default_rng(0).random((12, 12, 3)), np.ones((8, 8, 1)))
    features = np.kron(np.random.default_rng(1).random((12, 12, 3)), np.ones((8, 8, 1)))
    basis = eigenbasis(make_laplacian(image, features), image, SpectrumSettings())
    np.testing.assert_allclose(basis.expand(basis.ones()[:, None]), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "h", "w"),
    [("noise", 16, 16), ("noise", 40, 40), ("noise", 48, 40), ("smooth", 48, 40), ("gray", 40, 40), ("blocks", 40, 40)],
)
def test_eigenbasis_of_a_small_photo_with_the_default_settings(kind: str, h: int, w: int) -> None:
    image = make_image(kind, h, w, seed=1)
    basis = eigenbasis(make_laplacian(image), image, SpectrumSettings())
    vectors = basis.rows(np.arange(h * w))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(vectors.shape[1]), atol=2e-5)
    np.testing.assert_allclose(basis.expand(basis.ones()[:, None]), 1, atol=1e-5)


# Refinement


def smoothed(smoother: smoothing.Smoother, vectors: np.ndarray) -> np.ndarray:
    """The vectors as the smoother takes them, with margins and in blocks of 32, and back."""
    [block] = smoothing.in_blocks(vectors)
    margin = smoother.stencil.margin
    return smoother(np.pad(block, ((margin, margin), (0, 0))))[margin : margin + len(vectors), : vectors.shape[1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 24, 25])
def test_smoothing_is_the_chebyshev_polynomial(kind: str, steps: int) -> None:
    matrix = make_laplacian(make_image(kind, 16, 20, seed=3))
    vectors = np.random.default_rng(0).normal(size=(320, 5)).astype(np.float32)
    smoother = smoothing.Smoother.of(matrix, 20, steps)
    bounds = smoother.largest / max(4.0, smoothing._RANGE * steps**2), smoother.largest
    expected = smooth_reference(matrix.toarray(), 1 / smoother.scale.astype(np.float64), vectors, bounds, steps)
    np.testing.assert_allclose(smoothed(smoother, vectors), expected, atol=2e-5)
    values = np.linalg.eigvals(matrix.toarray() * smoother.scale[:, None]).real
    assert values.max() <= smoother.largest <= 1.5 * values.max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("h", "w", "unknowns", "count"), COARSE)
def test_refined_pairs_are_ritz_pairs_and_above_the_exact_ones(
    kind: str, h: int, w: int, unknowns: int, count: int
) -> None:
    image = make_image(kind, h, w, seed=5)
    matrix = make_laplacian(image)
    prolongation = coarse_space(image, unknowns).functions
    candidates = min(2 * count, prolongation.shape[1] // 2)
    _, coefficients = galerkin_eigenpairs(matrix, prolongation, candidates)
    exact_values, count = np.linalg.eigvalsh(matrix.toarray()), min(count, candidates)
    refined, vectors = refinement.refine(smoothing.Smoother.of(matrix, w, 8), prolongation, coefficients, count)
    assert vectors.shape == (h * w, count) and vectors.dtype == np.float32 and (np.diff(refined) >= 0).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=2e-5)
    np.testing.assert_allclose(vectors.T @ (matrix @ vectors), np.diag(refined), atol=1e-4)
    assert (refined - exact_values[:count]).min() > -1e-5
    constant = vectors[:, refined == 0]
    assert constant.shape[1] == 1 and np.ptp(constant) == 0


@pytest.mark.parametrize(
    (
        "h",
        "w",
        "unknowns",
    ),  # a column for each function; columns shared along one axis; a panorama; nodes 17 and 4 apart
    [(60, 72, 60), (90, 30, 100), (24, 100, 300), (20, 85, 40), (40, 40, 400)],
)
@pytest.mark.parametrize("kind", ["noise", "blocks", "gray"])
def test_functions_that_share_columns_are_smoothed_as_if_alone(kind: str, h: int, w: int, unknowns: int) -> None:
    image = make_image(kind, h, w, seed=3)
    matrix, space = make_laplacian(image), coarse_space(image, unknowns)
    smoother, packing = smoothing.Smoother.of(matrix, w, 5), Packing.of(space, 16)
    steps = packing.reach // 2
    local = smoother.local(steps)
    functions, diagonal = space.functions.toarray(), 1 / local.scale.astype(np.float64)
    expected = smoothed_matrices_reference(matrix.toarray(), w, functions, diagonal, local.bounds, steps)
    squares = np.diag(np.diag(expected[1]))
    ridges = smoothed_space.RIDGES[0] / smoother.scale.mean() * squares, smoothed_space.RIDGES[1] * squares
    for found, known, ridge in zip(smoothed_matrices(smoother, packing), expected, ridges, strict=True):
        np.testing.assert_allclose(found, known + ridge, atol=3e-6)
        np.testing.assert_allclose(found, found.T, atol=3e-6)  # what is read beyond a cell is cut off


@pytest.mark.parametrize(("h", "w", "unknowns"), [(60, 72, 60), (40, 40, 400), (24, 300, 300), (90, 90, 2000)])
def test_a_column_has_one_owner_in_a_cell(h: int, w: int, unknowns: int) -> None:
    """Every function is found again, and wherever it may have spread to, its column is its own."""
    space = coarse_space(make_image("noise", h, w, seed=2), unknowns)
    packing = Packing.of(space, 16)
    columns, dense = packing.matrix.toarray(), space.functions.toarray()
    assert columns.shape[1] <= 144 and packing.reach >= 2
    padded = np.pad(columns, ((0, 0), (0, packing.owners.shape[2] - columns.shape[1])))
    np.testing.assert_allclose(packing.unpacked(np.arange(h * w), padded), dense, atol=1e-6)
    y, x = (np.searchsorted(e, np.arange(n), side="right") - 1 for e, n in ((packing.rows, h), (packing.columns, w)))
    owners = packing.owners[y[:, None], x]
    for function in range(0, dense.shape[1], 7):
        spread = (2 * packing.reach + 1,) * 2
        reached = ndimage.grey_dilation((dense[:, function] != 0).reshape(h, w).astype(np.uint8), spread) > 0
        assert (owners[reached] == function).any(axis=1).all()


def test_blocks_that_are_used_again_change_nothing() -> None:
    matrix, space = make_laplacian(make_image("noise", 60, 72, seed=3)), coarse_space(make_image("noise", 60, 72), 200)
    smoother, packing = smoothing.Smoother.of(matrix, 72, 5), Packing.of(space, 16)
    once, again = (smoothed_matrices(smoother, packing) for _ in range(2))
    assert [part.tobytes() for part in once] == [part.tobytes() for part in again]


def test_far_neighbors_that_repel_do_not_make_the_local_smoothing_explode() -> None:
    image = make_image("blocks", 40, 44, seed=3)
    features = np.where(image > np.median(image), 1.0, -1.0)
    labels = superpixels(image, 60)
    matrix = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels), 1.0)
    smoother = smoothing.Smoother.of(matrix, 44, 12)
    space = coarse_space(image, 100)
    mass = smoothed_matrices(smoother, Packing.of(space, 16))[1]
    assert mass.diagonal().max() < 2


@pytest.mark.parametrize("dots", [2, 3])
@pytest.mark.parametrize("size", [16, 24])
def test_eigenbasis_where_functions_depend_on_each_other(size: int, dots: int) -> None:
    """A few dots on one colour: hats hold more functions than pixels tell apart."""
    rng = np.random.default_rng(0)
    image = np.full((size, size, 3), 0.4)
    for y in range(2, size - 3, 8):
        for x in range(2, size - 3, 8):
            for place in rng.permutation(9)[:dots]:
                image[y + place // 3, x + place % 3] = rng.random(3)
    basis = eigenbasis(make_laplacian(image), image, SpectrumSettings())
    if basis.refined:  # else fewer directions than wanted were left, and the coarse ones are used as they are
        vectors = basis.rows(np.arange(size * size))
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(vectors.shape[1]), atol=1e-4)
    np.testing.assert_allclose(basis.expand(basis.ones()[:, None]), 1, atol=1e-3)


def test_candidates_are_ranked_by_what_they_cost_when_they_are_smooth() -> None:
    """Where one half is noise, a few candidates then hold more of the exact eigenvectors than by the rough energies."""
    image = make_image("smooth", 56, 56, seed=10)
    image[:, :28] = make_image("noise", 56, 28, seed=0)
    matrix, space = make_laplacian(image), coarse_space(image, 100)
    exact_vectors = np.linalg.eigh(matrix.toarray())[1][:, :20]
    smoother = smoothing.Smoother.of(matrix, 56, 8)

    def missing(coefficients: np.ndarray) -> float:
        _, vectors = refinement.refine(smoother, space.functions, coefficients, 20)
        return 20 - float(np.square(exact_vectors.T @ vectors).sum())

    rough = missing(galerkin_eigenpairs(matrix, space.functions, 24)[1])
    assert (
        missing(coarse.lowest_pairs(*smoothed_matrices(smoother, Packing.of(space, 16)), 24, roughly=True)[1])
        < 0.6 * rough
    )


def test_refinement_gains_most_of_what_the_coarse_space_lacks() -> None:
    """Half of the excess energy at least, on a photo with texture finer than the nodes."""
    image = make_image("noise", 40, 40, seed=1)
    matrix = make_laplacian(image)
    exact_values = np.linalg.eigvalsh(matrix.toarray())[:20]

    def excess(steps: int) -> float:
        settings = SpectrumSettings(count=20, coarse_unknowns=400, candidates=60, smoothing_steps=steps)
        return float((eigenbasis(matrix, image, settings).values - exact_values).sum())

    assert excess(8) < 0.5 * excess(0)
    assert excess(8) < excess(2) < excess(0)


def test_a_lone_pixel_that_repels_others_does_not_make_the_smoothing_explode() -> None:
    """Hardly tied to its neighbours, and the centroid of a superpixel unlike those around it."""
    ties = {(i, i + 1): 1e-3 if 200 in (i, i + 1) else 1.0 for i in range(399)}
    ties |= {(200, j): -0.01 for j in (180, 185, 190, 210, 215, 220)}
    (one, two), weights = np.array(list(ties)).T, np.array(list(ties.values()))
    half = sp.coo_array((weights, (one, two)), shape=(400, 400)).tocsr()
    affinity = half + half.T
    matrix = sp.csr_array(sp.diags_array(affinity.sum(axis=1)) - affinity)
    assert matrix[200, 200] < 0
    vectors = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    largest = np.abs(smoothed(smoothing.Smoother.of(matrix, 20, 12), vectors)).max()
    assert largest < 100 * np.abs(vectors).max()  # measured: 15; with a hundredth of the mean as the least, 1e9


def test_without_enough_independent_vectors_the_coarse_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def few_pairs(*_: object) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(3), np.zeros((576, 3), np.float32)

    monkeypatch.setattr(sys.modules["softseg.spectrum.eigenbasis"], "refine", few_pairs)
    basis, _ = make_basis("fast")()
    assert basis.prolongation is not None and len(basis.values) == 16


def test_a_large_photo_keeps_its_coarse_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["softseg.spectrum.eigenbasis"], "_LARGEST_REFINED", 24 * 24 - 1)
    basis, _ = make_basis("fast")()
    assert basis.prolongation is not None and basis.statistics["candidates"] == 16


# The basis as it is used


def make_basis(solver: str) -> Callable[[], tuple[Eigenbasis, int]]:
    def make() -> tuple[Eigenbasis, int]:
        image = make_image("noise", 24, 24, seed=2)
        settings = SpectrumSettings(count=16, solver=solver, coarse_unknowns=144)  # type: ignore[arg-type]
        return eigenbasis(make_laplacian(image), image, settings), 576

    return make


@pytest.mark.parametrize("make", [make_basis("fast"), make_basis("exact")], ids=["fast", "exact"])
def test_eigenbasis_is_one_matrix_however_it_is_kept(make: Callable[[], tuple[Eigenbasis, int]]) -> None:
    basis, size = make()
    vectors = basis.rows(np.arange(size))
    assert vectors.shape == (size, 16) and basis.values.shape == (16,)
    pixels = np.array([5, 5, 0, size - 1])
    np.testing.assert_allclose(basis.rows(pixels), vectors[pixels], atol=1e-14)
    mixture = np.random.default_rng(0).normal(size=(16, 3))
    single = basis.coefficients.dtype == np.float32
    np.testing.assert_allclose(basis.expand(mixture), vectors @ mixture, atol=1e-6 if single else 1e-13)
    combined = basis.combine(mixture.T)
    assert combined.dtype == np.float64 and combined.flags.c_contiguous
    np.testing.assert_allclose(combined, basis.expand(mixture).T, atol=1e-6 if single else 0)
    np.testing.assert_allclose(basis.ones(), vectors.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(basis.expand(basis.ones()[:, None]), 1, atol=1e-4)


def test_memory_is_that_of_the_candidates_and_the_eigenvectors() -> None:
    """What else is as large as the photo is given back before: 1430 bytes a pixel when it was kept, now 1280."""
    image = make_image("smooth", 200, 300, seed=1)
    matrix, settings = make_laplacian(image), SpectrumSettings(coarse_unknowns=500, smoothing_steps=4)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # each has a block of its own
    try:
        eigenbasis(matrix, image, settings)  # whatever is loaded once
        tracemalloc.start()
        basis = eigenbasis(matrix, image, settings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        torch.set_num_threads(threads)
    assert basis.statistics["candidates"] == 128 and len(basis.values) == 100
    assert peak < 1350 * 200 * 300
