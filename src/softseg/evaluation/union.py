"""Which layers together explain a true alpha best: all subsets, exactly."""

from __future__ import annotations

import numpy as np

from softseg.errors import InputError

MOST = 12  # layers: 4,096 subsets


def best_union(
    layers: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None
) -> tuple[tuple[int, ...], np.ndarray]:
    """The subset S of layers that minimises ``sum_p (sum_{k in S} layers_kp - truth_p)^2``, and their sum.

    Parameters
    ----------
    layers : (K, h, w) floats, K at most 12.
    truth : (h, w) floats, the alpha to be explained.
    mask : (h, w) booleans, the pixels that count; None: all.

    Returns
    -------
    subset : indices of the layers, ascending; may be empty, and may be all of them. Of equals, the one with the fewest
        layers, and of those the first.
    union : (h, w) float64, their sum, cut to [0, 1].

    Raises
    ------
    InputError : more than 12 layers, none, or arrays that do not belong together.

    Notes
    -----
    With ``G_kl = sum_p layers_kp layers_lp`` and ``b_k = sum_p layers_kp truth_p`` the error of the subset with
    indicator s is ``s^T G s - 2 b^T s + sum_p truth_p^2``, so that no subset is looked at pixel by pixel.

    Examples
    --------
    >>> layers = np.array([[[1.0, 0, 0]], [[0, 0.5, 0]], [[0, 0.5, 1]]])
    >>> best_union(layers, np.array([[1.0, 0.6, 0]]))
    ((0, 1), array([[1. , 0.5, 0. ]]))
    """
    stack, alpha = _check(layers, truth)
    counted = slice(None) if mask is None else _check_mask(mask, alpha.shape).ravel()
    flat, goal = stack.reshape(len(stack), -1)[:, counted], alpha.ravel()[counted]
    subsets = all_subsets(len(stack))
    error = np.einsum("sk,kl,sl->s", subsets, flat @ flat.T, subsets) - 2 * subsets @ (flat @ goal)
    # equal up to rounding: fewest layers first
    near = np.flatnonzero(error <= error.min() + 1e-9 * max(1.0, float(goal @ goal)))
    best = subsets[near[0]].astype(bool)
    return tuple(int(k) for k in np.flatnonzero(best)), stack[best].sum(axis=0).clip(0, 1)


def all_subsets(count: int) -> np.ndarray:
    """(2^count, count) indicators of every subset, those with fewest members first."""
    members = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    return members[np.argsort(members.sum(axis=1), kind="stable")].astype(np.float64)


def _check(layers: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stack, alpha = np.asarray(layers, np.float64), np.asarray(truth, np.float64)
    if stack.ndim != 3 or alpha.ndim != 2 or stack.shape[1:] != alpha.shape or not len(stack):
        raise InputError(
            f"the layers have shape {stack.shape} and the true alpha {alpha.shape}, expected (K, h, w) and (h, w)"
        )
    if len(stack) > MOST:
        raise InputError(
            f"{len(stack)} layers were given, but all subsets are looked at and at most {MOST} layers can be; ask for "
            "fewer layers"
        )
    return stack, alpha


def _check_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(mask)
    if array.shape != shape or array.dtype != bool or not array.any():
        raise InputError(
            f"the mask has shape {array.shape} and type {array.dtype}, expected booleans of shape {shape}, at least "
            "one of them true"
        )
    return array
