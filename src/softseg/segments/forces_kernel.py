"""What pulls the alphas of the constrained sparsification, in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from softseg.compiled import kernel


@cache
def forces_kernel() -> Callable[..., None]:
    """`_forces`, compiled or from the compiler's cache."""
    return kernel(_forces, *[np.zeros(1)] * 4)


def _forces(to_one: np.ndarray, to_zero: np.ndarray, alphas: np.ndarray, forces: np.ndarray) -> None:
    """forces <- e1 (1 - alpha) - e0 alpha, all of one length.

    Not e1 - (e1 + e0) alpha: where an alpha is nearly 1, e1 is 1e12.
    """
    for p in range(len(forces)):
        forces[p] = to_one[p] * (1 - alphas[p]) - to_zero[p] * alphas[p]
