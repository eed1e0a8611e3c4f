"""The projection to the simplex: alphas that are at least zero and sum to one."""

from __future__ import annotations

import numpy as np


def project_to_simplex(alphas: np.ndarray) -> np.ndarray:
    """Nearest alphas that are at least zero and sum to one, pixel by pixel.

    ``min |a - alpha|^2`` subject to ``a >= 0, sum_k a_k = 1``; `alphas` is (K, ...), the result float32. It is
    ``max(alpha - t, 0)``, t such that the sum is one.

    Notes
    -----
    Source: Michelot 1986. With t from all layers, those not above it are left out, until all that are left are above
    their t; at most K rounds, and mostly two.

    Examples
    --------
    >>> import numpy as np
    >>> project_to_simplex(np.array([[1.0], [0.5], [-0.5]])).tolist()
    [[0.75], [0.25], [0.0]]
    """
    from softseg.segments.simplex_kernel import BLOCK, simplex_kernel  # brings the compiler along

    single = np.asarray(alphas).dtype == np.float32
    planes = np.array(alphas, np.float32 if single else np.float64, order="C").reshape(len(alphas), -1)  # writable
    result = np.empty(planes.shape, np.float32)
    rows = np.empty((4, BLOCK), planes.dtype)
    simplex_kernel(planes.dtype)(planes, rows, result)
    return result.reshape(np.shape(alphas))
