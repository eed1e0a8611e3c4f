"""Chebyshev smoothing: many vectors made smooth with respect to the graph at every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import eigh_tridiagonal

from softseg.checks import for_kernel
from softseg.graph.products import to_torch
from softseg.graph.stencil import COLUMNS, SpareBlocks, Stencil

_RANGE = 0.6  # the smoothed part of the spectrum of D^-1 L reaches from its end down to that / max(4, 0.6 steps^2)
# Of the mean diagonal: what no entry of D is below. p grows where D^-1 L is negative: at a superpixel's centroid pixel
# that repels others and hangs on its neighbours by little, as a hot pixel does, its diagonal alone may be near zero.
_LEAST_DIAGONAL = 0.25
_MARGIN = 1.05  # on the largest eigenvalue, which is an estimate
_LANCZOS_STEPS = 12  # here: on photos the estimate is then within a percent


@dataclass(frozen=True, eq=False)
class Smoother:
    """p(D^-1 L) V for blocks of 32 columns; p is a Chebyshev polynomial, p(0) = 1, that is small within `bounds`.

    A block is (margin + N + margin, 32) float32 with zeros in the margins, see `Stencil`.
    """

    stencil: Stencil  # L
    scale: np.ndarray  # (N,) float32, the diagonal of D^-1
    largest: float  # eigenvalue of D^-1 L, or a little more
    steps: int  # degree of p
    spare: SpareBlocks  # of this size

    @classmethod
    def of(cls, laplacian: sp.csr_array, width: int, steps: int) -> Smoother:
        """Of a Laplacian over the pixels of a photo of this width; D is its diagonal, but nowhere too small."""
        scale = inverse_diagonal(laplacian)
        stencil = Stencil.of(laplacian, width)
        spare = SpareBlocks(len(scale) + 2 * stencil.margin)
        matrix, root = to_torch(laplacian), torch.from_numpy(np.sqrt(scale, dtype=np.float64))
        return cls(stencil, scale, largest_eigenvalue(lambda vector: matrix @ vector, root), steps, spare)

    def local(self, steps: int) -> Smoother:
        """Of another degree, and without far entries: what it smooths spreads by two pixels a step."""
        stencil = self.stencil.without_far()
        # Where far neighbours repel, the diagonal of L is the smaller one; D^-1 L' must not pass the end of the bounds.
        scale = np.minimum(self.scale, 1 / np.maximum(stencil.diagonal, np.finfo(np.float32).tiny))
        return replace(self, stencil=stencil, scale=scale, steps=steps)

    @property
    def bounds(self) -> tuple[float, float]:
        """The part of the spectrum of D^-1 L where p is small."""
        return smoothed_range(self.largest, self.steps)

    @property
    def inside(self) -> slice:
        """The rows of a block between the margins."""
        return slice(self.stencil.margin, self.stencil.margin + len(self.scale))

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The block smoothed. The one that was given belongs to the smoother from then on.

        With ``T_k`` the Chebyshev polynomials and ``Z = (center - D^-1 L) / radius``, the vectors
        ``V_k = T_k(Z) V / T_k(center / radius)`` follow from each other. As ``T_k+2 = 2 T_2 T_k - T_k-2``, two degrees
        can be climbed at a time, ``V_k+2 ~ (4 Z^2 - 2) V_k - V_k-2``, in one pass over the block.
        """
        low, high = self.bounds
        center, radius = (high + low) / 2, (high - low) / 2
        sizes = np.cosh(np.arange(self.steps + 1) * np.arccosh(center / radius))  # T_k(center / radius)
        current, previous = block, self.spare.take()
        odd = self.steps % 2
        if odd:
            self._product(self.scale, (0.0, -1 / center, 1.0), current, previous[self.inside])
            current, previous = previous, current
        for k in range(odd, self.steps, 2):
            before = sizes[k - 2] if k >= 2 else 0.0
            factor, stay = {0: (2, -1), 1: (4, -3)}.get(k, (4, -2))  # as T_-2 = T_2, T_-1 = T_1
            factors = -1 / radius, center / radius, factor * sizes[k], stay * sizes[k], -before
            self._twice(np.array(factors) / (1, 1, *[sizes[k + 2]] * 3), current, previous[self.inside])
            current, previous = previous, current
        self.spare.give(previous)
        return current

    def prolonged(self, prolongation: sp.csr_array, coefficients: np.ndarray) -> np.ndarray:
        """The block P X for a sparse (N, c) P in single precision and (c, 32) X."""
        from softseg.graph.stencil_kernel import rows_kernel

        block = self.spare.take()
        starts, columns = (for_kernel(part, np.int32) for part in (prolongation.indptr, prolongation.indices))
        entries = for_kernel(prolongation.data, np.float32)
        rows_kernel()(starts, columns, entries, coefficients, block[self.inside])
        return block

    def energy_rows(self, block: np.ndarray, first: int, last: int) -> np.ndarray:
        """(last - first, 32) rows of L V."""
        rows = np.zeros((last - first, block.shape[1]), np.float32)
        self._product(self._ones, (0.0, 1.0, 0.0), block, rows, first)
        return rows

    @cached_property
    def _ones(self) -> np.ndarray:
        return np.ones_like(self.scale)

    def _product(
        self,
        scale: np.ndarray,
        factors: tuple[float, float, float],
        block: np.ndarray,
        rows: np.ndarray,
        first: int = 0,
    ) -> None:
        """rows <- keep rows + gain scale L V + shift V, from the `first` on."""
        from softseg.graph.stencil_kernel import product_kernel  # brings the compiler along

        s, (keep, gain, shift) = self.stencil, np.array(factors, dtype=np.float32)
        operator = s.width, s.near, s.far, s.starts, s.columns, s.entries, scale
        product_kernel()(*operator, keep, gain, shift, block, rows, first, first + len(rows))

    def _twice(self, factors: np.ndarray, block: np.ndarray, rows: np.ndarray) -> None:
        """rows <- keep rows + stay V + factor Z Z V, Z = gain D^-1 L + shift; factors in the order of the kernel."""
        from softseg.graph.stencil_kernel import twice_kernel

        s = self.stencil
        operator = s.width, s.near, s.far, s.starts, s.columns, s.entries, self.scale
        twice_kernel()(*operator, *factors.astype(np.float32), block, rows)


def in_blocks(vectors: np.ndarray) -> list[np.ndarray]:
    """The columns in blocks of as many as the kernels take, the last one filled up with zeros."""
    count = -(-vectors.shape[1] // COLUMNS)
    filled = np.pad(vectors.astype(np.float32), ((0, 0), (0, count * COLUMNS - vectors.shape[1])))
    return [np.ascontiguousarray(block) for block in np.split(filled, count, axis=1)]


def inverse_diagonal(laplacian: sp.csr_array) -> np.ndarray:
    """(N,) float32, the diagonal of D^-1; D is that of L, but nowhere too small."""
    diagonal = laplacian.diagonal()
    return np.asarray((1 / np.maximum(diagonal, _LEAST_DIAGONAL * diagonal.mean())).astype(np.float32))


def smoothed_range(largest: float, steps: int) -> tuple[float, float]:
    """The part of the spectrum, up to its largest value, where a polynomial of that degree is small."""
    return largest / max(4.0, _RANGE * steps**2), largest


def largest_eigenvalue(multiply: Callable[[torch.Tensor], torch.Tensor], root: torch.Tensor) -> float:
    """A little above the largest eigenvalue of D^-1 L, or of D^-1/2 L D^-1/2: Lanczos' estimate and its residual.

    `multiply` has the product of L with a vector (N,) float64, `root` is the diagonal of D^-1/2, on the same device.
    """
    vector = torch.from_numpy(np.random.default_rng(0).standard_normal(len(root))).to(root.device)
    vector, last = vector / vector.norm(), torch.zeros_like(vector)
    diagonal, beside = [], [0.0]
    for _ in range(_LANCZOS_STEPS):
        following = root * multiply(root * vector) - beside[-1] * last
        diagonal.append(float(vector @ following))
        following -= diagonal[-1] * vector
        beside.append(float(following.norm()))
        if beside[-1] < 1e-12:  # the space is exhausted
            break
        last, vector = vector, following / beside[-1]
    values, vectors = eigh_tridiagonal(diagonal, beside[1:-1])
    return _MARGIN * float(values[-1] + beside[-1] * abs(vectors[-1, -1]))
