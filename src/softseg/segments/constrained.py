"""Constrained sparsification: combinations of eigenvectors that are nearly 0 or 1 everywhere and sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch

from softseg.errors import ConvergenceError, InputError
from softseg.segments.fitted_rows import FittedRows, fitted_rows
from softseg.segments.rough_systems import RoughSystems
from softseg.segments.weighted_grams import RoughGrams, WeightedGrams
from softseg.settings import ConstrainedSettings
from softseg.spectrum import Basis, Eigenbasis

# A correction of the alphas not above this is the last one: it makes the error a thousand times smaller than itself.
_LAST_CORRECTION = 1e-6
# Largest weight over the least of its layer, where a system is singular in double precision. With the released floor
# weights span 12 digits, which exact eigenvectors bear; those in single precision, in all pixels, did not on 2 photos.
_LIMITS = (1e10, 1e8)
_CORRECTIONS = 4  # measured: two or three are enough; where four are not, the round is solved again in double precision


def constrained_sparsification(
    vectors: np.ndarray,
    values: np.ndarray,
    initial_labels: np.ndarray,
    settings: ConstrainedSettings | None = None,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Soft segments in the span of the eigenvectors, as close to binary as can be, summing to one.

    Minimises ``sum_k sum_p w^g (|alpha_kp|^g + |1 - alpha_kp|^g) + y_k^T Lambda y_k`` with ``alpha_k = V y_k`` and
    ``sum_k alpha_k = 1`` by 40 rounds of reweighted least squares, dropping layers that have vanished.

    Parameters
    ----------
    vectors : (N, n) float array V, orthonormal eigenvectors of the Laplacian whose span holds the constant vector.
    values : (n,) float array, the eigenvalues Lambda; small negative ones are fine.
    initial_labels : integer array of N entries (any shape, row-major), the hard segments 0..m-1 to start from.
    settings : exponent, weight, iterations, and the number of pixels on which the fit is made (None: all of them). No
        superpixels are known here: their means play no part.
    seed : chooses those pixels.

    Returns
    -------
    (m', N) float64 array, m' <= m; each column sums to one within rounding. Values may leave [0, 1] a little.

    Raises
    ------
    InputError : the arrays do not belong together, or labels are negative.
    ConvergenceError : a system became singular; fewer or better eigenvectors are needed.

    Notes
    -----
    Sources: Levin et al. 2008 (Spectral Matting), Sec. 4; Aksoy et al. 2018, Sec. 3.5. Differs from the released
    implementation in: 1. It eliminates the last layer and solves one dense system of all layers; since the constant
    vector lies in span(V), the sum-to-one constraint is the same for every pixel, and the minimiser comes from one
    small system per layer and a shared multiplier. 2. The fit may use a random sample of the pixels, or the means of
    superpixels (`fit_segments`).

    Examples
    --------
    >>> import numpy as np
    >>> V = np.linalg.qr(np.repeat([[1.0, 0], [1, 1]], 50, axis=0))[0]
    >>> alphas = constrained_sparsification(V, np.zeros(2), np.repeat([0, 1], 50))
    >>> np.round(alphas[:, [0, 99]], 3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _check(vectors, values, initial_labels)
    basis = Eigenbasis(np.asarray(values, dtype=np.float64), np.asarray(vectors, dtype=np.float64), None, {})
    return fit_segments(basis, np.asarray(initial_labels), settings or ConstrainedSettings(), seed=seed)


def fit_segments(
    basis: Basis,
    initial_labels: np.ndarray,
    settings: ConstrainedSettings,
    *,
    seed: int = 0,
    superpixels: np.ndarray | None = None,
    device: torch.device | None = None,
) -> np.ndarray:
    """(m', N) soft segments in the span of an eigenbasis; see `constrained_sparsification`.

    `superpixels` are integers 0..s-1 of N entries, for settings that ask for their means. With a `device`, the rounds
    are solved there, in plain PyTorch and double precision.
    """
    fitted = fitted_rows(basis, initial_labels.reshape(-1), settings, seed=seed, superpixels=superpixels)
    return basis.combine(_sparsify(basis, fitted, settings, device).cpu().numpy())


def _sparsify(
    eigenbasis: Basis, fitted: FittedRows, settings: ConstrainedSettings, device: torch.device | None
) -> torch.Tensor:
    """(m', n) coefficients y_k, from the (s, n) rows to which they are fitted.

    On the processor, where some rows stand for all pixels, each round is solved to almost all digits of double
    precision from systems that are mostly single precision.
    """
    where = device or torch.device("cpu")
    basis = torch.from_numpy(fitted.rows).to(where)
    # Differs from the compiled route in: 4. On a device, all rounds are double precision.
    way = _RefinedRounds if device is None and len(fitted.rows) < eigenbasis.pixels else _DirectRounds
    # V^T 1 of *all* pixels, the coefficients of the constant vector
    ones = torch.from_numpy(eigenbasis.ones()).to(where)
    # A sum over s of N pixels is s / N of the whole sum on average: the energy of the graph must shrink with it.
    values = torch.from_numpy(eigenbasis.values * (len(basis) / eigenbasis.pixels)).to(where)
    rounds = way(basis, values, ones)
    present = np.unique(fitted.labels)
    alphas = torch.from_numpy((fitted.labels[:, None] == present).astype(np.float64)).to(where)
    drops = {1 + round(settings.iterations * quarter / 4) for quarter in (1, 2, 3)}
    coefficients = ones.new_zeros(len(present), len(ones))
    counts = settings.weight**settings.gamma * torch.from_numpy(fitted.shares).to(where)[:, None]
    # Differs from the released code in: 5. The pipeline asks for fewer rounds, after which more segments are left.
    # 7. And for higher floors: what is 0 or 1 by chance after an early round weighs no more than what is near it.
    for iteration, floor in enumerate(settings.floors, 1):
        to_one = counts * (alphas - 1).abs().clamp_min(floor) ** (settings.gamma - 2)
        to_zero = counts * alphas.abs().clamp_min(floor) ** (settings.gamma - 2)
        coefficients, alphas = rounds.solve(to_one, to_zero)
        if iteration in drops:
            kept = alphas.abs().amax(0) > settings.drop_below
            if bool(kept.any()):  # nothing but layers that fade would leave no layer at all
                alphas, coefficients = alphas[:, kept], coefficients[kept]
    # Differs from the released code in: 3. Layers dropped last took their small share with them; it is given back
    # evenly, so that the sum is one whatever the number of iterations.
    return coefficients + (ones - coefficients.sum(0)) / len(coefficients)


class _DirectRounds:
    """One round of least squares after the other: the (m, n) coefficients y_k and the (s, m) alphas V y_k."""

    def __init__(self, basis: torch.Tensor, values: torch.Tensor, ones: torch.Tensor) -> None:
        self._basis, self._values, self._ones = basis, values, ones
        self._grams = WeightedGrams(basis)

    def solve(self, to_one: torch.Tensor, to_zero: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The minimiser for the (s, m) weights of (alpha - 1)^2 and of alpha^2."""
        least = (to_one + to_zero).amin(0)
        for values, limit in product((self._values, self._values.clamp_min(0)), (None, *_LIMITS)):
            # Differs from the released code in: 4. Weights that double precision cannot sum are limited: a pixel that
            # is held so firmly stays where it is. 6. Where the energy falls without end along an eigenvector of
            # negative eigenvalue, faster than what keeps alphas at 0 and 1 rises, that eigenvalue counts as 0.
            one, zero = (
                weights if limit is None else weights.clamp_max(limit * least) for weights in (to_one, to_zero)
            )
            systems = _Systems.of(self._grams(one + zero) + torch.diag(values))
            if systems is not None:
                coefficients = systems.solve_with_sum(one.T @ self._basis, self._ones)
                return coefficients, self._basis @ coefficients.T
        raise ConvergenceError(
            "The sparsification met a singular system: the eigenvectors are not linearly independent on the "
            "pixels or superpixels of the fit. Use fewer eigenvectors, or more pixels or superpixels."
        )


class _RefinedRounds:
    """The same by iterative refinement: rough systems, whose solution is corrected by what is left, in all digits."""

    def __init__(self, basis: torch.Tensor, values: torch.Tensor, ones: torch.Tensor) -> None:
        self._basis, self._values, self._ones = basis, values, ones
        self._grams = RoughGrams(basis)

    def solve(self, to_one: torch.Tensor, to_zero: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_DirectRounds.solve`."""
        return self._solve_roughly(to_one, to_zero) or self._direct.solve(to_one, to_zero)

    @cached_property
    def _direct(self) -> _DirectRounds:
        """What the rough systems are seldom in need of."""
        return _DirectRounds(self._basis, self._values, self._ones)

    def _solve_roughly(self, to_one: torch.Tensor, to_zero: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """None where the systems are too rough for that."""
        systems = RoughSystems.of(self._grams(to_one + to_zero), self._values)
        if systems is None:
            return None
        coefficients = systems.solve_with_sum(to_one.T @ self._basis, self._ones)
        alphas = self._basis @ coefficients.T
        for _ in range(_CORRECTIONS):
            # b_k - A_k y_k, with A_k in all digits
            left = _forces(to_one, to_zero, alphas).T @ self._basis - coefficients * self._values
            correction = systems.solve_with_sum(left, torch.zeros_like(self._ones))
            change = self._basis @ correction.T
            coefficients += correction
            alphas += change
            if float(change.abs().max()) <= _LAST_CORRECTION:
                return coefficients, alphas
        return None


def _forces(to_one: torch.Tensor, to_zero: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """e1 (1 - alpha) - e0 alpha, (s, m)."""
    from softseg.segments.forces_kernel import forces_kernel  # brings the compiler along

    forces = torch.empty(alphas.shape, dtype=alphas.dtype)
    forces_kernel()(
        *(array.contiguous().reshape(-1).numpy() for array in (to_one, to_zero, alphas)), forces.view(-1).numpy()
    )
    return forces


@dataclass(frozen=True)
class _Systems:
    """A_k of every layer, factorised."""

    factors: torch.Tensor  # (m, n, n), Cholesky: A_k = C_k C_k^T
    inverses: torch.Tensor  # (m, n, n), C_k^-1
    shared: torch.Tensor  # (n, n), the sum of the A_k^-1

    @classmethod
    def of(cls, systems: torch.Tensor) -> _Systems | None:
        """None where one of the (m, n, n) systems is not positive definite."""
        factors, failed = torch.linalg.cholesky_ex(systems)
        if bool(failed.any()):
            return None
        identity = torch.eye(systems.shape[1], dtype=systems.dtype, device=systems.device).expand_as(systems)
        # Not `cholesky_inverse`, which takes seven times as long on two threads as on one.
        inverses = torch.linalg.solve_triangular(factors, identity, upper=False)
        rows = inverses.reshape(-1, systems.shape[1])
        return cls(factors, inverses, rows.T @ rows)

    def solve_with_sum(self, right: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """y_k = A_k^-1 (b_k - mu), with the one multiplier mu for which sum_k y_k is `total`."""
        free = torch.cholesky_solve(right.unsqueeze(2), self.factors).squeeze(2)
        multiplier: torch.Tensor = torch.linalg.solve(self.shared, free.sum(0) - total)
        return free - (self.inverses.mT @ (self.inverses @ multiplier).unsqueeze(2)).squeeze(2)


def _check(vectors: np.ndarray, values: np.ndarray, initial_labels: np.ndarray) -> None:
    labels = np.asarray(initial_labels).reshape(-1)
    if vectors.ndim != 2 or values.shape != (vectors.shape[1],) or labels.shape != (vectors.shape[0],):
        raise InputError(
            f"vectors {vectors.shape}, values {values.shape} and initial_labels {np.shape(initial_labels)} do not "
            "belong together: expected (N, n), (n,) and N labels."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(f"initial_labels must be integers 0..m-1; got {labels.dtype} with minimum {labels.min()}.")
