"""How far an alpha matte is from the true one: the four errors of the benchmark at alphamatting.com."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import correlate1d, label

from softseg.checks import ROUNDING
from softseg.errors import InputError

SIGMA = 1.4  # of the Gaussian whose derivatives are the gradient, in pixels
TAPS = 4  # on each side: where the Gaussian, of unit area, falls below 0.01
LEVELS = tuple(tenth / 10 for tenth in range(1, 11))  # opacities at which connectedness is looked at
THETA = 0.15  # a pixel this little above the opacity at which it is connected counts as connected
_SUMMED = 1000  # sums over pixels are given in thousands, as in the published tables


@dataclass(frozen=True)
class AlphaErrors:
    """The four errors; 0 is perfect.

    sad : sum of absolute differences, in thousands (of fully wrong pixels).
    mse : mean squared difference, in [0, 1]. The tables at alphamatting.com give it in thousandths.
    gradient : sum of squared differences of the lengths of the gradients, in thousands.
    connectivity : sum of absolute differences of the degrees of connectedness, in thousands.

    Sums grow with the number of pixels: compare them between methods on one photo, not between photos.
    """

    sad: float
    mse: float
    gradient: float
    connectivity: float


def alpha_errors(alpha: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> AlphaErrors:
    """SAD, MSE, gradient and connectivity error of an alpha matte.

    ``sum |a - t| / 1000``, ``mean (a - t)^2``, ``sum (|grad a| - |grad t|)^2 / 1000``, ``sum |phi_a - phi_t| / 1000``
    over the pixels of the mask. The gradients are by Gaussian derivatives of sigma 1.4 px, as filters of unit L2 norm.
    The connectedness of a pixel is ``phi = 1 - d [d >= 0.15]``, ``d = a - l``, with l the largest multiple of 0.1 at
    which the pixel is connected, through four neighbours that are all at least l in both mattes, to the source: the
    largest connected region of that kind at that l.

    Parameters
    ----------
    alpha : (h, w) floats in [0, 1].
    truth : (h, w) floats in [0, 1].
    mask : (h, w) booleans, the pixels that count, such as the unknown region of a trimap; None: all. Gradients and
        connectedness are those of the whole mattes all the same.

    Raises
    ------
    InputError : not finite (h, w) floats in [0, 1], of two shapes, or a mask without a pixel.

    Notes
    -----
    Source: Rhemann et al. 2009, A Perceptually Motivated Online Benchmark for Image Matting, Sec. 4, with the
    constants of the evaluation code that later benchmarks share (Xu et al. 2017). Differs from that code in: 1. Mattes
    are not stretched to [0, 1] before the gradient: one of too little contrast is wrong, and should be seen to be.
    2. Where no pixel is opaque enough in both mattes there is no source, and no pixel is connected to it.

    Examples
    --------
    >>> truth = np.zeros((20, 30))
    >>> truth[:, 10:] = 1
    >>> errors = alpha_errors(truth * 0.5, truth)
    >>> errors.sad, round(errors.mse, 4)
    (0.2, 0.1667)
    """
    alpha, truth = _check(alpha, "alpha"), _check(truth, "true alpha")
    if alpha.shape != truth.shape:
        raise InputError(f"the alpha has shape {alpha.shape}, the true one {truth.shape}; they must be of one photo")
    chosen = np.ones(truth.shape, bool) if mask is None else _check_mask(mask, truth.shape)
    difference = (alpha - truth)[chosen]
    slopes = (gradient_length(alpha) - gradient_length(truth))[chosen]
    degrees = np.subtract(*connectedness(alpha, truth))[chosen]
    return AlphaErrors(
        sad=float(np.abs(difference).sum()) / _SUMMED,
        mse=float((difference**2).mean()),
        gradient=float((slopes**2).sum()) / _SUMMED,
        connectivity=float(np.abs(degrees).sum()) / _SUMMED,
    )


def gradient_length(alpha: np.ndarray) -> np.ndarray:
    """(h, w) length of the gradient by Gaussian derivatives, borders repeated."""
    x = np.arange(-TAPS, TAPS + 1)
    smooth = np.exp(-(x**2) / (2 * SIGMA**2))
    slope = x * smooth
    # The two-dimensional filter is the product of these two, and so is its norm.
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    along_x = correlate1d(correlate1d(alpha, slope, axis=1, mode="nearest"), smooth, axis=0, mode="nearest")
    along_y = correlate1d(correlate1d(alpha, slope, axis=0, mode="nearest"), smooth, axis=1, mode="nearest")
    return np.asarray(np.hypot(along_x, along_y))


def connectedness(alpha: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) degrees of connectedness to the source that both mattes share, of each of them."""
    connected_at = np.zeros(alpha.shape)
    connected = np.ones(alpha.shape, bool)
    both = np.minimum(alpha, truth)
    for level in LEVELS:
        connected &= _largest_region(both >= level - ROUNDING)
        connected_at[connected] = level
    alpha_above, truth_above = alpha - connected_at, truth - connected_at
    return 1 - alpha_above * (alpha_above >= THETA), 1 - truth_above * (truth_above >= THETA)


def _largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest part of the mask that is connected by four neighbours; of equals, the first in row-major order."""
    regions, count = label(mask)
    if not count:
        return mask
    return np.asarray(regions == 1 + np.argmax(np.bincount(regions.ravel(), minlength=count + 1)[1:]))


def _check(alpha: Any, name: str) -> np.ndarray:
    """The matte as float64 in [0, 1]."""
    array = np.asarray(alpha)
    if array.ndim != 2 or array.dtype.kind != "f" or array.size == 0:
        raise InputError(
            f"the {name} has shape {array.shape} and type {array.dtype}, expected (h, w) floats in [0, 1]; divide "
            "bytes by 255 first"
        )
    if not (array.min() >= -ROUNDING and array.max() <= 1 + ROUNDING):  # also where there is a NaN
        raise InputError(
            f"the {name} spans [{array.min():g}, {array.max():g}], expected values in [0, 1]; cut it first"
        )
    return array.astype(np.float64).clip(0, 1)


def _check_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(mask)
    if array.shape != shape or array.dtype != bool or not array.any():
        raise InputError(
            f"the mask has shape {array.shape}, type {array.dtype} and {np.count_nonzero(array)} pixels that count; "
            f"expected booleans of shape {shape}, at least one of them true"
        )
    return array
