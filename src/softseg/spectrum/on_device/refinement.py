"""The coarse eigenproblem and the refinement on a device: `softseg.spectrum.coarse`, `softseg.spectrum.refinement`."""

from __future__ import annotations

import numpy as np
import torch

from softseg.devices import to_tensor
from softseg.errors import ConvergenceError
from softseg.graph.stencil import COLUMNS
from softseg.spectrum.coarse import FIRST_SHIFT, LARGEST_SHIFT, RIDGE, pairs_of_inverse
from softseg.spectrum.on_device.rows import PaddedRows
from softseg.spectrum.on_device.smoothing import DeviceSmoother
from softseg.spectrum.refinement import lowest_in_span
from softseg.threads import one_blas_thread

_ROWS = 2048  # pixels at a time in sums, which single precision alone would blur


def lowest_coefficients(stiffness: torch.Tensor, mass: torch.Tensor, count: int) -> torch.Tensor:
    """Coefficients X (n, count), float32, of the pairs of smallest magnitude of A x = lambda M x, ``X^T M X = 1``.

    As roughly as the compiled route finds them. Differs from that in: 3. The factor and the products with it are dense
    and double precision. They are made on the device; the block Lanczos method, many small steps with few columns,
    stays on the processor.
    """
    stiffness, mass = stiffness.double(), mass.double()
    mass = mass + RIDGE * torch.eye(len(mass), dtype=mass.dtype, device=mass.device)
    shift, inverse = _inverse_factor((stiffness + stiffness.T) / 2, (mass + mass.T) / 2)

    def apply(block: np.ndarray) -> np.ndarray:  # C^-1 M C^-T with A + s M = C C^T
        product: torch.Tensor = inverse @ (mass @ (inverse.T @ to_tensor(block, mass.device)))
        return product.cpu().numpy()

    with one_blas_thread():
        _, vectors = pairs_of_inverse(apply, len(mass), count, shift, roughly=True)
    coefficients: torch.Tensor = inverse.T @ to_tensor(vectors, mass.device)
    return (coefficients / (coefficients * (mass @ coefficients)).sum(0).sqrt()).float()


def _inverse_factor(stiffness: torch.Tensor, mass: torch.Tensor) -> tuple[float, torch.Tensor]:
    """s and C^-1 with A + s M = C C^T, see `softseg.spectrum.coarse`."""
    identity = torch.eye(len(mass), dtype=mass.dtype, device=mass.device)
    shift = FIRST_SHIFT
    while shift < LARGEST_SHIFT:
        factor, failed = torch.linalg.cholesky_ex(stiffness + shift * mass)
        if not bool(failed):
            return shift, torch.linalg.solve_triangular(factor, identity, upper=False)
        shift *= 4
    raise ConvergenceError("The coarse Laplacian cannot be made positive definite; check it.")


def refine(
    smoother: DeviceSmoother, prolongation: PaddedRows, coefficients: torch.Tensor, count: int
) -> tuple[np.ndarray, torch.Tensor]:
    """The `count` lowest eigenpairs in the span of smoothed vectors.

    Values (n,) float64, ascending, and vectors (n, N) float32 on the device; otherwise as the function of the same name
    that is compiled, from (c, k) float32 coefficients.
    """
    planes = smoother.prolonged(prolongation, coefficients)
    vectors = smoother.stencil.inside(planes)
    for some in torch.split(vectors, COLUMNS):  # sums in double precision first make numbers of that size of all
        # The constant vector, which is a known eigenvector, is taken out of the others.
        some -= some.mean(1, keepdim=True, dtype=torch.float64).float()
    energies = [_inner_products(vectors, smoother.stencil.product(some)) for some in torch.split(planes, COLUMNS)]
    stiffness, mass = torch.cat(energies, dim=1).cpu().numpy(), _inner_products(vectors, vectors).cpu().numpy()
    # On the processor, where so small a problem takes no longer.
    values, mix = lowest_in_span(stiffness, mass, count - 1)
    place = int(np.searchsorted(values, 0))
    weights = torch.from_numpy(np.insert(mix, place, 0.0, axis=1)).to(vectors)
    lowest = weights.T @ vectors
    lowest[place] = lowest.shape[1] ** -0.5
    return np.insert(values, place, 0.0), lowest


def _inner_products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(k, l) float64 products of (k, N) and (l, N) float32 planes, in double precision over strips of pixels."""
    whole = left.shape[1] // _ROWS * _ROWS
    strips = [part[:, :whole].reshape(len(part), -1, _ROWS).transpose(0, 1) for part in (left, right)]
    products = torch.bmm(strips[0], strips[1].mT).sum(0, dtype=torch.float64)
    return products + (left[:, whole:] @ right[:, whole:].T).double()
