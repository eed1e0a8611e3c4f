"""Spectral Matting (Levin, Rav-Acha, Lischinski 2008): matting components from the colours of a photo alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from softseg.baselines.feature_clusters import best_centers
from softseg.errors import ImageError, InputError
from softseg.graph import laplacian, matting_affinity
from softseg.images import load_photo
from softseg.progress import Progress, Stopwatch
from softseg.segments.constrained import fit_segments
from softseg.settings import ConstrainedSettings, Settings, Solver, SpectrumSettings
from softseg.spectrum import Eigenbasis, eigenbasis

_START_VECTORS = 20  # released: the k-means at the start sees this many eigenvectors after the constant one
_LEAST_VALUE = 1e-10  # eigenvalues of photos other than the zero of the constant are above 1e-8; below is rounding
_GAMMA = 0.8  # released; the exponent of the sparsity
_SCALE = 1e3  # measured: 368 solves with 1, 240 with 10, 208 with 100, 1e3 and 1e4


def spectral_matting(
    image: Any,
    *,
    eigenvectors: int = 50,
    components: int = 20,
    iterations: int = 20,
    solver: Solver = "exact",
    seed: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """Matting components of a photo: nearly binary combinations of the matting Laplacian's smallest eigenvectors.

    Minimises ``sum_k sum_p |alpha_kp|^g + |1 - alpha_kp|^g`` with ``alpha_k = V y_k`` and ``sum_k alpha_k = 1``, V the
    eigenvectors of ``L = diag(W 1) - W`` of the matting affinity W, from a k-means of V diag(values)^(-1/2).

    Parameters
    ----------
    image : path, PIL image, or array of shape (h, w, 3), uint8, uint16 or float in [0, 1]; at least 16 x 16 pixels.
    eigenvectors : columns of V, the constant one among them; a quarter of the pixels at most.
    components : clusters at the start, at least 2.
    iterations : rounds of reweighted least squares; at every quarter, components that have vanished are dropped.
    solver : "exact", or "fast": eigenvectors from the coarse space of `softseg.spectrum`, which takes seconds where the
        exact ones take minutes.
    seed : of the k-means. One seed gives one result; another gives other components, not just in another order.
    progress : is told of every stage (`softseg.progress.Progress`).

    Returns
    -------
    (m, h, w) float64 array, m <= `components`, largest component first. They sum to one at every pixel within rounding.
    Single values may leave [0, 1], by up to 1 at a few pixels, as those of the released code do.

    Raises
    ------
    ImageError : the photo cannot be used, for example one of a single colour.
    InputError : a number that has no meaning here, or an unknown solver.
    ConvergenceError : the eigenvectors, or the sparsification, did not converge.

    Notes
    -----
    Sources: Levin, Rav-Acha, Lischinski 2008; the numbers are those with which Aksoy et al. 2018 compare. Differs from
    their implementation ("released") in: 1. Only the sparsity is minimised, as in the paper; the released code adds
    ``sum_k y_k^T diag(values) y_k``. 2. The k-means is the best of ten runs from k-means++; the released one splits
    clusters one by one. 3. The start is from the smallest eigenvectors, in whatever order a library returns them.
    What these change is measured in docs/method.md, Spectral Matting.

    Components that mean the same become layers by their semantic features, `softseg.segments.group`, as below.

    Examples
    --------
    >>> import numpy as np
    >>> from softseg.segments import group
    >>> photo = np.random.default_rng(0).random((16, 24, 3)) * 0.1
    >>> photo[:, 12:] += 0.8
    >>> parts = spectral_matting(photo, eigenvectors=10, components=4)
    >>> parts.shape[1:], bool(np.allclose(parts.sum(axis=0), 1))
    ((16, 24), True)
    >>> layers, _ = group(parts, photo, 2)
    >>> (layers.reshape(2, 16, 24)[:, 8, [0, -1]] > 0.9).tolist()
    [[True, False], [False, True]]
    """
    _check(eigenvectors, components, iterations, solver)
    photo = load_photo(image)
    pixels = photo.pixels
    if np.ptp(pixels, axis=(0, 1)).max() == 0:
        raise ImageError(f"{photo.name} has one colour everywhere: there is nothing to separate; choose another photo")
    stage = Stopwatch(progress)
    with stage("affinities"):
        graph = matting_laplacian(pixels)
    with stage("eigenvectors"):
        basis = smallest_eigenvectors(graph, pixels, eigenvectors, solver)
    with stage("constrained sparsification"):
        start = initial_components(basis, components, seed=seed)
        # The fast route fits on a sample of the pixels: here are no superpixels whose means would stand for them.
        sample = Settings.for_solver(solver).constrained.sample
        found = matting_components(basis, start, iterations, sample=sample, seed=seed)
    return found.reshape(-1, *pixels.shape[:2])


def matting_laplacian(image: np.ndarray) -> sp.csr_array:
    """``diag(W 1) - W`` of the matting affinity alone: (N, N), positive semidefinite up to rounding."""
    matting = matting_affinity(image)
    nothing = sp.csr_array(matting.shape)
    return laplacian(matting, nothing, nothing)


def smallest_eigenvectors(graph: sp.csr_array, image: np.ndarray, count: int, solver: Solver) -> Eigenbasis:
    """The eigenvectors of smallest eigenvalue; as `softseg.spectrum.eigenbasis`, made for this Laplacian.

    The exact route factorises ``L + 0.001 Id``: the semantic graph has negative eigenvalues. This one has none, and the
    eigenvalues wanted are below 0.0002. Shifted by as little as 1e-6 they lie further apart under inversion and
    converge sooner: in 208 solves instead of 368 at 0.1 megapixels, in a fifth of the time at 0.4 (docs/method.md).
    Eigenvectors of 1000 L are those of L.
    """
    scale = _SCALE if solver == "exact" else 1.0
    basis = eigenbasis(graph * scale, image, SpectrumSettings(count=count, solver=solver))
    return replace(basis, values=basis.values / scale)


def initial_components(basis: Eigenbasis, count: int, *, seed: int = 0) -> np.ndarray:
    """(N,) hard labels 0..m-1, m <= count: k-means of the eigenvectors, each divided by the root of its eigenvalue.

    The constant eigenvector says nothing about the difference of two pixels, and its eigenvalue of zero nothing about
    its weight: it is left out. It is known by its sum, not its place. Eigenvalues have a floor, so that no rounding
    error becomes a weight.
    """
    constant = np.abs(basis.ones()).argmax()
    ascending = np.argsort(np.abs(basis.values), kind="stable")
    chosen = ascending[ascending != constant][:_START_VECTORS]
    weights = np.maximum(np.abs(basis.values[chosen]), _LEAST_VALUE) ** -0.5
    points = basis.expand(np.eye(len(basis.values))[:, chosen] * weights)
    nearest = cKDTree(best_centers(points, count, seed)).query(points)[1]
    return np.unique(nearest, return_inverse=True)[1].reshape(-1)


def matting_components(
    basis: Eigenbasis, start: np.ndarray, iterations: int = 20, *, sample: int | None = None, seed: int = 0
) -> np.ndarray:
    """(m, N) components, largest first, in the span of the eigenvectors, from (N,) hard labels.

    The paper's Newton steps are reweighted least squares. Where all labels are hard the weights are the same everywhere
    up to 1e-12: the first round is the paper's projection of the clusters into the span.
    """
    # Differs from the released code in: 1. Eigenvalues of zero take the energy of the graph out of the objective.
    sparsity_only = replace(basis, values=np.zeros_like(basis.values))
    settings = ConstrainedSettings(iterations=iterations, gamma=_GAMMA, sample=sample)
    found = fit_segments(sparsity_only, start, settings, seed=seed)
    return np.asarray(found[np.argsort(-found.sum(axis=1), kind="stable")])


def _check(eigenvectors: int, components: int, iterations: int, solver: str) -> None:
    """What can be said of the request before the photo is read."""
    least = {"eigenvectors": (eigenvectors, 2), "components": (components, 2), "iterations": (iterations, 1)}
    for name, (value, minimum) in least.items():
        if not isinstance(value, int | np.integer) or value < minimum:
            raise InputError(f"{name} is {value!r}; choose a whole number from {minimum}")
    if solver not in get_args(Solver):
        raise InputError(f"the solver is {solver!r}; choose one of: {', '.join(get_args(Solver))}")
