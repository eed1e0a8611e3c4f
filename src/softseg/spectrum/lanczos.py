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
    verify: bool = False,
    seed: int = 0,
) -> Ritz:
    """The `count` largest eigenpairs of a symmetric operator on R^size.

    The Krylov basis is grown `block` vectors at a time, kept orthogonal in full, and not restarted. Blocks turn the
    triangular solves of shift-invert into products of matrices: faster than one vector at a time, although it takes
    more of them. Where the Krylov space is exhausted it is filled up with random directions.

    Parameters
    ----------
    apply : maps a (size, b) float64 array to the operator's product with it.
    tolerance : stop when every residual is below this times the smallest eigenvalue wanted.
    maximum : size of the largest basis; default ten times `count` plus 40 blocks.
    verify : a Krylov space of one random block holds at most `block` copies of a multiple eigenvalue. When all has
        converged, go on from a fresh random block, and stop only if that finds nothing new.
    """
    block = min(block, size)
    maximum = min(size, maximum or 10 * count + 40 * block)
    rng = np.random.default_rng(seed)
    basis = np.empty((size, maximum), order="F")
    projected = np.zeros((maximum, maximum))  # V^T A V, upper triangle
    tails: list[tuple[slice, np.ndarray]] = []  # where A V leaves the span of V: the columns, and a factor of the rest
    known: np.ndarray | None = None
    following = qr(rng.standard_normal((size, block)), mode="economic")[0]
    used, next_check = 0, max(2 * count, 3 * block)
    while True:
        columns = slice(used, used + following.shape[1])
        basis[:, columns] = following
        used = columns.stop
        image = apply(basis[:, columns])
        scale = float(np.linalg.norm(image))
        image, projected[:used, columns] = _orthogonalize(image, basis[:, :used])
        width = min(block, maximum - used) if maximum == size else block * (used + block <= maximum)
        following, tail = _orthonormal_block(image, scale, width, basis[:, :used], rng)
        if used < next_check and width:
            continue
        next_check = used + max(block, count // 3)
        theta, mix = eigh(projected[:used, :used], lower=False, driver="evd")
        theta, mix = theta[::-1][:count], mix[:, ::-1][:, :count]
        squares = [((rest @ mix[where]) ** 2).sum(axis=0) for where, rest in [*tails, (columns, tail)]]
        residuals = np.sqrt(np.sum(squares, axis=0))
        done = len(theta) == count and residuals.max() <= tolerance * abs(theta[-1])
        nothing_new = known is not None and len(known) == len(theta) and np.allclose(known, theta, rtol=1e-6, atol=0)
        if not width or (done and (nothing_new or not verify)):
            return Ritz(theta, basis[:, :used] @ mix, residuals, used)
        if done:
            known = theta
            tails.append((columns, tail))
            fresh = rng.standard_normal((size, width))
            following = qr(_orthogonalize(fresh, basis[:, :used])[0], mode="economic")[0]
            next_check = used + 3 * block


def _orthogonalize(vectors: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of `vectors` outside the span of `basis`, and their coefficients in it; twice is enough."""
    first = basis.T @ vectors
    vectors = vectors - basis @ first
    second = basis.T @ vectors
    return vectors - basis @ second, first + second


def _orthonormal_block(
    vectors: np.ndarray, scale: float, width: int, basis: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Q, the leading `width` directions of `vectors`, orthogonal to `basis`; and R, with columns as long.

    Directions in which nothing but rounding is left are replaced by random ones.
    """
    q, r, order = qr(vectors, mode="economic", pivoting=True)
    lost = np.abs(np.diag(r)) < 1e-13 * scale
    r[lost] = 0
    tail = r[:, np.argsort(order)]
    q, lost = q[:, :width], lost[:width]
    if lost.any():
        fresh = rng.standard_normal((len(q), int(lost.sum())))
        others = np.hstack([basis, q[:, ~lost]])
        q[:, lost] = qr(_orthogonalize(fresh, others)[0], mode="economic")[0]
    return q, tail
