"""Matrices of a coarse space, compiled: summed over the pixels, or assembled from those of cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel


@cache
def galerkin_kernel() -> Callable[..., None]:
    """`_galerkin`, compiled or from the compiler's cache."""
    index, row, square = np.zeros(1, np.int32), np.zeros(1), np.zeros((1, 1))
    return kernel(_galerkin, index, index, row, index, index, row, 0, 1, square, square)


@cache
def assemble_kernel() -> Callable[..., None]:
    """`_assemble`, compiled or from the compiler's cache."""
    return kernel(_assemble, np.zeros((2, 1, 1), np.float32), np.zeros(1, np.int32), np.zeros((2, 1, 1), np.float32))


def _assemble(parts: np.ndarray, places: np.ndarray, total: np.ndarray) -> None:
    """Add (2, C, C) products of a few functions to the (2, n, n) of all, float32; `places` (C,) below 0 are none."""
    for both in range(2):
        for i in range(len(places)):
            if places[i] >= 0:
                row = total[both, places[i]]
                for j in range(len(places)):
                    if places[j] >= 0:
                        row[places[j]] += parts[both, i, j]


def _galerkin(
    starts: np.ndarray,
    columns: np.ndarray,
    entries: np.ndarray,
    p_starts: np.ndarray,
    p_columns: np.ndarray,
    p_entries: np.ndarray,
    first: int,
    last: int,
    stiffness: np.ndarray,
    mass: np.ndarray,
) -> None:
    """Add the share of the rows from `first` to before `last` to P^T L P and P^T P.

    Parameters
    ----------
    starts, columns, entries : L, a symmetric (N, N) CSR matrix, int32, int32 and float64.
    p_starts, p_columns, p_entries : P, an (N, n) CSR matrix of the same types.
    stiffness, mass : (n, n) float64, written.
    """
    row = np.zeros(len(mass))  # of L P, dense
    touched = np.empty(len(mass), np.int32)  # where it is not zero
    is_touched = np.zeros(len(mass), np.bool_)
    for i in range(first, last):
        count = 0
        for k in range(starts[i], starts[i + 1]):
            j, entry = columns[k], entries[k]
            for m in range(p_starts[j], p_starts[j + 1]):
                column = p_columns[m]
                if not is_touched[column]:
                    is_touched[column] = True
                    touched[count] = column
                    count += 1
                row[column] += entry * p_entries[m]
        for m in range(p_starts[i], p_starts[i + 1]):
            weight, stiff, heavy = p_entries[m], stiffness[p_columns[m]], mass[p_columns[m]]
            for t in range(count):
                stiff[touched[t]] += weight * row[touched[t]]
            for k in range(p_starts[i], p_starts[i + 1]):
                heavy[p_columns[k]] += weight * p_entries[k]
        for t in range(count):
            row[touched[t]] = 0
            is_touched[touched[t]] = False
