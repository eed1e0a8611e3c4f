"""Inverse Cholesky factors of small matrices, compiled, and what they solve: no library takes so many so fast."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel, part

_ROWS = 4  # subtracted at once, so that sums are not loaded and stored for each of them


@cache
def invert_kernel() -> Callable[..., None]:
    """`_invert`, compiled or from the compiler's cache."""
    stack, row = np.zeros((1, 1, 1)), np.zeros(1)
    return kernel(_invert, stack, row, stack, stack, np.zeros(1, np.bool_), 0, 1)


@cache
def solve_kernel() -> Callable[..., None]:
    """`_solve`, compiled or from the compiler's cache."""
    stack, rows = np.zeros((1, 1, 1)), np.zeros((1, 1))
    return kernel(_solve, stack, stack, rows, rows)


def _invert(
    matrices: np.ndarray,
    values: np.ndarray,
    inverses: np.ndarray,
    transposed: np.ndarray,
    failed: np.ndarray,
    begin: int,
    end: int,
) -> None:
    """C^-1 and C^-T, where C C^T = A + diag(values), for the matrices from `begin` to before `end`.

    Parameters
    ----------
    matrices : (m, n, n) A, of which the upper triangles are read and overwritten.
    inverses, transposed : (m, n, n), written.
    failed : (m,) bool, written: A + diag(values) is not positive definite.
    """
    n = len(values)
    for k in range(begin, end):
        upper, inverse = matrices[k], inverses[k]
        for i in range(n):
            upper[i, i] += values[i]
        failed[k] = not _factorise(upper)
        if failed[k]:
            continue
        inverse[:] = 0
        for i in range(n):
            inverse[i, i] = 1
            j = 0
            while j + _ROWS <= i:
                _subtract(inverse[i], inverse, j, upper[j : j + _ROWS, i], 0, j + _ROWS)
                j += _ROWS
            for rest in range(j, i):
                for c in range(rest + 1):
                    inverse[i, c] -= upper[rest, i] * inverse[rest, c]
            scale = 1 / upper[i, i]
            for c in range(i + 1):
                inverse[i, c] *= scale
        for i in range(n):
            for c in range(n):
                transposed[k, i, c] = inverse[c, i]


@part
def _factorise(upper: np.ndarray) -> bool:
    """C^T in place of the upper triangle of C C^T; False where there is none."""
    n = len(upper)
    for first in range(0, n, _ROWS):
        last = min(first + _ROWS, n)
        for i in range(first, last):
            if not upper[i, i] > 0:  # nor if it is no number
                return False
            scale = 1 / np.sqrt(upper[i, i])
            for c in range(i, n):
                upper[i, c] *= scale
            for r in range(i + 1, last):
                factor = upper[i, r]
                for c in range(r, n):
                    upper[r, c] -= factor * upper[i, c]
        for r in range(last, n):
            _subtract(upper[r], upper, first, upper[first:last, r], r, n)
    return True


@part
def _subtract(target: np.ndarray, rows: np.ndarray, first: int, factors: np.ndarray, begin: int, end: int) -> None:
    """Four rows of a matrix, from `first` on, times their factors, in some columns."""
    one, two, three, four = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
    a, b, c, d = factors[0], factors[1], factors[2], factors[3]
    for x in range(begin, end):
        target[x] -= (a * one[x] + b * two[x]) + (c * three[x] + d * four[x])


def _solve(inverses: np.ndarray, transposed: np.ndarray, right: np.ndarray, solutions: np.ndarray) -> None:
    """solutions[k] <- C_k^-T C_k^-1 right[k] for (m, n) right sides."""
    m, n = right.shape
    half = np.empty(n)
    for k in range(m):
        half[:] = 0
        for i in range(n):
            factor = right[k, i]
            for c in range(i, n):
                half[c] += factor * transposed[k, i, c]
        solutions[k] = 0
        for i in range(n):
            factor = half[i]
            for c in range(i + 1):
                solutions[k, c] += factor * inverses[k, i, c]
