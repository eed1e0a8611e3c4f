"""Products of a `Stencil` with blocks of 32 columns, compiled; and two products in one pass over the photo."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from softseg.compiled import kernel, part
from softseg.graph.stencil import COLUMNS
from softseg.graph.stencil_vectors import near_one, near_two, sparse_row


@cache
def split_kernel() -> Callable[..., None]:
    """`_split`, compiled or from the compiler's cache."""
    index = np.zeros(1, np.int32)
    return kernel(_split, 1, 0, index, index, np.zeros(1), np.zeros((1, 25), np.float32), np.zeros(1, np.bool_))


@cache
def product_kernel() -> Callable[..., None]:
    """`_product`, compiled or from the compiler's cache."""
    index, row, block = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros((1, COLUMNS), np.float32)
    near = np.zeros((1, 25), np.float32)
    one = np.float32(1)
    return kernel(_product, 1, near, index, index, index, row, row, one, one, one, block, block, 0, 1)


@cache
def twice_kernel() -> Callable[..., None]:
    """`_twice`, compiled or from the compiler's cache."""
    index, row, block = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros((1, COLUMNS), np.float32)
    near = np.zeros((1, 25), np.float32)
    return kernel(_twice, 1, near, index, index, index, row, row, *[np.float32(1)] * 5, block, block)


@cache
def rows_kernel() -> Callable[..., None]:
    """`_rows`, compiled or from the compiler's cache."""
    index, row, block = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros((1, COLUMNS), np.float32)
    return kernel(_rows, index, index, row, block, block)


def _split(
    width: int,
    first: int,
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    near: np.ndarray,
    is_far: np.ndarray,
) -> None:
    """Entries within 5 x 5 pixels go to `near` (n, 25); the others are marked in `is_far` (nnz,).

    `starts` (n + 1,) are those of n pixels from `first` on, which begins a row of the photo.
    """
    x = 0
    for i in range(len(starts) - 1):
        for k in range(starts[i], starts[i + 1]):
            offset = columns[k] - first - i
            is_far[k] = True
            for dy in range(-2, 3):
                dx = offset - dy * width
                if -2 <= dx <= 2 and 0 <= x + dx < width:
                    near[i, (dy + 2) * 5 + dx + 2] += np.float32(entries[k])
                    is_far[k] = False
        x = x + 1 if x + 1 < width else 0


def _product(
    width: int,
    near: np.ndarray,
    far: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    scale: np.ndarray,
    keep: float,
    gain: float,
    shift: float,
    x: np.ndarray,
    y: np.ndarray,
    first: int,
    last: int,
) -> None:
    """y <- keep y + gain scale A x + shift x for the pixels from `first` to before `last`.

    Parameters
    ----------
    width, near, far, starts, columns, entries : A, as in `Stencil`.
    scale : (N,) float32.
    x : (margin + N + margin, 32) float32, zero in the margins, or whatever is finite.
    y : (last - first, 32) float32, written; it may not overlap x.
    """
    margin = 2 * width + 2
    _row(x, _around(first + margin, width), near, scale, first, last - first, gain, shift, y, 0, keep, np.float32(0), x)
    begin, end = int(np.searchsorted(far, first)), int(np.searchsorted(far, last))
    if begin < end:
        total = _far_product(starts, columns, entries, _taken(x, far, margin), begin, end)
        for r in range(begin, end):
            _add(y, far[r] - first, gain * scale[far[r]], total, r - begin)


def _twice(
    width: int,
    near: np.ndarray,
    far: np.ndarray,
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    scale: np.ndarray,
    gain: float,
    shift: float,
    factor: float,
    stay: float,
    keep: float,
    x: np.ndarray,
    y: np.ndarray,
) -> None:
    """y <- keep y + stay x + factor Z Z x with Z = gain scale A + shift, in one pass over the photo.

    Z x is kept for five rows of pixels, which stay in the cache, and never written as a whole: a pass reads and writes
    no more than one product does. Parameters as for `_product`; y is (N, 32).

    Far entries join any two pixels: those of the first product are summed before the pass, those of the second after
    it, when Z x is known at all pixels that have them.
    """
    margin, height = 2 * width + 2, len(scale) // width
    ring = np.zeros((5 * width + 4, COLUMNS), np.float32)  # row q % 5; what is beyond the photo has coefficients zero
    total = _far_product(starts, columns, entries, _taken(x, far, margin), 0, len(far))
    between = np.empty_like(total)  # Z x at the far pixels
    r = 0
    for ahead in range(height + 2):
        if ahead < height:
            i, start = ahead * width, 2 + ahead % 5 * width
            _row(x, _around(i + margin, width), near, scale, i, width, gain, shift, ring, start, None, None, x)
            while r < len(far) and far[r] < i + width:
                place = start + far[r] - i
                _add(ring, place, gain * scale[far[r]], total, r)
                for c in range(COLUMNS):
                    between[r, c] = ring[place, c]
                r += 1
        if ahead >= 2:
            q = ahead - 2
            rows = (_slot(q + 3, width), _slot(q + 4, width), _slot(q, width), _slot(q + 1, width), _slot(q + 2, width))
            i = q * width
            _row(ring, rows, near, scale, i, width, factor * gain, factor * shift, y, i, keep, stay, x)
    total = _far_product(starts, columns, entries, between, 0, len(far))
    for r in range(len(far)):
        _add(y, far[r], factor * gain * scale[far[r]], total, r)


def _rows(starts: np.ndarray, columns: np.ndarray, entries: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """y <- A x for a CSR matrix A and a block x (n, 32)."""
    for i in range(len(starts) - 1):
        sparse_row(entries, columns, starts[i], starts[i + 1], x, y, i)


@part
def _row(
    x: Any,
    rows: Any,
    near: Any,
    scale: Any,
    i: int,
    n: int,
    gain: Any,
    shift: Any,
    y: Any,
    out: int,
    keep: Any,
    stay: Any,
    z: Any,
) -> None:
    """`near_two` for n pixels, two at a time; z is x with its margins."""
    at, j = i + (len(z) - len(scale)) // 2, 0
    while j + 2 <= n:
        near_two(x, rows, near, scale, i, j, gain, shift, y, out, keep, stay, z, at)
        j += 2
    if j < n:
        near_one(x, rows, near, scale, i, j, gain, shift, y, out, keep, stay, z, at)


@part
def _around(place: int, width: int) -> tuple[int, int, int, int, int]:
    """Places of a pixel's neighbours two rows above to two rows below."""
    return (place - 2 * width, place - width, place, place + width, place + 2 * width)


@part
def _slot(q: int, width: int) -> int:
    """Where the row q of pixels begins in the ring."""
    return 2 + q % 5 * width


@part
def _taken(x: np.ndarray, far: np.ndarray, margin: int) -> np.ndarray:
    """(r, 32) rows of the far pixels."""
    taken = np.empty((len(far), COLUMNS), np.float32)
    for r in range(len(far)):
        for c in range(COLUMNS):
            taken[r, c] = x[far[r] + margin, c]
    return taken


@part
def _far_product(
    starts: np.ndarray, columns: np.ndarray, entries: np.ndarray, x: np.ndarray, begin: int, end: int
) -> np.ndarray:
    """(end - begin, 32) rows of the product of the far entries with the rows of the far pixels."""
    total = np.empty((end - begin, COLUMNS), np.float32)
    for r in range(begin, end):
        sparse_row(entries, columns, starts[r], starts[r + 1], x, total, r - begin)
    return total


@part
def _add(y: np.ndarray, place: int, weight: float, total: np.ndarray, r: int) -> None:
    for c in range(COLUMNS):
        y[place, c] += weight * total[r, c]
