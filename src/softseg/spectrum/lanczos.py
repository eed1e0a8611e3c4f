"""Block Lanczos: the leading eigenpairs of a symmetric operator that is applied to several vectors at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, qr


@dataclass(frozen=True)
class Ritz:
    """Approximate eigenpairs of largest eigenvalue, largest first."""

    values: np.ndarray  # (count,)
    vectors: np.ndarray  # (n, count), orthonormal
    residuals: np.ndarray  # (count,) ||A x - theta x||, from the recurrence
    applications: int  # operator applications, in single vectors


def block_lanczos(
    apply: Callable[[np.ndarray], np.ndarray],
    size: int,
    count: int,
    *,
    block: int = 8,
    tolerance: float = 1e-9,
    maximum: int | None = None,
    seed: int = 0,
) -> Ritz:
    """The `count` largest eigenpairs of a symmetric operator on R^size.

    The Krylov basis is grown `block` vectors at a time and kept orthogonal in full; it is not restarted. Blocks turn
    the triangular solves of shift-invert into products of matrices: faster than one vector at a time, although it
    takes more of them. Where the Krylov space is exhausted (a multiple eigenvalue, a tiny matrix) it is filled up with
    random directions, so that eigenvalues of any multiplicity are found.

    Parameters
    ----------
    apply : maps a (size, b) float64 array to the operator's product with it.
    tolerance : stop when every residual is below this times the smallest eigenvalue wanted.
    maximum : size of the largest basis; default six times `count` plus ten blocks.
    """
    block = min(block, size)
    maximum = min(size, maximum or 6 * count + 10 * block)
    rng = np.random.default_rng(seed)
    basis = np.empty((size, maximum), order="F")
    projected = np.zeros((maximum, maximum))
    basis[:, :block] = qr(rng.standard_normal((size, block)), mode="economic")[0]
    used, next_check = block, 2 * count
    while True:
        start = used - block
        image = apply(basis[:, start:used])
        scale = float(np.linalg.norm(image))
        image, projected[:used, start:used] = _orthogonalize(image, basis[:, :used])
        following, norms = _orthonormal_block(image, scale, basis[:, :used], rng)
        if used >= next_check or used + block > maximum:
            next_check = used + max(block, count // 3)
            theta, mix = eigh(projected[:used, :used], lower=False, driver="evd")
            theta, mix = theta[::-1][:count], mix[:, ::-1][:, :count]
            residuals = np.linalg.norm(norms @ mix[start:used], axis=0)
            done = len(theta) == count and residuals.max() <= tolerance * abs(theta[-1])
            if done or used + block > maximum:
                return Ritz(theta, basis[:, :used] @ mix, residuals, used)
        basis[:, used : used + block] = following
        used += block


def _orthogonalize(vectors: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of `vectors` outside the span of `basis`, and their coefficients in it; twice is enough."""
    first = basis.T @ vectors
    vectors = vectors - basis @ first
    second = basis.T @ vectors
    return vectors - basis @ second, first + second


def _orthonormal_block(
    vectors: np.ndarray, scale: float, basis: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Q, R with Q R = vectors, Q orthonormal and orthogonal to `basis` also where nothing but rounding is left."""
    q, r = qr(vectors, mode="economic")
    lost = np.abs(np.diag(r)) < 1e-13 * scale
    if lost.any() and basis.shape[1] + vectors.shape[1] <= len(basis):
        r[lost] = 0
        fresh = rng.standard_normal((len(q), int(lost.sum())))
        others = np.hstack([basis, q[:, ~lost]])
        q[:, lost] = qr(_orthogonalize(fresh, others)[0], mode="economic")[0]
    return q, r
