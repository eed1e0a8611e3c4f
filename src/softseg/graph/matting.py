"""The matting affinity (Levin, Lischinski, Weiss 2008): over a small window, alpha is affine in the colour."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch

from softseg.checks import for_kernel
from softseg.errors import ImageError
from softseg.images import check_image

_COLUMNS = 256  # of a rectangle, at most: more would not stay in the cache
_ROWS = 64  # of a rectangle: few enough for every thread to have some, and the two rows above are computed twice


def matting_affinity(image: np.ndarray, epsilon: float = 1e-7) -> sp.csr_array:
    """Affinity of every two pixels that share a 3 x 3 window, from how well one colour line explains the window.

    ``W(i, j) = sum_k (1 + (I_i - mu_k)^T (Sigma_k + epsilon/9 Id)^-1 (I_j - mu_k)) / 9`` over all windows ``k`` inside
    the image that hold both ``i`` and ``j``. Some entries are negative; ``diag(W 1) - W`` is positive semidefinite.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], sRGB as stored; h, w >= 3.
    epsilon : regularisation of the colour covariance, in squared colour units; the paper uses 1e-7.

    Returns
    -------
    (N, N) symmetric CSR array of float64, N = h * w, pixels in row-major order, 25 entries in an interior row.

    Raises
    ------
    ImageError : the array is not a finite (h, w, 3) image in [0, 1], is smaller than one window, or has more pixels
        than the entries of a matrix with indices of 32 bits can belong to.

    Notes
    -----
    Source: Levin et al. 2008, Eq. (12). The same in dense form is ``tests/reference/dense.py``.

    Examples
    --------
    >>> import numpy as np
    >>> W = matting_affinity(np.zeros((3, 3, 3)))
    >>> bool(np.allclose(W.toarray(), 1 / 9))
    True
    """
    pixels = check_image(image, minimum_side=3)
    h, w, _ = pixels.shape
    if 25 * h * w > np.iinfo(np.int32).max:
        raise ImageError(f"the image has {w} x {h} pixels, expected at most 85 million; reduce it")
    starts = _row_starts(h, w)
    columns, entries = np.empty(starts[-1], np.int32), np.empty(starts[-1])
    _fill(for_kernel(np.moveaxis(pixels, 2, 0), np.float64), epsilon, starts, columns, entries)
    matrix = sp.csr_array((entries, columns, starts), shape=(h * w, h * w))
    matrix.has_canonical_format = True
    return matrix


def _row_starts(h: int, w: int) -> np.ndarray:
    """(N + 1,) int32 places at which the CSR rows start: the stencil is cut off at the borders."""
    down, across = (np.minimum(k, 2) + np.minimum(k[::-1], 2) + 1 for k in (np.arange(h), np.arange(w)))
    return np.concatenate([[0], np.cumsum(np.outer(down, across))]).astype(np.int32)


def _fill(planes: np.ndarray, epsilon: float, starts: np.ndarray, columns: np.ndarray, entries: np.ndarray) -> None:
    """The entries of the CSR array, rectangle by rectangle, on all threads."""
    from softseg.graph.matting_kernel import Rows, affinity_kernel  # brings the compiler along

    _, h, w = planes.shape
    compute = affinity_kernel()

    def work(top: int, left: int) -> None:
        lines, sides = (top, min(h, top + _ROWS)), (left, min(w, left + _COLUMNS))
        compute(planes, epsilon / 9, lines, sides, Rows.zeros(sides[1] - left + 4), starts, columns, entries)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(work, *corner) for corner in product(range(0, h, _ROWS), range(0, w, _COLUMNS))]:
            done.result()
