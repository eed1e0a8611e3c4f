"""The matting affinity, compiled: row after row of the photo, so that no plane of windows is ever in memory.

A row of windows has 27 whitened colours each. Three such rows give one row of the 13 bands, in which entry x of band o
joins pixel x to the pixel ``stencil(o)`` away; three rows of bands hold all 25 entries of a row of pixels. What is kept
of a strip of 256 columns is half a megabyte, which stays in the cache of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np

from softseg.compiled import kernel, part

Array: TypeAlias = np.ndarray


class Rows(NamedTuple):
    """The memory of one call; each ring holds the last three rows, row y in slot y modulo 3."""

    whitened: Array  # (3, 9, 3, columns) ring: the colours of each pixel of the windows
    factor: Array  # (6, columns) Cholesky factors, lower triangle row by row
    mean: Array  # (columns,)
    bands: Array  # (3, 13, columns) ring: the half stencil of the affinity

    @classmethod
    def zeros(cls, columns: int) -> Rows:
        shapes = ((3, 9, 3, columns), (6, columns), (columns,), (3, 13, columns))
        return cls(*(np.zeros(shape) for shape in shapes))


@cache
def affinity_kernel() -> Callable[..., None]:
    """`_affinity_of_strip`, compiled or from the compiler's cache."""
    index = np.zeros(1, np.int32)
    return kernel(
        _affinity_of_strip, np.zeros((1, 1, 1)), 1.0, (0, 0), (0, 0), Rows.zeros(1), index, index, np.zeros(1)
    )


def _affinity_of_strip(
    planes: Array,
    ridge: float,
    lines: tuple[int, int],
    sides: tuple[int, int],
    rows: Rows,
    starts: Array,
    columns: Array,
    entries: Array,
) -> None:
    """Write the rows of the affinity that belong to a rectangle of the photo.

    Parameters
    ----------
    planes : (3, h, w) float64 colours.
    ridge : added to the variances.
    lines, sides : first and after last row, and column, of the rectangle.
    rows : with room for four more columns than the rectangle has.
    starts : (N + 1,) int32 places in the CSR array.
    columns, entries : int32 and float64 of the CSR array; those of the rectangle are written.
    """
    height, width = planes.shape[1:]
    left, right = max(0, sides[0] - 2), min(width, sides[1] + 2)  # the stencil of a pixel reaches two columns back
    for y in range(max(0, lines[0] - 2), lines[1]):
        if y < height - 2:
            _whiten(planes, y, left, right - left - 2, ridge, rows.mean, rows.factor, rows.whitened[y % 3])
        _add_up(rows.whitened, y, height, right - left, rows.bands[y % 3])  # of the first two, only what reaches below
        if y >= lines[0]:
            _store(rows.bands, y, height, width, left, sides, starts, columns, entries)


@part
def _whiten(planes: Array, y: int, left: int, count: int, ridge: float, mean: Array, factor: Array, out: Array) -> None:
    """C_k^-1 (I_a - mu_k) for each pixel a of each window k in three rows, where Sigma_k + ridge Id = C_k C_k^T.

    The Cholesky factor is written out: an explicit inverse of these nearly singular 3 x 3 matrices loses the digits
    that the affinity needs (condition numbers reach 1e7 where the image is flat).
    """
    for c in range(3):
        _center(planes[c], y, left, count, c, mean, out)
    for i in range(3):
        for j in range(i + 1):
            _covariance(out, i, j, ridge if i == j else 0.0, count, factor[i * (i + 1) // 2 + j])
    _factorize(factor, ridge, count)
    for a in range(9):
        _solve(factor, count, out[a])


@part
def _center(plane: Array, y: int, left: int, count: int, c: int, mean: Array, out: Array) -> None:
    """One channel of the nine pixels of each window, without their mean."""
    for x in range(count):
        mean[x] = 0
    for a in range(9):
        source = plane[y + a // 3, left + a % 3 :]
        for x in range(count):
            mean[x] += source[x]
    for x in range(count):
        mean[x] /= 9
    for a in range(9):
        source, target = plane[y + a // 3, left + a % 3 :], out[a, c]
        for x in range(count):
            target[x] = source[x] - mean[x]


@part
def _covariance(colors: Array, i: int, j: int, ridge: float, count: int, out: Array) -> None:
    for x in range(count):
        out[x] = 0
    for a in range(9):
        first, second = colors[a, i], colors[a, j]
        for x in range(count):
            out[x] += first[x] * second[x]
    for x in range(count):
        out[x] = out[x] / 9 + ridge


@part
def _factorize(factor: Array, ridge: float, count: int) -> None:
    """Cholesky factors in place of the covariances; no pivot is below what the ridge alone would leave."""
    c00, c10, c11, c20, c21, c22 = factor[0], factor[1], factor[2], factor[3], factor[4], factor[5]
    for x in range(count):
        c00[x] = np.sqrt(c00[x])
        c10[x] /= c00[x]
        c20[x] /= c00[x]
    for x in range(count):
        c11[x] = np.sqrt(max(c11[x] - c10[x] * c10[x], ridge))
        c21[x] = (c21[x] - c20[x] * c10[x]) / c11[x]
    for x in range(count):
        c22[x] = np.sqrt(max(c22[x] - c20[x] * c20[x] - c21[x] * c21[x], ridge))


@part
def _solve(factor: Array, count: int, colors: Array) -> None:
    """C^-1 times each colour, in its place."""
    c00, c10, c11, c20, c21, c22 = factor[0], factor[1], factor[2], factor[3], factor[4], factor[5]
    r, g, b = colors[0], colors[1], colors[2]
    for x in range(count):
        r[x] /= c00[x]
    for x in range(count):
        g[x] = (g[x] - c10[x] * r[x]) / c11[x]
    for x in range(count):
        b[x] = (b[x] - c20[x] * r[x] - c21[x] * g[x]) / c22[x]


@part
def _add_up(whitened: Array, y: int, height: int, count: int, bands: Array) -> None:
    """One row of the bands: pixel y, x is pixel a of the window a above and to the left of it."""
    bands[...] = 0
    for a in range(9):
        if 0 <= y - a // 3 < height - 2:
            windows = whitened[(y - a // 3) % 3]
            for b in range(a, 9):
                down, across = b // 3 - a // 3, b % 3 - a % 3
                _add_products(windows[a], windows[b], count - 2, bands[_band(down, across)][a % 3 :])


@part
def _add_products(first: Array, second: Array, count: int, out: Array) -> None:
    """Levin et al. 2008, Eq. (12)."""
    for x in range(count):
        product = first[0, x] * second[0, x] + first[1, x] * second[1, x] + first[2, x] * second[2, x]
        out[x] += (product + 1) / 9


@part
def _band(down: int, across: int) -> int:
    """Place in the half stencil: (0, 0), (0, 1), (0, 2), (1, -2), ..., (1, 2), (2, -2), ..., (2, 2)."""
    return across if down == 0 else 5 * down + across


@part
def _store(
    bands: Array,
    y: int,
    height: int,
    width: int,
    left: int,
    sides: tuple[int, int],
    starts: Array,
    columns: Array,
    entries: Array,
) -> None:
    """The CSR rows of the pixels of one row: neighbours above and to the left have the entry in their own bands."""
    for x in range(sides[0], sides[1]):
        place = starts[y * width + x]
        for down in range(max(-2, -y), min(3, height - y)):
            for across in range(max(-2, -x), min(3, width - x)):
                if down < 0 or (down == 0 and across < 0):
                    entries[place] = bands[(y + down) % 3, _band(-down, -across), x + across - left]
                else:
                    entries[place] = bands[y % 3, _band(down, across), x - left]
                columns[place] = (y + down) * width + x + across
                place += 1
