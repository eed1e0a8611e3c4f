"""Products of a `Stencil` with blocks of 32 columns, compiled: sums stay in registers over all 25 neighbours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from softseg.compiled import intrinsic, ir, kernel, part, types
from softseg.vectors import Vectors

COLUMNS = 32  # of a block: the sums of two rows of neighbours fill half of the registers of AVX2
_LANES = 16  # single precision; the compiler splits them where registers are shorter


@cache
def split_kernel() -> Callable[..., None]:
    """`_split`, compiled or from the compiler's cache."""
    index = np.zeros(1, np.int32)
    return kernel(_split, 1, index, index, np.zeros(1), np.zeros((1, 25), np.float32), np.zeros(1, np.bool_))


@cache
def product_kernel() -> Callable[..., None]:
    """`_product`, compiled or from the compiler's cache."""
    index, row, block = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros((1, COLUMNS), np.float32)
    near = np.zeros((1, 25), np.float32)
    one = np.float32(1)
    return kernel(_product, 1, near, index, index, index, row, row, one, one, one, block, block, 0, 1)


@cache
def rows_kernel() -> Callable[..., None]:
    """`_rows`, compiled or from the compiler's cache."""
    index, row, block = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros((1, COLUMNS), np.float32)
    return kernel(_rows, index, index, row, block, block)


def _split(
    width: int, starts: np.ndarray, columns: np.ndarray, entries: np.ndarray, near: np.ndarray, is_far: np.ndarray
) -> None:
    """Entries within 5 x 5 pixels go to `near` (N, 25); the others are marked in `is_far` (nnz,)."""
    x = 0
    for i in range(len(starts) - 1):
        for k in range(starts[i], starts[i + 1]):
            offset = columns[k] - i
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
    for i in range(first, last):
        _near_row(x, (i + margin) * COLUMNS, width * COLUMNS, near, i * 25, keep, gain * scale[i], shift, y, i - first)
    if len(far):
        gathered = np.empty((len(far), COLUMNS), np.float32)
        for r in range(len(far)):
            for c in range(COLUMNS):
                gathered[r, c] = x[far[r] + margin, c]
        total = np.empty(COLUMNS, np.float32)
        for r in range(len(far)):
            i = far[r]
            if first <= i < last:
                _sparse_row(entries, columns, starts[r], starts[r + 1], gathered, total)
                weight = gain * scale[i]
                for c in range(COLUMNS):
                    y[i - first, c] += weight * total[c]


def _rows(starts: np.ndarray, columns: np.ndarray, entries: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """y <- A x for a CSR matrix A and a block x (n, 32)."""
    for i in range(len(starts) - 1):
        _sparse_row(entries, columns, starts[i], starts[i + 1], x, y[i])


@part
def _sparse_row(
    entries: np.ndarray, columns: np.ndarray, entry: int, end: int, x: np.ndarray, total: np.ndarray
) -> None:
    """Sum of the rows of x that a row of a CSR matrix names."""
    for c in range(COLUMNS):
        total[c] = 0
    while entry + 4 <= end:  # four at a time, or most of the work would be to load and store the sums
        a, b, d, e = entries[entry], entries[entry + 1], entries[entry + 2], entries[entry + 3]
        i0, i1, i2, i3 = columns[entry], columns[entry + 1], columns[entry + 2], columns[entry + 3]
        for c in range(COLUMNS):
            total[c] += (a * x[i0, c] + b * x[i1, c]) + (d * x[i2, c] + e * x[i3, c])
        entry += 4
    while entry < end:
        a, i0 = entries[entry], columns[entry]
        for c in range(COLUMNS):
            total[c] += a * x[i0, c]
        entry += 1


def _near_row_type(
    context: Any, x: Any, row: Any, step: Any, near: Any, first: Any, keep: Any, gain: Any, shift: Any, y: Any, out: Any
) -> Any:
    """y[out] <- keep y[out] + gain sum_o near[first + o] x[row + o] + shift x[row].

    `row`, `step` and `first` count single numbers: where the row of x begins, how far the photo's next row of pixels
    is, and where the coefficients begin. Written as vector instructions, because the loop over 25 neighbours and 32
    columns is not one that the compiler makes vectors of.
    """
    signature = types.void(
        x, types.int64, types.int64, near, types.int64, types.float32, types.float32, types.float32, y, types.int64
    )
    return signature, _near_row_code


_near_row: Any = intrinsic(_near_row_type)


def _near_row_code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    x, row, step, near, first, keep, gain, shift, y, out = arguments
    pointers = [
        context.make_array(signature.args[place])(context, builder, array).data
        for place, array in ((0, x), (3, near), (8, y))
    ]
    code = Vectors(builder, _LANES)
    count = COLUMNS // _LANES
    sums = [code.zero() for _ in range(count)]
    center = sums
    for o in range(25):
        if o % 5 == 0:
            start = builder.add(row, builder.mul(step, code.number(o // 5 - 2)))
        weight = code.spread(builder.load(builder.gep(pointers[1], [builder.add(first, code.number(o))])))
        values = code.load(pointers[0], builder.add(start, code.number((o % 5 - 2) * COLUMNS)), count)
        sums = [code.multiply_add(weight, value, total) for value, total in zip(values, sums, strict=True)]
        if o == 12:
            center = values
    place = builder.mul(out, code.number(COLUMNS))
    kept, gained, shifted = code.spread(keep), code.spread(gain), code.spread(shift)
    results = []
    for old, total, value in zip(code.load(pointers[2], place, count), sums, center, strict=True):
        moved = code.multiply_add(shifted, value, builder.fmul(kept, old))
        results.append(code.multiply_add(gained, total, moved))
    code.store(results, pointers[2], place)
    return context.get_dummy_value()
