"""The relaxed sparsification on a device, in plain PyTorch: planes of alphas, and the Laplacian as 25 planes."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import full_precision, to_tensor
from softseg.graph.device_stencil import DeviceStencil
from softseg.settings import RelaxedSettings

_TINY = 1e-12  # what no entry of a pixel's block is below


@full_precision()
def relax_on_device(
    start: np.ndarray,
    laplacian: sp.csr_array,
    exponent: np.ndarray,
    settings: RelaxedSettings,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[np.ndarray, list[int], list[float]]:
    """(K, h, w) alphas of that type; otherwise as `softseg.segments.relaxed_single.relax_in_single`.

    All solves are made on the device; of each step, one number comes back, by which it is decided whether it was the
    last one.
    """
    solver = _Solver(start, DeviceStencil.of(laplacian, exponent.shape[1], device, dtype), exponent, settings)
    solves = [solver.solve(weighted=True) for _ in range(settings.iterations)]
    solves.append(solver.solve(weighted=False))
    steps, residuals = zip(*solves, strict=True)
    return solver.alphas.reshape(-1, *exponent.shape).cpu().numpy(), list(steps), list(residuals)


class _Solver:
    """Conjugate gradients on (K, N) planes, preconditioned by the exact inverse of each pixel's K x K block."""

    def __init__(
        self, start: np.ndarray, stencil: DeviceStencil, exponent: np.ndarray, settings: RelaxedSettings
    ) -> None:
        device, dtype = stencil.near.device, stencil.near.dtype
        self._stencil, self._settings = stencil, settings
        self._power = to_tensor(exponent.reshape(-1) - 2, device).to(dtype)
        self._start = to_tensor(start, device).to(dtype)
        self._planes, self._direction = stencil.padded(self._start), stencil.zeros(len(start))

    @property
    def alphas(self) -> torch.Tensor:
        """(K, N), a view."""
        return self._stencil.inside(self._planes)

    def solve(self, weighted: bool) -> tuple[int, float]:
        """Reweight by the present alphas and replace these; the number of steps and the relative residual.

        Not `weighted`: u = v = 0 and alpha^0 = the present alphas, see `softseg.segments.relaxed_kernel`.
        """
        a, settings = self.alphas, self._settings
        extra, residual, bb = self._system(weighted)
        inverse = 1 / (self._stencil.diagonal + extra).clamp_min(_TINY)
        shared = settings.penalty / (1 + settings.penalty * inverse.sum(0))
        z = _precondition(residual, inverse, shared)
        direction = self._stencil.inside(self._direction).copy_(z)
        rz = _dot(residual, z)
        rr, goal = torch.stack([_dot(residual, residual), settings.tolerance**2 * bb]).cpu().tolist()
        count = 0
        while rr > goal and count < settings.maximum_steps:
            product = self._apply(direction, extra)
            step = (rz / _dot(product, direction)).to(a.dtype)
            a += step * direction
            residual -= step * product
            z = _precondition(residual, inverse, shared)
            previous, rz = rz, _dot(residual, z)
            direction.mul_((rz / previous).to(a.dtype)).add_(z)
            rr = float(_dot(residual, residual))
            count += 1
        return count, (rr / float(bb)) ** 0.5

    def _system(self, weighted: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the diagonal of L is raised by, ``u + v + 1``; the residual; and the squared right-hand side.

        Differs from the compiled route in: 5. The residual is computed anew for every solve.
        That of ``(L + diag(u + v) + Id + penalty C) a = v + alpha^0 + penalty`` is written with differences
        that are small near the solution: ``v (1 - a) - u a + (alpha^0 - a) - L a + penalty (1 - sum a)``.
        """
        a, settings = self.alphas, self._settings
        u = v = torch.zeros_like(self._start)
        first = a
        if weighted:
            u, v = (part.abs().clamp_min(settings.floor).pow(self._power) for part in (a, 1 - a))
            first = self._start
        residual = v * (1 - a) - u * a + (first - a) + settings.penalty * (1 - a.sum(0))
        self._stencil.add_product(self._planes, residual, -1.0)
        right = v + first + settings.penalty
        return u + v + 1, residual, _dot(right, right)

    def _apply(self, direction: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        """The product of the system and the direction."""
        product = extra * direction + self._settings.penalty * direction.sum(0)
        self._stencil.add_product(self._direction, product)
        return product


def _precondition(residual: torch.Tensor, inverse: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """(D + c 1 1^T)^-1 r for each pixel: D^-1 - c D^-1 1 1^T D^-1 / (1 + c 1^T D^-1 1) (Sherman-Morrison).

    (K, N) `inverse` is D^-1, (N,) `shared` the c / (1 + c 1^T D^-1 1).
    """
    z = inverse * residual
    return z - inverse * (shared * z.sum(0))


def _dot(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The sum of products, in double precision, on the device."""
    return (left * right).sum(dtype=torch.float64)
