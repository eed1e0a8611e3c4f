"""Chebyshev smoothing on a device: the recurrence of `softseg.spectrum.smoothing` one degree at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import to_tensor
from softseg.graph.device_stencil import DeviceStencil
from softseg.graph.stencil import COLUMNS
from softseg.spectrum.on_device.rows import PaddedRows
from softseg.spectrum.smoothing import inverse_diagonal, largest_eigenvalue, smoothed_range


@dataclass(frozen=True, eq=False)
class DeviceSmoother:
    """p(D^-1 L) V for planes V, see `DeviceStencil`; p as of `softseg.spectrum.smoothing.Smoother`."""

    stencil: DeviceStencil  # L
    scale: torch.Tensor  # (N,) float32, the diagonal of D^-1
    largest: float  # eigenvalue of D^-1 L, or a little more
    steps: int  # degree of p

    @classmethod
    def of(cls, laplacian: sp.csr_array, width: int, steps: int, device: torch.device) -> DeviceSmoother:
        """Of a Laplacian over the pixels of a photo of this width."""
        stencil = DeviceStencil.of(laplacian, width, device)
        scale = to_tensor(inverse_diagonal(laplacian), device)

        # Differs from the compiled route in: 7. The largest eigenvalue is estimated by products in single precision.
        def multiply(vector: torch.Tensor) -> torch.Tensor:
            return stencil.product(stencil.padded(vector[None].float()))[0].double()

        return cls(stencil, scale, largest_eigenvalue(multiply, scale.double().sqrt()), steps)

    def local(self, steps: int) -> DeviceSmoother:
        """Of another degree, and without far entries: what it smooths spreads by two pixels a step."""
        stencil = self.stencil.without_far()
        # As of `Smoother.local`: D^-1 L' must not pass the end of the bounds.
        scale = torch.minimum(self.scale, 1 / stencil.diagonal.clamp_min(torch.finfo(torch.float32).tiny))
        return replace(self, stencil=stencil, scale=scale, steps=steps)

    @property
    def bounds(self) -> tuple[float, float]:
        """The part of the spectrum of D^-1 L where p is small."""
        return smoothed_range(self.largest, self.steps)

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        """The planes smoothed. Those that were given are overwritten.

        With ``T_k`` the Chebyshev polynomials and ``Z = (center - D^-1 L) / radius``, the vectors
        ``V_k = T_k(Z) V / T_k(center / radius)`` follow from each other by ``T_k+1 = 2 Z T_k - T_k-1``.
        Differs from the compiled route in: 1. It goes up one degree at a time.
        """
        low, high = self.bounds
        center, radius = (high + low) / 2, (high - low) / 2
        sizes = np.cosh(np.arange(self.steps + 1) * np.arccosh(center / radius)).tolist()  # T_k(center / radius)
        current, previous = planes, torch.zeros_like(planes)
        for k in range(self.steps):
            gain, keep = (2 * sizes[k], -sizes[k - 1]) if k else (1.0, 0.0)
            following = self.stencil.inside(previous).mul_(keep / sizes[k + 1])
            self._iteration.add_product(current, following, gain / sizes[k + 1])
            current, previous = previous, current
        return current

    @cached_property
    def _iteration(self) -> DeviceStencil:
        """Z."""
        low, high = self.bounds
        return self.stencil.scaled(self.scale * (-2 / (high - low)), (high + low) / (high - low))

    def prolonged(self, prolongation: PaddedRows, coefficients: torch.Tensor) -> torch.Tensor:
        """Planes p(D^-1 L) P X, of an (N, c) P and (c, n) float32 X, some columns at a time."""
        planes = self.stencil.zeros(coefficients.shape[1])
        for block, some in zip(torch.split(planes, COLUMNS), torch.split(coefficients, COLUMNS, dim=1), strict=True):
            block.copy_(self(self.stencil.padded(prolongation.product(some))))
        return planes
