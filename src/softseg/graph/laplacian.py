"""The graph Laplacian of the three affinities together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from softseg.checks import for_kernel
from softseg.errors import InputError

_ROWS = 16_384  # of a strip: long enough that starting it takes no time, short enough for every thread to have some


def laplacian(
    matting: sp.csr_array,
    semantic: sp.csr_array,
    color: sp.csr_array,
    semantic_weight: float = 0.01,
    color_weight: float = 0.01,
) -> sp.csr_array:
    """Unnormalised Laplacian of the combined affinity.

    ``L = diag(W 1) - W`` with ``W = matting + semantic_weight * semantic + color_weight * color``.

    Parameters
    ----------
    matting, semantic, color : (N, N) symmetric sparse affinities.
    semantic_weight, color_weight : sigma_S and sigma_C of the paper, 0.01 each.

    Returns
    -------
    (N, N) symmetric CSR array of float64 with ``L 1 = 0``. It is *not* positive semidefinite: semantic affinities are
    negative between unlike regions.

    Raises
    ------
    InputError : the affinities are not square and of one size.

    Notes
    -----
    Source: Aksoy et al. 2018, Eq. (1) and Sec. 3.4.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> W = sp.csr_array([[0.0, 1.0], [1.0, 0.0]])
    >>> laplacian(W, 0 * W, 0 * W).toarray().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    shapes = {tuple(a.shape) for a in (matting, semantic, color)}
    if len(shapes) != 1 or len({n for shape in shapes for n in shape}) != 1:
        raise InputError(
            f"The affinities have the shapes {matting.shape}, {semantic.shape} and {color.shape}; "
            "all three must be (N, N) for the same N pixels: build them from one photo."
        )
    long_range = semantic_weight * sp.csr_array(semantic) + color_weight * sp.csr_array(color)
    return _merged(_canonical(matting), _canonical(long_range))


def _canonical(matrix: sp.csr_array) -> sp.csr_array:
    """The same as float64 with indices of 32 bits, the columns of each row ascending, each only once."""
    csr = sp.csr_array(matrix, dtype=np.float64)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    indices, starts = for_kernel(csr.indices, np.int32), for_kernel(csr.indptr, np.int32)
    return sp.csr_array((for_kernel(csr.data, np.float64), indices, starts), shape=csr.shape)


def _merged(first: sp.csr_array, second: sp.csr_array) -> sp.csr_array:
    """The Laplacian of the sum of two affinities, strips of rows on all threads."""
    from softseg.graph.laplacian_kernel import count_kernel, merge_kernel  # brings the compiler along

    size = first.shape[0]
    a, b = (first.indptr, first.indices, first.data), (second.indptr, second.indices, second.data)
    lengths = np.empty(size, np.int64)
    _in_strips(size, count_kernel(), *a[:2], *b[:2], lengths)
    if lengths.sum() > np.iinfo(np.int32).max:
        raise InputError(f"The Laplacian would have {lengths.sum()} entries, at most 2^31 fit; reduce the photo.")
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns, entries = np.empty(starts[-1], np.int32), np.empty(starts[-1])
    _in_strips(size, merge_kernel(), *a, *b, starts, columns, entries)
    result = sp.csr_array((entries, columns, starts), shape=first.shape)
    result.has_canonical_format = True
    return result


def _in_strips(size: int, work: Callable[..., None], *arguments: np.ndarray) -> None:
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(work, row, min(size, row + _ROWS), *arguments) for row in range(0, size, _ROWS)]:
            done.result()
