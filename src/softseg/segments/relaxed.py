"""Relaxed sparsification: all pixels together, free of the eigenvectors, sharp where the photo is flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from softseg.errors import ConvergenceError, InputError
from softseg.images import check_image
from softseg.segments.gradient import gradient_magnitude
from softseg.segments.relaxed_double import relax_in_double
from softseg.segments.relaxed_on_device import relax_on_device
from softseg.segments.relaxed_single import relax_in_single
from softseg.segments.simplex import project_to_simplex
from softseg.settings import RelaxedSettings

# measured: the tolerance from which single precision serves. Its rounding moves the alphas by less than 1e-5 in the
# mean, this tolerance by 3e-4.
SINGLE_FROM = 1e-5

RELEASED = RelaxedSettings(floor=0.01)  # what the function does when nothing is said; the pipeline has less haze


@dataclass(frozen=True)
class RelaxedResult:
    """Alphas before the projection to the simplex, and how they were reached."""

    alphas: np.ndarray  # (K, h, w) float64, or float32 from a single-precision solve; may leave [0, 1] a little
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
    solves, instead of up to 100 for each with the outcome discarded), in single precision where the tolerance is 1e-5
    or more, as on the fast route. 2. The penalty leaves the sum a little off one
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
    layers: np.ndarray,
    laplacian: sp.csr_array,
    image: np.ndarray,
    settings: RelaxedSettings | None = None,
    device: torch.device | None = None,
) -> RelaxedResult:
    """The relaxed sparsification before the projection, with the statistics of its linear solves.

    With a `device`, the systems are solved there, in plain PyTorch; without, on the processor.
    """
    settings = settings or RELEASED
    image = check_image(image)
    h, w, _ = image.shape
    layers = np.asarray(layers, dtype=np.float64).reshape(len(layers), -1)
    if layers.shape[1] != h * w or laplacian.shape != (h * w, h * w):
        raise InputError(
            f"layers {layers.shape}, laplacian {laplacian.shape} and image {image.shape} do not belong together: "
            "expected K layers of N values, (N, N) and (h, w, 3) with N = h * w."
        )
    exponent = 0.9 + np.minimum(gradient_magnitude(image), 0.1)
    single = settings.tolerance >= SINGLE_FROM
    problem = _clean(layers), sp.csr_array(laplacian), exponent, settings
    if device is not None:
        alphas, steps, residuals = relax_on_device(*problem, device, torch.float32 if single else torch.float64)
    else:
        alphas, steps, residuals = (relax_in_single if single else relax_in_double)(*problem)
    if not max(residuals) <= 1e-2 or not np.isfinite(alphas).all():  # NaN is neither
        raise ConvergenceError(
            f"The relaxed sparsification stopped at a relative residual of {max(residuals):.1e} after "
            f"{settings.maximum_steps} steps; raise maximum_steps, or check the Laplacian."
        )
    return RelaxedResult(alphas, tuple(steps), max(residuals))


def _clean(alphas: np.ndarray) -> np.ndarray:
    """Below 0.1 to 0, above 0.9 to 1, divided by the sum (an even share where nothing is left)."""
    alphas = np.where(alphas < 0.1, 0.0, np.where(alphas > 0.9, 1.0, alphas))
    total = alphas.sum(axis=0)
    alphas /= np.where(total > 0, total, 1.0)
    alphas[:, total <= 0] = 1 / len(alphas)
    return alphas
