"""Diagonals taken from a sparse matrix, and their products with planes, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from softseg.compiled import kernel, part

if TYPE_CHECKING:
    from softseg.graph.diagonals import Diagonals


@cache
def split_kernel(index: np.dtype[Any], value: np.dtype[Any]) -> Callable[..., None]:
    """`_split` of a matrix of these types, compiled or from the compiler's cache."""
    csr = np.zeros(1, index), np.zeros(1, index), np.zeros(1, value)
    row = np.zeros(1, np.float32)
    return kernel(_split, *csr, np.zeros(1, np.int8), row, row.reshape(1, 1), np.zeros(1, np.int32))


@cache
def rest_kernel(index: np.dtype[Any], value: np.dtype[Any]) -> Callable[..., None]:
    """`_take_rest` of a matrix of these types, compiled or from the compiler's cache."""
    csr = np.zeros(1, index), np.zeros(1, index), np.zeros(1, value)
    place = np.zeros(1, np.int32)
    return kernel(_take_rest, *csr, np.zeros(1, np.int8), place, place, place, np.zeros(1, np.float32))


def _split(
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    diagonal_of: np.ndarray,
    main: np.ndarray,
    values: np.ndarray,
    rest: np.ndarray,
) -> None:
    """Add the entries of a CSR matrix to the diagonals; `rest` counts those of each row that belong to none."""
    reach = len(diagonal_of) - 1
    for i in range(len(starts) - 1):
        others = 0
        for entry in range(starts[i], starts[i + 1]):
            distance = columns[entry] - i
            if distance == 0:
                main[i] += np.float32(entries[entry])
            elif abs(distance) > reach or diagonal_of[abs(distance)] < 0:
                others += 1
            elif distance > 0:
                values[diagonal_of[distance], reach + i] += np.float32(entries[entry])
        rest[i] = others


def _take_rest(
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    diagonal_of: np.ndarray,
    rows: np.ndarray,
    rest_starts: np.ndarray,
    rest_columns: np.ndarray,
    rest_entries: np.ndarray,
) -> None:
    """Copy the entries that `_split` counted."""
    reach = len(diagonal_of) - 1
    for row in range(len(rows)):
        place, i = rest_starts[row], rows[row]
        for entry in range(starts[i], starts[i + 1]):
            distance = abs(columns[entry] - i)
            if distance > 0 and (distance > reach or diagonal_of[distance] < 0):
                rest_columns[place] = columns[entry]
                rest_entries[place] = np.float32(entries[entry])
                place += 1


@part
def add_product(
    matrix: Diagonals, planes: np.ndarray, nodes: np.ndarray, first: int, last: int, out: np.ndarray, at: int
) -> None:
    """out[:, at : at + last - first] += ((A - diag(main)) x)[first:last] for each of several x.

    Parameters
    ----------
    matrix : float32.
    planes : (K, reach + N + reach) float32, the x with `reach` zeros before and after them.
    nodes : (n, K) float32, the x at the pixels `matrix.rows`.
    first, last : the pixels wanted.
    out : (K, ...) float32.
    at : where they are in it.
    """
    offsets, values, end = matrix.offsets, matrix.values, at + last - first
    start, stop = offsets[-1] + first, offsets[-1] + last
    d = 0
    while d + 2 <= len(offsets):  # two above and two below at a time, or most of the work would be to load the sums
        a, b = offsets[d], offsets[d + 1]
        above_a, below_a = values[d, start:stop], values[d, start - a : stop - a]
        above_b, below_b = values[d + 1, start:stop], values[d + 1, start - b : stop - b]
        for k in range(len(planes)):
            after_a, before_a = planes[k, start + a : stop + a], planes[k, start - a : stop - a]
            after_b, before_b = planes[k, start + b : stop + b], planes[k, start - b : stop - b]
            _add_two(above_a, below_a, after_a, before_a, above_b, below_b, after_b, before_b, out[k, at:end])
        d += 2
    if d < len(offsets):
        a = offsets[d]
        above_a, below_a = values[d, start:stop], values[d, start - a : stop - a]
        for k in range(len(planes)):
            after_a, before_a = planes[k, start + a : stop + a], planes[k, start - a : stop - a]
            _add_one(above_a, below_a, after_a, before_a, out[k, at:end])
    sums = np.zeros(len(planes), np.float32)
    row, below = int(np.searchsorted(matrix.rows, first)), int(np.searchsorted(matrix.rows, last))
    while row < below:
        _sum_row(matrix, row, nodes, sums)
        for k in range(len(planes)):
            out[k, at + matrix.rows[row] - first] += sums[k]
        row += 1


@part
def _add_two(
    above_a: np.ndarray,
    below_a: np.ndarray,
    after_a: np.ndarray,
    before_a: np.ndarray,
    above_b: np.ndarray,
    below_b: np.ndarray,
    after_b: np.ndarray,
    before_b: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(len(out)):
        a = above_a[i] * after_a[i] + below_a[i] * before_a[i]
        out[i] += a + (above_b[i] * after_b[i] + below_b[i] * before_b[i])


@part
def _add_one(above: np.ndarray, below: np.ndarray, after: np.ndarray, before: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] += above[i] * after[i] + below[i] * before[i]


@part
def _sum_row(matrix: Diagonals, row: int, nodes: np.ndarray, sums: np.ndarray) -> None:
    """The product of one row's entries that are on no diagonal."""
    columns, entries = matrix.columns, matrix.entries
    sums[:] = 0
    entry, end = matrix.starts[row], matrix.starts[row + 1]
    while entry + 4 <= end:
        a, b, c, d = entries[entry], entries[entry + 1], entries[entry + 2], entries[entry + 3]
        i, j, s, t = columns[entry], columns[entry + 1], columns[entry + 2], columns[entry + 3]
        for k in range(len(sums)):
            sums[k] += (a * nodes[i, k] + b * nodes[j, k]) + (c * nodes[s, k] + d * nodes[t, k])
        entry += 4
    while entry < end:
        a, i = entries[entry], columns[entry]
        for k in range(len(sums)):
            sums[k] += a * nodes[i, k]
        entry += 1
