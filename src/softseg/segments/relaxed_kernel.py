"""The conjugate gradients of the relaxed sparsification, compiled: few passes over the planes, each block by block.

All arrays of pixels are planes, one for each layer, so that every loop runs over consecutive pixels and becomes vector
instructions. A block's part of each of them stays in the cache of one core from the first loop of a pass to the sums.
What the compiler keeps is made anew when this file changes, not when only `graph/diagonals_kernel.py` does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from softseg.compiled import kernel, part
from softseg.graph.diagonals import Diagonals
from softseg.graph.diagonals_kernel import add_product

BLOCK = 1024  # pixels; measured: 2048 is as fast, 512 up to a fifth slower
_TINY = np.float32(1e-12)
_ONE = np.float32(1)
_ROOT_TWO = np.float32(2**0.5)
_LOG_FACTOR = np.float32(2 / np.log(2))
_LOG_TERMS = tuple(np.float32(1 / n) for n in (3, 5, 7))
_EIGHTH = np.float32(np.log(2) / 8)
_EXP_TERMS = tuple(np.float32(1 / n) for n in (2, 3, 4, 5, 6))


class Planes(NamedTuple):
    """What the iteration keeps, float32; (K, reach + N + reach) with zeros at the ends where neighbours are read."""

    nodes: np.ndarray  # (n, K) values at the pixels where the matrix has a rest
    exponent: np.ndarray  # (N,) p - 1
    start: np.ndarray  # (K, N) alpha^0
    alphas: np.ndarray  # (K, reach + N + reach) the solution
    direction: np.ndarray  # (K, reach + N + reach) of the next step
    to_zero: np.ndarray  # (K, N) u
    to_one: np.ndarray  # (K, N) v
    diagonal: np.ndarray  # (K, N) of the system, but for the penalty
    residual: np.ndarray  # (K, N)
    product: np.ndarray  # (K, N) of the direction and the system; after `advance` the residual, preconditioned
    sums: np.ndarray  # (blocks, 3) float64


INNER = ("to_zero", "to_one", "diagonal", "residual", "product")  # planes without ends


@cache
def start_kernel() -> Callable[..., None]:
    """`_start`, compiled or from the compiler's cache."""
    return kernel(_start, *_example(), 1.0, 0, 0)


@cache
def reweight_kernel() -> Callable[..., None]:
    """`_reweight`, compiled or from the compiler's cache."""
    return kernel(_reweight, *_example(), True, 1.0, 1.0, 0, 0)


@cache
def multiply_kernel() -> Callable[..., None]:
    """`_multiply`, compiled or from the compiler's cache."""
    return kernel(_multiply, *_example(), 1.0, 0, 0)


@cache
def advance_kernel() -> Callable[..., None]:
    """`_advance`, compiled or from the compiler's cache."""
    return kernel(_advance, *_example(), 1.0, 1.0, 0, 0)


def _example() -> tuple[Diagonals, Planes]:
    """Of the types that the kernels are compiled for."""
    row, place = np.zeros(1, np.float32), np.zeros(1, np.int32)
    plane = row.reshape(1, 1)
    matrix = Diagonals(row, np.zeros(1, np.int64), plane, place, place, place, row)
    return matrix, Planes(plane, row, plane, plane, plane, plane, plane, plane, plane, plane, np.zeros((1, 1)))


def _start(matrix: Diagonals, planes: Planes, penalty: float, first: int, last: int) -> None:
    """The residual at alpha^0 without any weights, ``-L a + penalty (1 - sum a)``, for blocks first..last-1."""
    size = planes.start.shape[1]
    coupling, missing = np.float32(penalty), np.zeros(BLOCK, np.float32)
    for block in range(first, last):
        a, b = block * BLOCK, min((block + 1) * BLOCK, size)
        missing[:] = 1
        for k in range(len(planes.start)):
            _subtract(planes.start[k, a:b], missing[: b - a])
            planes.to_zero[k, a:b], planes.to_one[k, a:b], planes.residual[k, a:b] = 0, 0, 0
        add_product(matrix, planes.alphas, planes.nodes, a, b, planes.residual, a)
        for k in range(len(planes.start)):
            _finish_start(matrix.main[a:b], planes.start[k, a:b], coupling, missing, planes.residual[k, a:b])


def _reweight(
    matrix: Diagonals, planes: Planes, weighted: bool, floor: float, penalty: float, first: int, last: int
) -> None:
    """The system of another round at the present alphas, for some blocks: diagonal, residual, first direction.

    ``u = max(|a|, floor)^(p - 2)``, ``v = max(|1 - a|, floor)^(p - 2)``, and the residual of ``(L + diag(u + v) + Id +
    penalty C) a = v + alpha^0 + penalty`` is ``v (1 - a) - u a + (alpha^0 - a) - L a + penalty (1 - sum a)``. It
    follows from that of the last system by the change of u and v: no product with L. Not `weighted`: u = v = 0 and
    alpha^0 = a. The sums are those of residual times direction, of the squared residual and of the squared right-hand
    side.
    """
    reach, size = matrix.offsets[-1], planes.start.shape[1]
    low, coupling = np.float32(floor), np.float32(penalty)
    rows, spare = np.zeros((3, BLOCK), np.float32), np.zeros((2, BLOCK), np.float32)
    for block in range(first, last):
        a, b = block * BLOCK, min((block + 1) * BLOCK, size)
        u, v, squares = rows[0, : b - a], rows[1, : b - a], rows[2, : b - a]
        rows[:] = 0
        for k in range(len(planes.start)):
            x, start, residual = planes.alphas[k, reach + a : reach + b], planes.start[k, a:b], planes.residual[k, a:b]
            if weighted:
                _weigh(x, planes.exponent[a:b], low, u, v)
            else:
                _subtract(start, residual)
                _add(x, residual)
                start = x
            _change(x, u, planes.to_zero[k, a:b], v, planes.to_one[k, a:b], residual)
            _add_diagonal(matrix.main[a:b], u, v, planes.diagonal[k, a:b])
            _add_squares(v, start, coupling, squares)
        _precondition(planes, planes.direction, reach, coupling, a, b, spare)
        _sum_residual(planes, planes.direction, reach, a, b, spare, planes.sums[block])
        planes.sums[block, 2] = _total(rows[2])


def _multiply(matrix: Diagonals, planes: Planes, penalty: float, first: int, last: int) -> None:
    """The product of the system and the direction for some blocks; the sum is that of product times direction."""
    count, reach, size = len(planes.start), matrix.offsets[-1], planes.start.shape[1]
    coupling, rows = np.float32(penalty), np.zeros((2, BLOCK), np.float32)
    for block in range(first, last):
        a, b = block * BLOCK, min((block + 1) * BLOCK, size)
        total, squares = rows[0, : b - a], rows[1, : b - a]
        total[:] = 0
        for k in range(count):
            _add(planes.direction[k, reach + a : reach + b], total)
        for k in range(count):
            x = planes.direction[k, reach + a : reach + b]
            _multiply_diagonal(planes.diagonal[k, a:b], x, total, coupling, planes.product[k, a:b])
        add_product(matrix, planes.direction, planes.nodes, a, b, planes.product, a)
        rows[1] = 0
        for k in range(count):
            _add_product(planes.product[k, a:b], planes.direction[k, reach + a : reach + b], squares)
        planes.sums[block, 0] = _total(rows[1])


def _advance(matrix: Diagonals, planes: Planes, step: float, penalty: float, first: int, last: int) -> None:
    """Go `step` along the direction in some blocks, precondition the residual; the first two sums of `_reweight`."""
    count, reach, size = len(planes.start), matrix.offsets[-1], planes.start.shape[1]
    length, coupling, spare = np.float32(step), np.float32(penalty), np.zeros((2, BLOCK), np.float32)
    for block in range(first, last):
        a, b = block * BLOCK, min((block + 1) * BLOCK, size)
        for k in range(count):
            direction = planes.direction[k, reach + a : reach + b]
            _add_scaled(length, direction, planes.alphas[k, reach + a : reach + b])
            _add_scaled(-length, planes.product[k, a:b], planes.residual[k, a:b])
        _precondition(planes, planes.product, 0, coupling, a, b, spare)
        _sum_residual(planes, planes.product, 0, a, b, spare, planes.sums[block])


# No slice of several planes is passed on: its rows would not be known to be consecutive, and the loops would be slow.


@part
def _precondition(
    planes: Planes, out: np.ndarray, shift: int, penalty: np.float32, a: int, b: int, spare: np.ndarray
) -> None:
    """z = (D + c 1 1^T)^-1 r for each pixel's K x K block, D^-1 - c D^-1 1 1^T D^-1 / (1 + c 1^T D^-1 1)."""
    inverses, total = spare[0, : b - a], spare[1, : b - a]
    inverses[:] = 0
    total[:] = 0
    for k in range(len(out)):
        z = out[k, shift + a : shift + b]
        _divide(planes.residual[k, a:b], planes.diagonal[k, a:b], z, inverses)
        _add(z, total)
    _share(inverses, penalty, total)
    for k in range(len(out)):
        _take_share(total, planes.diagonal[k, a:b], out[k, shift + a : shift + b])


@part
def _sum_residual(
    planes: Planes, preconditioned: np.ndarray, shift: int, a: int, b: int, spare: np.ndarray, sums: np.ndarray
) -> None:
    """Of the residual times the preconditioned one, and of the squared residual."""
    spare[:] = 0
    for k in range(len(preconditioned)):
        residual = planes.residual[k, a:b]
        _add_product(residual, preconditioned[k, shift + a : shift + b], spare[0, : b - a])
        _add_product(residual, residual, spare[1, : b - a])
    sums[0], sums[1] = _total(spare[0]), _total(spare[1])


@part
def _total(values: np.ndarray) -> float:
    """The sum of a block, in halves: float32 keeps its digits, and the loops become vector instructions."""
    half = len(values) // 2
    while half > 0:
        _add(values[half : 2 * half], values[:half])
        half //= 2
    return float(values[0])


@part
def _weigh(x: np.ndarray, exponent: np.ndarray, floor: np.float32, to_zero: np.ndarray, to_one: np.ndarray) -> None:
    for i in range(len(x)):
        to_zero[i] = _power(max(abs(x[i]), floor), exponent[i])
    for i in range(len(x)):
        to_one[i] = _power(max(abs(_ONE - x[i]), floor), exponent[i])


@part
def _power(t: np.float32, exponent: np.float32) -> np.float32:
    """t^(exponent - 1) for t > 0, to 1e-6 of it where t^exponent is between 1/16 and 16.

    In plain arithmetic, which becomes vector instructions; calls of a library's pow would not.
    """
    bits = np.float32(t).view(np.int32)
    whole = np.float32(np.int32((bits >> np.int32(23)) - np.int32(127)))
    mantissa = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)  # in [1, 2)
    s = (mantissa - _ROOT_TWO) / (mantissa + _ROOT_TWO)  # log m = log sqrt 2 + 2 artanh s, |s| < 0.172
    q = s * s
    series = _ONE + q * (_LOG_TERMS[0] + q * (_LOG_TERMS[1] + q * _LOG_TERMS[2]))
    log = whole + np.float32(0.5) + _LOG_FACTOR * s * series
    z = exponent * log * _EIGHTH  # the eighth part, where the series of exp is short
    tail = _EXP_TERMS[2] * z * (_ONE + _EXP_TERMS[3] * z * (_ONE + _EXP_TERMS[4] * z))
    root = _ONE + z * (_ONE + _EXP_TERMS[0] * z * (_ONE + _EXP_TERMS[1] * z * (_ONE + tail)))
    root *= root
    root *= root
    return root * root / t


@part
def _finish_start(
    main: np.ndarray, x: np.ndarray, penalty: np.float32, missing: np.ndarray, residual: np.ndarray
) -> None:
    """From the product with the entries beside the main diagonal."""
    for i in range(len(x)):
        residual[i] = penalty * missing[i] - (main[i] * x[i] + residual[i])


@part
def _change(
    x: np.ndarray, u: np.ndarray, old_u: np.ndarray, v: np.ndarray, old_v: np.ndarray, residual: np.ndarray
) -> None:
    for i in range(len(x)):
        residual[i] += (v[i] - old_v[i]) * (_ONE - x[i]) - (u[i] - old_u[i]) * x[i]
        old_u[i] = u[i]
        old_v[i] = v[i]


@part
def _add_diagonal(main: np.ndarray, u: np.ndarray, v: np.ndarray, diagonal: np.ndarray) -> None:
    for i in range(len(main)):
        diagonal[i] = main[i] + (u[i] + v[i]) + _ONE


@part
def _add_squares(to_one: np.ndarray, start: np.ndarray, penalty: np.float32, total: np.ndarray) -> None:
    for i in range(len(total)):
        right = to_one[i] + start[i] + penalty
        total[i] += right * right


@part
def _multiply_diagonal(
    diagonal: np.ndarray, x: np.ndarray, total: np.ndarray, penalty: np.float32, out: np.ndarray
) -> None:
    for i in range(len(out)):
        out[i] = diagonal[i] * x[i] + penalty * total[i]


@part
def _divide(residual: np.ndarray, diagonal: np.ndarray, out: np.ndarray, inverses: np.ndarray) -> None:
    for i in range(len(out)):
        inverse = _ONE / max(diagonal[i], _TINY)
        out[i] = inverse * residual[i]
        inverses[i] += inverse


@part
def _share(inverses: np.ndarray, penalty: np.float32, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] *= penalty / (_ONE + penalty * inverses[i])


@part
def _take_share(share: np.ndarray, diagonal: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] -= share[i] / max(diagonal[i], _TINY)


@part
def _add_product(left: np.ndarray, right: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] += left[i] * right[i]


@part
def _add_scaled(factor: np.float32, x: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] += factor * x[i]


@part
def _add(x: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] += x[i]


@part
def _subtract(x: np.ndarray, total: np.ndarray) -> None:
    for i in range(len(total)):
        total[i] -= x[i]
