"""Sums under the hats of a coarse space, and its prolongation's rows, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel, part


@cache
def moments_kernel() -> Callable[..., None]:
    """`_moments`, compiled or from the compiler's cache."""
    index, row = np.zeros(1, np.int64), np.zeros(1)
    return kernel(
        _moments, np.zeros((1, 1, 3)), index, row, index, row, 1, row, row, np.zeros((1, 3)), np.zeros((1, 3, 3))
    )


@cache
def rows_kernel() -> Callable[..., None]:
    """`_rows`, compiled or from the compiler's cache."""
    index, row = np.zeros(1, np.int64), np.zeros(1)
    image, mean, directions = np.zeros((1, 1, 3)), np.zeros((1, 3)), np.zeros((1, 3, 3))
    column, small = np.zeros((1, 4), np.int32), np.zeros(1, np.int32)
    return kernel(_rows, image, index, row, index, row, 1, row, mean, directions, column, small, small, row)


@part
def _corner(corner: int, node_y: int, node_x: int, share_y: float, share_x: float, across: int) -> tuple[int, float]:
    """One of the four nodes around a pixel, and its hat there."""
    dy, dx = corner // 2, corner % 2
    return (node_y + dy) * across + node_x + dx, abs(1 - dy - share_y) * abs(1 - dx - share_x)


def _moments(
    image: np.ndarray,
    node_y: np.ndarray,
    share_y: np.ndarray,
    node_x: np.ndarray,
    share_x: np.ndarray,
    across: int,
    mass: np.ndarray,
    squares: np.ndarray,
    mean: np.ndarray,
    second: np.ndarray,
) -> None:
    """Sums over the pixels under each hat g: of g, g^2, the mean colour by g, and g^2 (I - mean) (I - mean)^T.

    Parameters
    ----------
    image : (h, w, 3) float64.
    node_y, share_y : (h,) the first of the two rows of nodes around a row of pixels, and the share of the second.
    node_x, share_x : (w,) the same across; `across` is the number of nodes in a row.
    mass, squares, mean, second : (m,), (m,), (m, 3), (m, 3, 3) float64 zeros, written.
    """
    h, w, _ = image.shape
    for y in range(h):
        for x in range(w):
            for corner in range(4):
                node, weight = _corner(corner, node_y[y], node_x[x], share_y[y], share_x[x], across)
                mass[node] += weight
                squares[node] += weight * weight
                for c in range(3):
                    mean[node, c] += weight * image[y, x, c]
    for node in range(len(mass)):
        for c in range(3):
            mean[node, c] /= mass[node]
    for y in range(h):
        for x in range(w):
            for corner in range(4):
                node, weight = _corner(corner, node_y[y], node_x[x], share_y[y], share_x[x], across)
                for i in range(3):
                    one = weight * (image[y, x, i] - mean[node, i])
                    for j in range(3):
                        second[node, i, j] += one * (weight * (image[y, x, j] - mean[node, j]))


def _rows(
    image: np.ndarray,
    node_y: np.ndarray,
    share_y: np.ndarray,
    node_x: np.ndarray,
    share_x: np.ndarray,
    across: int,
    length: np.ndarray,
    mean: np.ndarray,
    directions: np.ndarray,
    column: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
) -> None:
    """The CSR rows of P: each hat by itself, and times the colour along each of its directions.

    Parameters
    ----------
    image ... across : as for `_moments`.
    length : (m,) that of each hat as a vector.
    mean, directions : (m, 3), (m, 3, 3) of the colours under it; directions [:, :, d] have the length that makes the
        column of P a unit vector.
    column : (m, 4) int32 numbers of the columns of P, -1 for those it does not have.
    starts, columns, entries : (N + 1,), (16 N,) int32 and (16 N,) float64, written as far as there are entries.
    """
    h, w, _ = image.shape
    place = 0
    for y in range(h):
        for x in range(w):
            starts[y * w + x] = place
            for corner in range(4):
                node, weight = _corner(corner, node_y[y], node_x[x], share_y[y], share_x[x], across)
                if weight > 0:
                    columns[place], entries[place] = column[node, 0], weight / length[node]
                    place += 1
                    for d in range(3):
                        if column[node, d + 1] >= 0:
                            along = 0.0
                            for c in range(3):
                                along += (image[y, x, c] - mean[node, c]) * directions[node, c, d]
                            columns[place], entries[place] = column[node, d + 1], weight * along
                            place += 1
    starts[h * w] = place
