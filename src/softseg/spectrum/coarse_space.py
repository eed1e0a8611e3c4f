"""A small space that holds the Laplacian's smooth eigenvectors: colour-affine functions under overlapping hats."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

_FLAT = 1e-5  # weighted sum of squared colour deviations under a hat, below which a colour direction says nothing
_CLOSEST = 4.0  # pixels between nodes; closer hats would hold more functions than there are pixels to tell them apart


def coarse_space(image: np.ndarray, unknowns: int) -> sp.csr_array:
    """Prolongation P from about `unknowns` coefficients to the N pixels.

    The matting Laplacian is nearly zero on functions that are affine in colour over a small window, so its low
    eigenvectors are locally ``a + b . I``. P spans, for every node of a regular grid, ``hat(p) * {1, r, g, b}`` with
    the bilinear hat function of the node: a partition of unity. Because the hats overlap, the sum of locally affine
    pieces has no jumps. Jumps are what spoils the piecewise space on blocks of b x b pixels: it comes as near to the
    eigenvectors, but its own eigenvectors are spoilt by the energy of the block borders (docs/method.md, Coarse space).

    Parameters
    ----------
    image : (h, w, 3) float64 array in [0, 1].
    unknowns : upper limit for the number of columns.

    Returns
    -------
    (N, n) CSR array, n <= unknowns, up to 16 entries a row. Every column has unit length; the colours under a hat are
    centred and decorrelated, and directions in which they do not vary have no column. The constant vector is in the
    span.
    """
    h, w, _ = image.shape
    spacing = max(_CLOSEST, np.sqrt(4 * h * w / unknowns))
    down, across = max(2, int(h / spacing)), max(2, int(w / spacing))
    down, across = min(down, max(2, unknowns // 4 // across)), min(across, max(2, unknowns // 4 // down))  # panoramas
    rows_of, columns_of = _hats(h, down), _hats(w, across)
    pixel, node, weight = _tensor_product(rows_of, columns_of, h, w)
    return _orthonormal_colors(image.reshape(-1, 3), pixel, node, weight)


def _hats(length: int, nodes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First of the two nodes around each of `length` positions, the share of the second, and the number of nodes.

    Nodes sit at the centres of equal cells; outside the outermost nodes their hats stay at one.
    """
    position = (np.arange(length) + 0.5) / length * nodes - 0.5
    first = np.clip(np.floor(position).astype(np.int64), 0, nodes - 2)
    return first, np.clip(position - first, 0, 1), nodes


def _tensor_product(
    rows_of: tuple[np.ndarray, np.ndarray, int], columns_of: tuple[np.ndarray, np.ndarray, int], h: int, w: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pixel, node, weight) triplets of the bilinear hats, zeros left out, ordered by pixel."""
    (y, ty, _), (x, tx, across) = rows_of, columns_of
    corners = [(dy, dx) for dy in (0, 1) for dx in (0, 1)]
    node = np.stack([(y[:, None] + dy) * across + x + dx for dy, dx in corners], axis=2)
    weight = np.stack([np.abs(1 - dy - ty)[:, None] * np.abs(1 - dx - tx) for dy, dx in corners], axis=2)
    inside = weight > 0
    pixel = np.broadcast_to(np.arange(h * w).reshape(h, w, 1), inside.shape)
    return pixel[inside], node[inside], weight[inside]


def _orthonormal_colors(colors: np.ndarray, pixel: np.ndarray, node: np.ndarray, weight: np.ndarray) -> sp.csr_array:
    """P from the hats: per node the hat itself, and the hat times each principal direction of the colours under it."""
    mass = np.bincount(node, weight)
    mean = np.column_stack([np.bincount(node, weight * colors[pixel, c]) / mass for c in range(3)])
    deviation = (colors[pixel] - mean[node]) * weight[:, None]
    second = np.empty((len(mass), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            second[:, i, j] = second[:, j, i] = np.bincount(node, deviation[:, i] * deviation[:, j])
    variance, directions = np.linalg.eigh(second)
    varies = variance > _FLAT
    scale = np.where(varies, 1 / np.sqrt(np.maximum(variance, _FLAT)), 0)
    constant = weight / np.sqrt(np.bincount(node, weight**2))[node]
    affine = np.einsum("ec,ecd->ed", deviation, directions[node]) * scale[node]

    present = np.column_stack([np.ones(len(mass), dtype=bool), varies])
    column = (np.cumsum(present) - 1).reshape(present.shape)
    entry = present[node]
    values = np.column_stack([constant, affine])[entry]
    starts = np.concatenate([[0], np.cumsum(np.bincount(pixel, weights=entry.sum(axis=1)))]).astype(np.int64)
    return sp.csr_array((values, column[node][entry], starts), shape=(pixel[-1] + 1, int(present.sum())))
