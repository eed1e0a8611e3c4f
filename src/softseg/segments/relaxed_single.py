"""The relaxed sparsification on the processor in single precision: compiled passes over blocks, spread over threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from softseg.graph.diagonals import Diagonals
from softseg.settings import RelaxedSettings

_TASKS = 4  # of each pass, for each thread: one that is held up leaves its share to the others


def relax_in_single(
    start: np.ndarray, laplacian: sp.csr_array, exponent: np.ndarray, settings: RelaxedSettings
) -> tuple[np.ndarray, list[int], list[float]]:
    """(K, h, w) float32 alphas, and the steps and the relative residual of every solve.

    Parameters
    ----------
    start : (K, N) alphas to start from, summing to one.
    laplacian : (N, N) sparse, symmetric.
    exponent : (h, w) p.
    settings : as of `relax`.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        solver = _Solver(start, Diagonals.of(sp.csr_array(laplacian), exponent.shape[1]), exponent, settings, pool)
        solves = [solver.solve(weighted=True) for _ in range(settings.iterations)]
        solves.append(solver.solve(weighted=False))
    steps, residuals = zip(*solves, strict=True)
    return solver.alphas.reshape(-1, *exponent.shape), list(steps), list(residuals)


class _Solver:
    """Conjugate gradients on the planes of `relaxed_kernel.Planes`, once for each round of reweighting."""

    def __init__(
        self,
        start: np.ndarray,
        matrix: Diagonals,
        exponent: np.ndarray,
        settings: RelaxedSettings,
        pool: ThreadPoolExecutor,
    ) -> None:
        from softseg.segments import relaxed_kernel as kernels  # brings the compiler along

        count, size = start.shape
        blocks = -(-size // kernels.BLOCK)
        tasks = min(blocks, _TASKS * torch.get_num_threads())
        self._ranges = list(pairwise(np.linspace(0, blocks, tasks + 1).astype(int).tolist()))
        self._pool, self._matrix, self._settings = pool, matrix, settings
        self._inside = slice(matrix.reach, matrix.reach + size)
        wide, narrow = (count, size + 2 * matrix.reach), (count, size)
        self._planes = kernels.Planes(
            nodes=np.empty((len(matrix.rows), count), np.float32),
            exponent=(exponent.reshape(-1) - 1).astype(np.float32),
            start=np.ascontiguousarray(start, np.float32),
            alphas=np.zeros(wide, np.float32),
            direction=np.zeros(wide, np.float32),
            sums=np.zeros((blocks, 3)),
            **{name: np.empty(narrow, np.float32) for name in kernels.INNER},
        )
        self._planes.alphas[:, self._inside] = start
        self._reweight, self._multiply = kernels.reweight_kernel(), kernels.multiply_kernel()
        self._advance = kernels.advance_kernel()
        self._load_nodes(self._planes.alphas)
        self._pass(kernels.start_kernel(), settings.penalty)

    @property
    def alphas(self) -> np.ndarray:
        """(K, N) float32, a view."""
        return self._planes.alphas[:, self._inside]

    def solve(self, weighted: bool) -> tuple[int, float]:
        """Reweight by the present alphas and replace these; the number of steps and the relative residual."""
        settings = self._settings
        rz, rr, bb = self._pass(self._reweight, weighted, settings.floor, settings.penalty)
        goal = settings.tolerance**2 * bb
        count, previous = 0, rz
        while rr > goal and count < settings.maximum_steps:
            if count:
                self._turn(rz / previous)
            self._load_nodes(self._planes.direction)
            pq, _, _ = self._pass(self._multiply, settings.penalty)
            previous = rz
            rz, rr, _ = self._pass(self._advance, rz / pq, settings.penalty)
            count += 1
        return count, float(np.sqrt(rr / bb))

    def _load_nodes(self, planes: np.ndarray) -> None:
        """Together in memory what would be read from everywhere."""
        self._planes.nodes[...] = planes[:, self._matrix.reach + self._matrix.rows].T

    def _pass(self, kernel: Callable[..., None], *arguments: Any) -> list[float]:
        """Run a kernel on all blocks; the sums do not depend on how these are spread."""
        tasks = [
            self._pool.submit(kernel, self._matrix, self._planes, *arguments, first, last)
            for first, last in self._ranges
        ]
        for task in tasks:
            task.result()
        return [float(total) for total in self._planes.sums.sum(axis=0)]

    def _turn(self, share: float) -> None:
        """direction = preconditioned residual + share * direction."""

        def work(k: int) -> None:
            plane = self._planes.direction[k, self._inside]
            plane *= np.float32(share)
            plane += self._planes.product[k]

        for task in [self._pool.submit(work, k) for k in range(len(self._planes.start))]:
            task.result()
