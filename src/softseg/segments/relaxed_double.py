"""The relaxed sparsification in double precision, in plain PyTorch: the reference of the compiled one."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from softseg.graph.products import to_torch
from softseg.settings import RelaxedSettings


def relax_in_double(
    start: np.ndarray, laplacian: sp.csr_array, exponent: np.ndarray, settings: RelaxedSettings
) -> tuple[np.ndarray, list[int], list[float]]:
    """(K, h, w) float64 alphas; otherwise as `softseg.segments.relaxed_single.relax_in_single`."""
    operator = _Operator(laplacian, settings.penalty)
    power = torch.from_numpy(exponent.reshape(-1, 1) - 2)
    alphas = first = torch.from_numpy(start.T.copy())
    steps, residuals = [], []

    def solve(weights: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        solution, count, residual = operator.solve(weights + 1, right + settings.penalty, alphas, settings)
        steps.append(count)
        residuals.append(residual)
        return solution

    for _ in range(settings.iterations):
        to_zero = alphas.abs().clamp_min(settings.floor) ** power
        to_one = (1 - alphas).abs().clamp_min(settings.floor) ** power
        alphas = solve(to_zero + to_one, to_one + first)
    alphas = solve(torch.zeros_like(alphas), alphas)
    return alphas.T.reshape(-1, *exponent.shape).numpy(), steps, residuals


class _Operator:
    """x -> L x + diag(d) x + penalty * (sum over the layers of a pixel), for (N, K) alphas."""

    def __init__(self, laplacian: sp.csr_array, penalty: float) -> None:
        csr = sp.csr_array(laplacian, dtype=np.float64)
        self.matrix = to_torch(csr)
        self.diagonal = torch.from_numpy(csr.diagonal()).unsqueeze(1)
        self.penalty = penalty

    def solve(
        self, extra: torch.Tensor, right: torch.Tensor, start: torch.Tensor, settings: RelaxedSettings
    ) -> tuple[torch.Tensor, int, float]:
        """Conjugate gradients, preconditioned by the exact inverse of each pixel's K x K block."""
        inverse = 1 / (self.diagonal + extra).clamp_min(1e-12)
        share = self.penalty / (1 + self.penalty * inverse.sum(1, keepdim=True))

        def apply(x: torch.Tensor) -> torch.Tensor:
            return self.matrix @ x + extra * x + self.penalty * x.sum(1, keepdim=True)

        def precondition(r: torch.Tensor) -> torch.Tensor:
            z = inverse * r  # Sherman-Morrison: (D + c 1 1^T)^-1 = D^-1 - c D^-1 1 1^T D^-1 / (1 + c 1^T D^-1 1)
            return z - inverse * (share * z.sum(1, keepdim=True))

        x = start.clone()
        r = right - apply(x)
        goal = settings.tolerance * float(right.norm())
        z = precondition(r)
        p, rz = z, float((r * z).sum())
        count = 0
        while float(r.norm()) > goal and count < settings.maximum_steps:
            q = apply(p)
            step = rz / float((p * q).sum())
            x += step * p
            r -= step * q
            z = precondition(r)
            rz, previous = float((r * z).sum()), rz
            p = z + (rz / previous) * p
            count += 1
        return x, count, float(r.norm() / right.norm())
