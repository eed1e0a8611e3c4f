"""Relaxed sparsification: all pixels together, free of the eigenvectors, sharp where the photo is flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.ndimage import convolve1d

from softseg.errors import ConvergenceError, InputError
from softseg.graph.products import to_torch
from softseg.images import check_image
from softseg.settings import RelaxedSettings

# Thirteen-tap prefilter and first derivative (Farid and Simoncelli 2004), to four digits as in the released code.
_PREFILTER = np.array([0, 7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7, 0]) * 1e-4
_DERIVATIVE = np.array([1, 19, 142, 509, 963, 878, 0, -878, -963, -509, -142, -19, -1]) * 1e-4

RELEASED = RelaxedSettings(floor=0.01)  # what the function does when nothing is said; the pipeline has less haze


@dataclass(frozen=True)
class RelaxedResult:
    """Alphas before the projection to the simplex, and how they were reached."""

    alphas: np.ndarray  # (K, h, w) float64, may leave [0, 1] a little
    steps: tuple[int, ...]  # conjugate gradient steps of each of the solves
    residual: float  # largest relative residual at the end of a solve


def relaxed_sparsification(
    layers: np.ndarray, laplacian: sp.csr_array, image: np.ndarray, settings: RelaxedSettings | None = None
) -> np.ndarray:
    """Sparse alphas that follow the graph at every pixel: each in [0, 1], summing to one.

    Minimises ``sum_k alpha_k^T L alpha_k + |alpha - alpha^0|^2 + sum_pk |alpha|^p + |1 - alpha|^p`` with the penalty
    ``100 (sum_k alpha_k - 1)^2``, p = 0.9 in flat places and up to 1 at edges, then projects each pixel to the simplex.

    Parameters
    ----------
    layers : (K, N) or (K, h, w) float array, the grouped soft segments.
    laplacian : (N, N) sparse matrix from `softseg.graph.laplacian`.
    image : (h, w, 3) float array in [0, 1].
    settings : iterations, penalty and tolerance of the solver.

    Returns
    -------
    (K, h, w) float32 array, each value in [0, 1], the sum over K one at every pixel.

    Raises
    ------
    InputError : the arrays do not belong together.
    ConvergenceError : a linear solve did not come near its solution.

    Notes
    -----
    Source: Aksoy et al. 2018, Sec. 3.6. Differs from the released implementation in: 1. Conjugate gradients are
    preconditioned by the exact inverse of each pixel's K x K block and run until converged (some 70 steps for all 21
    solves, instead of up to 100 for each with the outcome discarded). 2. The penalty leaves the sum a little off one
    and alphas a little outside [0, 1]; the nearest point of the simplex takes their place.
    The pipeline runs it with its own settings, and so with a floor of the sparsity weights of 0.001 where the released
    one is 0.01: an alpha that wants to be zero then comes to rest at 0.0005 instead of 0.006, which over ten layers is
    a haze of several percent.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> layers = np.array([[0.95, 0.9, 0.1, 0.2], [0.05, 0.1, 0.9, 0.8]])
    >>> alphas = relaxed_sparsification(layers, sp.csr_array((4, 4)), np.zeros((2, 2, 3)))
    >>> bool((alphas[0] > 0.5).ravel().tolist() == [True, True, False, False])
    True
    """
    return project_to_simplex(relax(layers, laplacian, image, settings).alphas)


def relax(
    layers: np.ndarray, laplacian: sp.csr_array, image: np.ndarray, settings: RelaxedSettings | None = None
) -> RelaxedResult:
    """The relaxed sparsification before the projection, with the statistics of its linear solves."""
    settings = settings or RELEASED
    image = check_image(image)
    h, w, _ = image.shape
    layers = np.asarray(layers, dtype=np.float64).reshape(len(layers), -1)
    if layers.shape[1] != h * w or laplacian.shape != (h * w, h * w):
        raise InputError(
            f"layers {layers.shape}, laplacian {laplacian.shape} and image {image.shape} do not belong together: "
            "expected K layers of N values, (N, N) and (h, w, 3) with N = h * w."
        )
    operator = _Operator(laplacian, len(layers), settings.penalty)
    exponent = torch.from_numpy(0.9 + np.minimum(gradient_magnitude(image).reshape(-1, 1), 0.1))
    alphas = start = _clean(torch.from_numpy(layers.T.copy()))
    steps, residuals = [], []

    def solve(weights: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        solution, count, residual = operator.solve(weights + 1, right + settings.penalty, alphas, settings)
        steps.append(count)
        residuals.append(residual)
        return solution

    for _ in range(settings.iterations):
        to_zero = alphas.abs().clamp_min(settings.floor) ** (exponent - 2)
        to_one = (1 - alphas).abs().clamp_min(settings.floor) ** (exponent - 2)
        alphas = solve(to_zero + to_one, to_one + start)
    alphas = solve(torch.zeros_like(alphas), alphas)
    if max(residuals) > 1e-2 or not bool(torch.isfinite(alphas).all()):
        raise ConvergenceError(
            f"The relaxed sparsification stopped at a relative residual of {max(residuals):.1e} after "
            f"{settings.maximum_steps} steps; raise maximum_steps, or check the Laplacian."
        )
    return RelaxedResult(alphas.T.reshape(-1, h, w).numpy(), tuple(steps), max(residuals))


class _Operator:
    """x -> L x + diag(d) x + penalty * (sum over the layers of a pixel), for (N, K) alphas."""

    def __init__(self, laplacian: sp.csr_array, count: int, penalty: float) -> None:
        csr = sp.csr_array(laplacian, dtype=np.float64)
        self.matrix = to_torch(csr)
        self.diagonal = torch.from_numpy(csr.diagonal()).unsqueeze(1)
        self.count, self.penalty = count, penalty

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


def _clean(alphas: torch.Tensor) -> torch.Tensor:
    """Below 0.1 to 0, above 0.9 to 1, divided by the sum (an even share where nothing is left)."""
    alphas = torch.where(alphas < 0.1, 0.0, torch.where(alphas > 0.9, 1.0, alphas))
    total = alphas.sum(1, keepdim=True)
    return torch.where(total > 0, alphas / total.clamp_min(1e-12), 1.0 / alphas.shape[1])


def gradient_magnitude(image: np.ndarray) -> np.ndarray:
    """(h, w) length of the colour gradient: L2 over channels and directions, borders repeated."""
    along_y = convolve1d(convolve1d(image, _DERIVATIVE, axis=0, mode="nearest"), _PREFILTER, axis=1, mode="nearest")
    along_x = convolve1d(convolve1d(image, _DERIVATIVE, axis=1, mode="nearest"), _PREFILTER, axis=0, mode="nearest")
    return np.asarray(np.sqrt((along_y**2 + along_x**2).sum(axis=2)))


def project_to_simplex(alphas: np.ndarray) -> np.ndarray:
    """Nearest alphas that are at least zero and sum to one, pixel by pixel.

    ``min |a - alpha|^2`` subject to ``a >= 0, sum_k a_k = 1``; `alphas` is (K, ...), the result float32.
    """
    ordered = -np.sort(-alphas, axis=0)
    ranks = np.arange(1, len(alphas) + 1).reshape(-1, *[1] * (alphas.ndim - 1))
    excess = (np.cumsum(ordered, axis=0) - 1) / ranks
    positive = (ordered > excess).sum(axis=0, keepdims=True)
    threshold = np.take_along_axis(excess, positive - 1, axis=0)
    return np.maximum(alphas - threshold, 0).astype(np.float32)
