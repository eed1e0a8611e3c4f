"""A Laplacian taken apart into neighbours and far entries is the same matrix, and its kernels multiply by it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from softseg.errors import InputError
from softseg.graph.stencil import COLUMNS, Stencil, zero_block
from softseg.graph.stencil_kernel import product_kernel, rows_kernel, twice_kernel
from tests.laws.examples import make_image, make_laplacian

SIZES = [(3, 3), (3, 40), (40, 3), (5, 4), (16, 17), (24, 31), (70, 5)]


def matrix_of(h: int, w: int, far: int, seed: int = 0) -> sp.csr_array:
    """A symmetric matrix over h x w pixels: a photo's matting Laplacian and some entries between any two pixels."""
    matrix = make_laplacian(make_image("noise", h, w, seed))
    rng = np.random.default_rng(seed)
    one, two = rng.integers(h * w, size=(2, far))
    extra = sp.coo_array((rng.normal(size=far), (one, two)), shape=matrix.shape).tocsr()
    return sp.csr_array(matrix + extra + extra.T)


def multiply(stencil: Stencil, vectors: np.ndarray, rows: slice, keep: float = 0.0) -> np.ndarray:
    """keep + A V - V / 2 for the given rows, V in a block with margins."""
    block = np.pad(vectors, ((stencil.margin, stencil.margin), (0, 0)))
    out = np.ones((rows.stop - rows.start, COLUMNS), np.float32)
    factors = np.array([keep, 1, -0.5], np.float32)
    operator = stencil.width, stencil.near, stencil.far, stencil.starts, stencil.columns, stencil.entries
    product_kernel()(*operator, np.ones(len(vectors), np.float32), *factors, block, out, rows.start, rows.stop)
    return out


@pytest.mark.parametrize("far", [0, 1, 60])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_products_are_those_of_the_matrix(h: int, w: int, far: int) -> None:
    matrix = matrix_of(h, w, far)
    stencil = Stencil.of(matrix, w)
    vectors = np.random.default_rng(1).normal(size=(h * w, COLUMNS)).astype(np.float32)
    product = multiply(stencil, vectors, slice(0, h * w), keep=0.25)
    scale = abs(matrix).sum(axis=1).max()
    np.testing.assert_allclose(product, 0.25 + matrix @ vectors - vectors / 2, atol=1e-5 * scale)


@pytest.mark.parametrize("far", [0, 1, 60])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_two_products_in_one_pass_are_those_of_the_matrix(h: int, w: int, far: int) -> None:
    matrix = matrix_of(h, w, far)
    stencil = Stencil.of(matrix, w)
    rng = np.random.default_rng(4)
    vectors, others = rng.normal(size=(2, h * w, COLUMNS)).astype(np.float32)
    scale = rng.uniform(0.5, 1, h * w).astype(np.float32)
    gain, shift, factor, stay, keep = np.array([-1 / abs(matrix).sum(axis=1).max(), 0.5, 4, -2, -0.75], np.float32)
    operator = stencil.width, stencil.near, stencil.far, stencil.starts, stencil.columns, stencil.entries, scale
    block, out = np.pad(vectors, ((stencil.margin, stencil.margin), (0, 0))), others.copy()
    twice_kernel()(*operator, gain, shift, factor, stay, keep, block, out)
    once = gain * scale[:, None] * (matrix @ vectors) + shift * vectors
    expected = factor * (gain * scale[:, None] * (matrix @ once) + shift * once) + stay * vectors + keep * others
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blocks_begin_with_a_line_of_the_cache() -> None:
    for rows in (1, 7, 1000):
        block = zero_block(rows)
        assert block.shape == (rows, COLUMNS) and block.dtype == np.float32 and not block.any()
        assert block.ctypes.data % 64 == 0 and block.flags.c_contiguous


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_a_strip_has_the_bytes_of_the_whole(h: int, w: int) -> None:
    stencil = Stencil.of(matrix_of(h, w, 30), w)
    vectors = np.random.default_rng(2).normal(size=(h * w, COLUMNS)).astype(np.float32)
    whole = multiply(stencil, vectors, slice(0, h * w))
    middle = slice(h * w // 3, 2 * h * w // 3)
    np.testing.assert_array_equal(multiply(stencil, vectors, middle), whole[middle])


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_neighbours_and_far_entries_are_the_matrix(h: int, w: int) -> None:
    matrix = matrix_of(h, w, 60)
    stencil = Stencil.of(matrix, w)
    dense = np.zeros((h, w, h, w))
    for place, weights in enumerate(stencil.near.reshape(h, w, 25).transpose(2, 0, 1)):
        dy, dx = place // 5 - 2, place % 5 - 2
        for y, x in np.argwhere(weights):
            dense[y, x, y + dy, x + dx] += weights[y, x]  # an entry outside of the photo would be an error
    dense = dense.reshape(h * w, h * w)
    far = sp.csr_array((stencil.entries, stencil.columns, stencil.starts), shape=(len(stencil.far),) * 2)
    dense[np.ix_(stencil.far, stencil.far)] += far.toarray()
    np.testing.assert_allclose(dense, matrix.toarray(), atol=1e-6 * abs(matrix).max())
    (y, x), (other_y, other_x) = (np.divmod(places, w) for places in matrix.nonzero())
    assert len(far.data) == ((abs(y - other_y) > 2) | (abs(x - other_x) > 2)).sum()


def test_a_matrix_of_another_photo_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(12, 12\) does not belong to a photo of 5 pixels a row"):
        Stencil.of(sp.csr_array((12, 12)), 5)


@pytest.mark.parametrize("columns", [1, 4, 7, 40])
def test_rows_of_a_sparse_matrix_are_summed(columns: int) -> None:
    rng = np.random.default_rng(3)
    matrix = sp.random_array((50, columns), density=0.3, rng=rng, dtype=np.float32).tocsr()
    block = rng.normal(size=(columns, COLUMNS)).astype(np.float32)
    out = np.full((50, COLUMNS), np.nan, np.float32)
    rows_kernel()(matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data, block, out)
    np.testing.assert_allclose(out, matrix @ block, atol=1e-5)


@pytest.mark.parametrize("far", [0, 1, 60])
def test_near_and_far_part_are_the_whole_and_each_keeps_constants(far: int) -> None:
    matrix = matrix_of(16, 17, far)
    matrix = sp.csr_array(matrix - sp.diags_array(matrix.sum(axis=1)))  # rows of sum zero, as a Laplacian's
    stencil = Stencil.of(matrix, 17)
    near, rest = stencil.without_far(), stencil.far_part()
    assert len(near.far) == 0 and rest.shape == (len(stencil.far),) * 2
    vectors = np.random.default_rng(2).normal(size=(16 * 17, COLUMNS)).astype(np.float32)
    scale = abs(matrix).sum(axis=1).max()
    product = multiply(near, vectors, slice(0, 16 * 17)) + vectors / 2
    product[stencil.far] += rest @ vectors[stencil.far]
    np.testing.assert_allclose(product, matrix @ vectors, atol=1e-5 * scale)
    ones = np.ones_like(vectors)
    np.testing.assert_allclose(multiply(near, ones, slice(0, 16 * 17)), -0.5, atol=1e-5 * scale)
    np.testing.assert_allclose(rest.sum(axis=1), 0, atol=1e-5 * scale)
    np.testing.assert_array_equal(near.diagonal[:3], near.near[:3, 12])
