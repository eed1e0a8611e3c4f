"""The Laplacian on a device against the matrix that it stands for, and the compiled form of it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from softseg.errors import InputError
from softseg.graph import device_stencil
from softseg.graph.device_stencil import DeviceStencil
from softseg.graph.stencil import Stencil
from tests.laws.examples import make_image, make_laplacian

HERE = torch.device("cpu")
SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (4, 7), (9, 3), (12, 11)]


def make_matrix(size: int) -> tuple[sp.csr_array, np.ndarray]:
    """Symmetric, with entries everywhere: most are far ones."""
    rng = np.random.default_rng(size)
    dense = rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.5)
    dense += dense.T
    return sp.csr_array(dense), dense


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_product_is_that_of_the_matrix(
    shape: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_stencil, "_ROWS", 7)  # more than one strip
    matrix, dense = make_matrix(shape[0] * shape[1])
    stencil = DeviceStencil.of(matrix, shape[1], HERE, dtype)
    vectors = np.random.default_rng(1).normal(size=(3, len(dense)))
    planes = stencil.padded(torch.from_numpy(vectors).to(dtype))
    product = stencil.product(planes)
    assert product.dtype == dtype and (stencil.far.diff() > 0).all()
    tolerance = 1e-12 if dtype == torch.float64 else 3e-5  # 132 terms of single precision, each some units large
    np.testing.assert_allclose(product, vectors @ dense, atol=tolerance)
    rows = torch.from_numpy(np.random.default_rng(2).random(len(dense))).to(dtype)
    expected = vectors @ (rows.numpy()[:, None] * dense + 0.5 * np.eye(len(dense))).T
    np.testing.assert_allclose(stencil.scaled(rows, 0.5).product(planes), expected, atol=tolerance)
    stencil.add_product(planes, product, -1.0)
    np.testing.assert_allclose(product, 0, atol=tolerance)


def test_a_photos_laplacian_is_taken_apart_as_by_the_compiled_kernels() -> None:
    matrix = make_laplacian(make_image("noise", 40, 44, seed=3))
    ours, compiled = DeviceStencil.of(matrix, 44, HERE), Stencil.of(matrix, 44)
    np.testing.assert_array_equal(ours.near, compiled.near.T)
    np.testing.assert_array_equal(ours.far, compiled.far)
    np.testing.assert_array_equal(ours.among, compiled._far_matrix().toarray())
    # sums of one row, in another order
    np.testing.assert_allclose(ours.far_part(), compiled.far_part().toarray(), atol=1e-6)
    np.testing.assert_allclose(ours.without_far().near, compiled.without_far().near.T, atol=1e-6)
    assert not len(ours.without_far().far)


def test_a_matrix_that_is_read_only_or_names_a_place_twice() -> None:
    rows, columns, entries = [0, 1, 1, 0, 0, 2], [1, 0, 0, 1, 0, 2], [1.0, 2, 3, 4, 5, 6]
    places = sp.coo_array((entries, (rows, columns)), shape=(6, 6))
    twice = sp.csr_array((np.array(entries), np.array([1, 1, 0, 0, 0, 2]), np.array([0, 3, 5, 6, 6, 6, 6])), (6, 6))
    for part in (twice.data, twice.indices, twice.indptr):
        part.flags.writeable = False
    twice_dense = np.zeros((6, 6))
    np.add.at(twice_dense, ([0, 0, 0, 1, 1, 2], twice.indices), entries)
    for matrix, dense in ((sp.csr_array(places), places.toarray()), (twice, twice_dense)):
        stencil = DeviceStencil.of(matrix, 3, HERE, torch.float64)
        np.testing.assert_array_equal(stencil.product(stencil.padded(torch.eye(6, dtype=torch.float64))), dense.T)
    assert twice.nnz == 6  # what was given is left as it was


def test_a_matrix_of_another_photo_is_refused() -> None:
    with pytest.raises(InputError, match="7 pixels a row"):
        DeviceStencil.of(sp.csr_array((20, 20)), 7, HERE)
