"""The matting affinity (Levin, Lischinski, Weiss 2008): over a small window, alpha is affine in the colour."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from softseg.images import check_image

# Row-major offsets (dy, dx) of the half stencil: the pixel itself and the 12 neighbours after it within a 5 x 5 square.
HALF_STENCIL: tuple[tuple[int, int], ...] = (
    *((0, dx) for dx in (0, 1, 2)),
    *((dy, dx) for dy in (1, 2) for dx in (-2, -1, 0, 1, 2)),
)
_WINDOW = tuple((y, x) for y in range(3) for x in range(3))


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
    ImageError : the array is not a finite (h, w, 3) image in [0, 1], or is smaller than one window.

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
    pixels = torch.from_numpy(check_image(image, minimum_side=3).astype(np.float64))
    return bands_to_csr(matting_bands(pixels, epsilon).numpy())


def matting_bands(image: torch.Tensor, epsilon: float = 1e-7) -> torch.Tensor:
    """Matting affinity as (13, h, w) bands: entry ``[o, y, x]`` joins (y, x) with (y, x) + HALF_STENCIL[o].

    Work and memory are linear in the number of pixels; nothing is sorted. `image` is (h, w, 3) float64, on any device.
    """
    h, w, _ = image.shape
    whitened = _whitened_window_colors(image, epsilon)
    bands = image.new_zeros(len(HALF_STENCIL), h, w)
    for a, (ya, xa) in enumerate(_WINDOW):
        for b in range(a, 9):
            yb, xb = _WINDOW[b]
            band = bands[HALF_STENCIL.index((yb - ya, xb - xa))]
            band[ya : ya + h - 2, xa : xa + w - 2] += ((whitened[a] * whitened[b]).sum(0) + 1) / 9
    return bands


def _whitened_window_colors(image: torch.Tensor, epsilon: float) -> torch.Tensor:
    """(9, 3, h-2, w-2): C_k^-1 (I_a - mu_k) for each pixel a of each window k, with Sigma_k + epsilon/9 Id = C_k C_k^T.

    The Cholesky factor is written out: an explicit inverse of these nearly singular 3 x 3 matrices loses the digits
    that the affinity needs (condition numbers reach 1e7 where the image is flat).
    """
    h, w, _ = image.shape
    planes = image.permute(2, 0, 1)
    colors = torch.stack([planes[:, y : y + h - 2, x : x + w - 2] for y, x in _WINDOW])
    centered = colors - colors.mean(0)

    def covariance(i: int, j: int) -> torch.Tensor:
        return (centered[:, i] * centered[:, j]).mean(0) + (epsilon / 9 if i == j else 0)

    c00 = covariance(0, 0).sqrt()
    c10 = covariance(1, 0) / c00
    c20 = covariance(2, 0) / c00
    c11 = (covariance(1, 1) - c10**2).clamp_min(epsilon / 9).sqrt()
    c21 = (covariance(2, 1) - c20 * c10) / c11
    c22 = (covariance(2, 2) - c20**2 - c21**2).clamp_min(epsilon / 9).sqrt()
    r = centered[:, 0] / c00
    g = (centered[:, 1] - c10 * r) / c11
    b = (centered[:, 2] - c20 * r - c21 * g) / c22
    return torch.stack([r, g, b], dim=1)


def bands_to_csr(bands: np.ndarray) -> sp.csr_array:
    """Symmetric (N, N) CSR array from its (13, h, w) half-stencil bands, columns sorted, without any sorting."""
    _, h, w = bands.shape
    stencil = sorted({*HALF_STENCIL, *((-dy, -dx) for dy, dx in HALF_STENCIL)})
    data = np.zeros((h, w, len(stencil)))
    inside = np.zeros((h, w, len(stencil)), dtype=bool)
    for column, (dy, dx) in enumerate(stencil):
        here, there = _overlap(h, w, dy, dx)
        inside[(*here, column)] = True
        if (dy, dx) in HALF_STENCIL:
            data[(*here, column)] = bands[HALF_STENCIL.index((dy, dx))][here]
        else:
            data[(*here, column)] = bands[HALF_STENCIL.index((-dy, -dx))][there]
    step = np.array([dy * w + dx for dy, dx in stencil], dtype=np.int32)
    columns = np.arange(h * w, dtype=np.int32).reshape(h, w, 1) + step
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=2).ravel())]).astype(np.int32)
    matrix = sp.csr_array((data[inside], columns[inside], starts), shape=(h * w, h * w))
    matrix.has_sorted_indices = True
    return matrix


def _overlap(h: int, w: int, dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the pixels whose neighbour at (dy, dx) is inside the image, and of those neighbours."""
    here = (slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx)))
    there = (slice(max(0, dy), h - max(0, -dy)), slice(max(0, dx), w - max(0, -dx)))
    return here, there
