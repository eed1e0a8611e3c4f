"""The systems of all layers for iterative refinement: factorised on all threads, and solved many times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from softseg.segments.weighted_grams import share


@dataclass(frozen=True)
class RoughSystems:
    """A_k = C_k C_k^T of every layer by way of C_k^-1.

    inverses, transposed : (m, n, n) float64, C_k^-1 and C_k^-T, lower and upper triangles.
    shared : (n, n), the sum of the A_k^-1.
    """

    inverses: np.ndarray
    transposed: np.ndarray
    shared: torch.Tensor

    @classmethod
    def of(cls, grams: torch.Tensor, values: torch.Tensor) -> RoughSystems | None:
        """Those of A_k = grams[k] + diag(values), (m, n, n); None where one of them is not positive definite.

        `grams` are overwritten.
        """
        from softseg.segments.systems_kernel import invert_kernel  # brings the compiler along

        matrices = grams.contiguous().numpy()
        inverses, transposed = np.empty_like(matrices), np.empty_like(matrices)
        failed = np.empty(len(matrices), np.bool_)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            arguments = matrices, values.contiguous().numpy(), inverses, transposed, failed
            share(pool, invert_kernel(), len(matrices), *arguments)
        if failed.any():
            return None
        rows = torch.from_numpy(inverses).reshape(-1, matrices.shape[1])
        return cls(inverses, transposed, rows.T @ rows)

    def solve_with_sum(self, right: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """y_k = A_k^-1 (b_k - mu), with the one multiplier mu for which sum_k y_k is `total`."""
        free = self._solve(right)
        multiplier: torch.Tensor = torch.linalg.solve(self.shared, free.sum(0) - total)
        return free - self._solve(multiplier.expand_as(right))

    def _solve(self, right: torch.Tensor) -> torch.Tensor:
        from softseg.segments.systems_kernel import solve_kernel

        solutions = np.empty(right.shape)
        solve_kernel()(self.inverses, self.transposed, right.contiguous().numpy(), solutions)
        return torch.from_numpy(solutions)
