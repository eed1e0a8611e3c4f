"""The rows of the graph Laplacian, compiled: two sorted CSR arrays merged in one pass, and the diagonal put in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import numpy as np

from softseg.compiled import kernel

Array: TypeAlias = np.ndarray


@cache
def count_kernel() -> Callable[..., None]:
    """`_count`, compiled or from the compiler's cache."""
    index = np.zeros(1, np.int32)
    return kernel(_count, 0, 1, index, index, index, index, np.zeros(1, np.int64))


@cache
def merge_kernel() -> Callable[..., None]:
    """`_merge`, compiled or from the compiler's cache."""
    index, values = np.zeros(1, np.int32), np.zeros(1)
    return kernel(_merge, 0, 1, index, index, values, index, index, values, index, index, values)


def _count(
    first: int, last: int, starts_a: Array, columns_a: Array, starts_b: Array, columns_b: Array, lengths: Array
) -> None:
    """Write to `lengths` the number of entries in rows `first` to `last` - 1 of the Laplacian of A + B."""
    for i in range(first, last):
        a, b, end_a, end_b = starts_a[i], starts_b[i], starts_a[i + 1], starts_b[i + 1]
        total = 1  # the diagonal
        while a < end_a or b < end_b:
            from_a = b == end_b or (a < end_a and columns_a[a] <= columns_b[b])
            from_b = a == end_a or (b < end_b and columns_b[b] <= columns_a[a])
            j = columns_a[a] if from_a else columns_b[b]
            a += from_a
            b += from_b
            total += j != i
        lengths[i] = total


def _merge(
    first: int,
    last: int,
    starts_a: Array,
    columns_a: Array,
    entries_a: Array,
    starts_b: Array,
    columns_b: Array,
    entries_b: Array,
    starts: Array,
    columns: Array,
    entries: Array,
) -> None:
    """Write rows `first` to `last` - 1 of diag(W 1) - W, where W = A + B without its diagonal.

    Parameters
    ----------
    starts_a, columns_a, entries_a, starts_b, columns_b, entries_b : int32 and float64 CSR arrays, columns ascending.
    starts, columns, entries : the same of the result; the last two are written.
    """
    for i in range(first, last):
        a, b, end_a, end_b = starts_a[i], starts_b[i], starts_a[i + 1], starts_b[i + 1]
        place, diagonal, degree = starts[i], -1, 0.0
        while a < end_a or b < end_b:
            from_a = b == end_b or (a < end_a and columns_a[a] <= columns_b[b])
            from_b = a == end_a or (b < end_b and columns_b[b] <= columns_a[a])
            j = columns_a[a] if from_a else columns_b[b]
            weight = 0.0
            if from_a:
                weight += entries_a[a]
                a += 1
            if from_b:
                weight += entries_b[b]
                b += 1
            if j >= i and diagonal < 0:
                diagonal = place
                place += 1
            if j != i:
                columns[place], entries[place] = j, -weight
                degree += weight
                place += 1
        if diagonal < 0:
            diagonal = place
        columns[diagonal], entries[diagonal] = i, degree
