"""The compiled merge of affinities to their Laplacian, against dense arithmetic."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.graph.laplacian import _in_strips
from tests.laws.examples import make_image


def random_affinity(size: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """Symmetric, entries of both signs, some on the diagonal, empty rows."""
    upper = np.triu(rng.normal(size=(size, size)) * (rng.random((size, size)) < density))
    return upper + np.triu(upper, 1).T


def expected_laplacian(*weighted: np.ndarray) -> np.ndarray:
    affinity = sum(weighted)
    np.fill_diagonal(affinity, 0)
    return np.diag(affinity.sum(axis=1)) - affinity


@pytest.mark.parametrize("size", [1, 2, 7, 40])
@pytest.mark.parametrize("densities", [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.0, 0.1, 0.3), (0.2, 0.2, 0.2), (1, 1, 1)])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_laplacian_is_that_of_dense_matrices(size: int, densities: tuple[float, ...], index: type) -> None:
    rng = np.random.default_rng(size)
    dense = [random_affinity(size, density, rng) for density in densities]
    sparse = []
    for matrix in map(sp.csr_array, dense):
        parts = matrix.data, matrix.indices.astype(index), matrix.indptr.astype(index)
        sparse.append(sp.csr_array(parts, shape=matrix.shape))
    matrix = laplacian(*sparse, 0.5, 0.25)
    np.testing.assert_allclose(
        matrix.toarray(), expected_laplacian(dense[0], 0.5 * dense[1], 0.25 * dense[2]), rtol=0, atol=1e-13
    )
    assert matrix.has_canonical_format
    rows = np.split(matrix.indices, matrix.indptr[1:-1])
    assert all((np.diff(row) > 0).all() and i in row for i, row in enumerate(rows))  # every diagonal entry is stored


def test_unsorted_and_doubled_entries_are_taken_and_left_as_they_were() -> None:
    entries, columns, starts = np.array([1.0, 2.0, 3.0, 4.0, 6.0]), np.array([2, 1, 1, 2, 0]), np.array([0, 3, 3, 5])
    nothing = sp.csr_array((3, 3))
    odd = sp.csr_array((entries, columns, starts), shape=(3, 3))
    matrix = laplacian(odd, nothing, nothing)
    np.testing.assert_allclose(matrix.toarray(), [[6, -5, -1], [0, 0, 0], [-6, 0, 6]])
    np.testing.assert_array_equal(odd.indices, [2, 1, 1, 2, 0])
    assert odd.nnz == 5


def photo_affinities(h: int, w: int) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    image = make_image("smooth", h, w)
    labels = superpixels(image, 200)
    return matting_affinity(image), semantic_affinity(image[::-1], labels), color_affinity(image, labels)


def test_threads_do_not_change_a_bit() -> None:
    affinities = photo_affinities(150, 140)  # two strips
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            matrix = laplacian(*affinities)
            found.append([part.tobytes() for part in (matrix.data, matrix.indices, matrix.indptr)])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_memory_is_that_of_the_result() -> None:
    affinities = photo_affinities(150, 140)
    laplacian(*affinities)  # loads or compiles the kernel
    tracemalloc.start()
    matrix = laplacian(*affinities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * (matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)


def test_what_goes_wrong_in_a_thread_is_raised() -> None:
    def fail(first: int, last: int) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        _in_strips(3, fail)
