"""Constrained sparsification: combinations of eigenvectors that are nearly 0 or 1 everywhere and sum to one."""

from __future__ import annotations

import numpy as np
import torch

from softseg.errors import ConvergenceError, InputError
from softseg.settings import ConstrainedSettings
from softseg.spectrum import Eigenbasis

_TINY = 1e-10  # keeps the weights |alpha|^(gamma - 2) finite where an alpha is exactly 0 or 1
_PAIR_BYTES = 1 << 29  # the pairwise products of eigenvector columns are kept when they need no more than this

_CHUNK = 4096  # pixels; their rows of V fit into a processor's cache


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
    settings : exponent, weight, iterations, and the number of pixels on which the fit is made (None: all of them).
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
    small system per layer and a shared multiplier. 2. The fit may use a random sample of the pixels, shared out among
    superpixels where these are given.

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
    basis: Eigenbasis,
    initial_labels: np.ndarray,
    settings: ConstrainedSettings,
    *,
    seed: int = 0,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """(m', N) soft segments in the span of an eigenbasis; see `constrained_sparsification`.

    `strata` are superpixels, integers of N entries, each of which gets its share of the sample: what is even inside of
    them is then summed without error.
    """
    labels = initial_labels.reshape(-1)
    pixels = _sample(labels.size, settings.sample, seed, strata)
    # A sum over s of N pixels is s / N of the whole sum on average: the energy of the graph must shrink with it.
    coefficients = _sparsify(
        torch.from_numpy(np.ascontiguousarray(basis.rows(pixels))),
        torch.from_numpy(basis.values * (len(pixels) / labels.size)),
        labels[pixels],
        torch.from_numpy(basis.ones()),
        settings,
    )
    return np.ascontiguousarray(basis.expand(coefficients.T.numpy()).T)


def _sparsify(
    basis: torch.Tensor,
    values: torch.Tensor,
    labels: np.ndarray,
    ones: torch.Tensor,
    settings: ConstrainedSettings,
) -> torch.Tensor:
    """(m', n) coefficients y_k, fitted on the rows of `basis` (s, n) that are given.

    `ones` is V^T 1 over *all* pixels, the coefficients of the constant vector; `labels` is (s,).
    """
    present = np.unique(labels)
    alphas = torch.from_numpy((labels[:, None] == present).astype(np.float64))
    drops = {1 + round(settings.iterations * quarter / 4) for quarter in (1, 2, 3)}
    pairs = _pair_products(basis)
    coefficients = ones.new_zeros(len(present), len(ones))
    for iteration in range(1, settings.iterations + 1):
        to_one = settings.weight**settings.gamma * (alphas - 1).abs().clamp_min(_TINY) ** (settings.gamma - 2)
        to_zero = settings.weight**settings.gamma * alphas.abs().clamp_min(_TINY) ** (settings.gamma - 2)
        systems = _weighted_grams(basis, pairs, to_one + to_zero) + torch.diag(values)
        coefficients = _solve_with_unit_sum(systems, to_one.T @ basis, ones)
        alphas = basis @ coefficients.T
        if iteration in drops:
            kept = alphas.abs().amax(0) > settings.drop_below
            if bool(kept.any()):  # nothing but layers that fade would leave no layer at all
                alphas, coefficients = alphas[:, kept], coefficients[kept]
    # Differs from the released code in: 3. Layers dropped last took their small share with them; it is given back
    # evenly, so that the sum is one whatever the number of iterations.
    return coefficients + (ones - coefficients.sum(0)) / len(coefficients)


def _solve_with_unit_sum(systems: torch.Tensor, right: torch.Tensor, ones: torch.Tensor) -> torch.Tensor:
    """y_k = A_k^-1 (b_k - mu), with the one multiplier mu for which sum_k y_k = V^T 1."""
    factors, failed = torch.linalg.cholesky_ex(systems)
    if bool(failed.any()):
        raise ConvergenceError(
            "The sparsification met a singular system: the eigenvectors are not linearly independent on the sampled "
            "pixels. Use fewer eigenvectors or more sampled pixels."
        )
    free = torch.cholesky_solve(right.unsqueeze(2), factors).squeeze(2)
    inverses = torch.cholesky_inverse(factors)
    multiplier: torch.Tensor = torch.linalg.solve(inverses.sum(0), free.sum(0) - ones)
    return free - inverses @ multiplier


def _pair_products(basis: torch.Tensor) -> torch.Tensor | None:
    """(s, n (n + 1) / 2) products of every two columns; None when they would take too much memory."""
    n = basis.shape[1]
    if len(basis) * n * (n + 1) * 4 > _PAIR_BYTES:
        return None
    first, second = torch.triu_indices(n, n)
    return basis[:, first] * basis[:, second]


def _weighted_grams(basis: torch.Tensor, pairs: torch.Tensor | None, weights: torch.Tensor) -> torch.Tensor:
    """(m, n, n): V^T diag(weights[:, k]) V for every layer k.

    With the pair products at hand all layers are one matrix product at half the work.
    """
    n = basis.shape[1]
    grams = basis.new_zeros(weights.shape[1], n, n)
    if pairs is None:
        for rows, row_weights in zip(torch.split(basis, _CHUNK), torch.split(weights, _CHUNK), strict=True):
            for gram, column in zip(grams, row_weights.T, strict=True):
                gram.addmm_(rows.T, rows * column.unsqueeze(1))
        return grams
    packed = weights.T @ pairs
    first, second = torch.triu_indices(n, n)
    grams[:, first, second] = packed
    grams[:, second, first] = packed
    return grams


def _sample(total: int, count: int | None, seed: int, strata: np.ndarray | None = None) -> np.ndarray:
    """Sorted indices of `count` random pixels out of `total` (all of them when None or not fewer).

    With strata, every (total / count)-th of the pixels in the order of their stratum, at random within each.
    """
    if count is None or count >= total:
        return np.arange(total)
    rng = np.random.default_rng(seed)
    if strata is None:
        return np.sort(rng.choice(total, count, replace=False))
    if strata.size != total:
        raise InputError(f"strata {strata.shape} do not have the {total} pixels of the labels.")
    ordered = np.lexsort((rng.random(total), strata.reshape(-1)))
    return np.sort(ordered[((np.arange(count) + rng.random()) * (total / count)).astype(np.int64)])


def _check(vectors: np.ndarray, values: np.ndarray, initial_labels: np.ndarray) -> None:
    labels = np.asarray(initial_labels).reshape(-1)
    if vectors.ndim != 2 or values.shape != (vectors.shape[1],) or labels.shape != (vectors.shape[0],):
        raise InputError(
            f"vectors {vectors.shape}, values {values.shape} and initial_labels {np.shape(initial_labels)} do not "
            "belong together: expected (N, n), (n,) and N labels."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(f"initial_labels must be integers 0..m-1; got {labels.dtype} with minimum {labels.min()}.")
