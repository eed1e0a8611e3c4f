"""A small space that holds the Laplacian's smooth eigenvectors: colour-affine functions under overlapping hats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from softseg.checks import for_kernel

_FLAT = 1e-5  # weighted sum of squared colour deviations under a hat, below which a colour direction says nothing
_CLOSEST = 4.0  # pixels between nodes; closer hats would hold more functions than there are pixels to tell them apart
FUNCTIONS = 4  # of a node, at most: its hat, and that times each direction of the colours


@dataclass(frozen=True, eq=False)
class CoarseSpace:
    """Functions of the pixels of a photo, each at a node of a regular grid, zero from the next nodes on.

    functions : (N, n) the prolongation P, sparse: one column for each.
    shape : height and width of the photo.
    grid : nodes along them, at the centres of equal parts.
    slots : (n,) ``4 node + kind`` of each function, ascending, nodes in row-major order.
    """

    functions: sp.csr_array
    shape: tuple[int, int]
    grid: tuple[int, int]
    slots: np.ndarray


def coarse_space(image: np.ndarray, unknowns: int) -> CoarseSpace:
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
    CoarseSpace : n <= unknowns, up to 16 entries in a row of P. Every column has unit length; the colours under a hat
        are centred and decorrelated, and directions in which they do not vary have no column. The constant vector is in
        the span.
    """
    h, w, _ = image.shape
    spacing = max(_CLOSEST, np.sqrt(4 * h * w / unknowns))
    down, across = max(2, int(h / spacing)), max(2, int(w / spacing))
    down, across = min(down, max(2, unknowns // 4 // across)), min(across, max(2, unknowns // 4 // down))  # panoramas
    rows_of, columns_of = _hats(h, down), _hats(w, across)
    functions, slots = _orthonormal_colors(for_kernel(image, np.float64), rows_of, columns_of)
    return CoarseSpace(functions, (h, w), (down, across), slots)


def _hats(length: int, nodes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First of the two nodes around each of `length` positions, the share of the second, and the number of nodes.

    Nodes sit at the centres of equal cells; outside the outermost nodes their hats stay at one.
    """
    position = (np.arange(length) + 0.5) / length * nodes - 0.5
    first = np.clip(np.floor(position).astype(np.int64), 0, nodes - 2)
    return first, np.clip(position - first, 0, 1), nodes


def _orthonormal_colors(
    image: np.ndarray, rows_of: tuple[np.ndarray, np.ndarray, int], columns_of: tuple[np.ndarray, np.ndarray, int]
) -> tuple[sp.csr_array, np.ndarray]:
    """P from the hats: per node the hat itself, and the hat times each principal direction of the colours under it."""
    from softseg.spectrum.coarse_space_kernel import moments_kernel, rows_kernel  # brings the compiler along

    nodes, pixels = rows_of[2] * columns_of[2], image.shape[0] * image.shape[1]
    hats = image, *rows_of[:2], *columns_of
    squares, mean, second = np.zeros(nodes), np.zeros((nodes, 3)), np.zeros((nodes, 3, 3))
    moments_kernel()(*hats, np.zeros(nodes), squares, mean, second)
    variance, directions = np.linalg.eigh(second)
    varies = variance > _FLAT
    scaled = directions * np.where(varies, 1 / np.sqrt(np.maximum(variance, _FLAT)), 0)[:, None]

    present = np.column_stack([np.ones(nodes, dtype=bool), varies])
    column = np.where(present, (np.cumsum(present) - 1).reshape(present.shape), -1).astype(np.int32)
    starts, columns = np.empty(pixels + 1, np.int32), np.empty(16 * pixels, np.int32)
    entries = np.empty(16 * pixels)
    rows_kernel()(*hats, np.sqrt(squares), mean, np.ascontiguousarray(scaled), column, starts, columns, entries)
    used = int(starts[-1])
    slots = np.flatnonzero(present)
    return sp.csr_array((entries[:used], columns[:used], starts), shape=(pixels, len(slots))), slots
