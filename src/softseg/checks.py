"""The forms that arrays must have at the boundary: what arrived, what was expected, what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from softseg.errors import ImageError, InputError

# Rounding of float32 arithmetic may leave [0, 1] by this much; such values are cut, anything further out is refused.
ROUNDING = 1e-6


def check_image(image: Any, *, minimum_side: int = 1, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The image as float64, if it is one: (h, w, 3) floats, finite, in [0, 1].

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], sRGB as stored.
    minimum_side : smallest height and width, in pixels.
    shape : (h, w) that the image must have; None: any.

    Returns
    -------
    (h, w, 3) float64 array in [0, 1]; the argument itself where nothing had to change.

    Raises
    ------
    ImageError : any of the above does not hold.

    Examples
    --------
    >>> import numpy as np
    >>> check_image(np.zeros((4, 5, 3), dtype=np.float32)).dtype
    dtype('float64')
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(f"the image array has shape {array.shape}, expected (h, w, 3){shape_advice(array.shape)}")
    pixels = check_unit_range(array)
    height, width = pixels.shape[:2]
    if min(height, width) < minimum_side:
        raise ImageError(
            f"the image has {width} x {height} pixels, expected at least {minimum_side} x {minimum_side}; "
            "pass a larger image"
        )
    if shape is not None and (height, width) != tuple(shape):
        raise ImageError(
            f"the image has (h, w) = {(height, width)}, expected {tuple(shape)}; pass the image of that size"
        )
    return pixels


def check_unit_range(array: np.ndarray) -> np.ndarray:
    """The array as float64, if its values are finite floats in [0, 1] up to rounding; else ImageError."""
    if array.dtype.kind != "f":
        advice = "; divide it by 255 first" if array.dtype == np.uint8 else "; convert it to floats in [0, 1] first"
        raise ImageError(f"the image array has type {array.dtype}, expected floats in [0, 1]{advice}")
    pixels = array.astype(np.float64, copy=False)
    if pixels.size == 0:
        raise ImageError(f"the image array has shape {array.shape}, expected at least one pixel; pass a larger image")
    low, high = float(pixels.min()), float(pixels.max())  # NaN wherever there is one
    if not np.isfinite(low + high):
        broken = int(np.count_nonzero(~np.isfinite(pixels)))
        raise ImageError(
            f"the image array has {broken} values that are NaN or infinite, expected finite values in [0, 1]; "
            "replace them first, for example with np.nan_to_num"
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ImageError(
            f"the image array has values from {low:g} to {high:g}, expected [0, 1]{_range_advice(low, high)}"
        )
    return pixels if low >= 0 and high <= 1 else pixels.clip(0, 1)


def check_labels(labels: Any) -> np.ndarray:
    """The label map as int64, if it is one: (h, w) integers in which every label 0 .. m-1 occurs.

    Raises
    ------
    InputError : another shape or type, a negative label, or a gap in the labels.

    Examples
    --------
    >>> check_labels([[0, 1], [2, 2]]).shape
    (2, 2)
    """
    array = np.asarray(labels)
    if array.ndim != 2 or array.dtype.kind not in "iu" or array.size == 0:
        raise InputError(f"the labels have shape {array.shape} and type {array.dtype}, expected (h, w) integers")
    low, high = int(array.min()), int(array.max())
    if low < 0:
        raise InputError(f"the smallest label is {low}, expected labels 0 .. m-1; give unlabelled pixels a label too")
    # The first test keeps a stray huge label from allocating a histogram of its size.
    if high >= array.size or np.bincount(array.ravel()).min() == 0:
        raise InputError(
            f"not every label from 0 to {high} occurs, expected labels 0 .. m-1 without a gap; "
            "renumber them with np.unique(labels, return_inverse=True)"
        )
    return array.astype(np.int64, copy=False)


def check_map(values: Any, shape: tuple[int, int], name: str) -> np.ndarray:
    """Per-pixel values as (h, w, D) float64, if they are finite and of the image's size; (h, w) gains a last axis.

    Parameters
    ----------
    values : (h, w, D) or (h, w) numbers.
    shape : (h, w) of the image they belong to.
    name : what the values are, for the error message, for example "features".

    Raises
    ------
    InputError : another size, not numbers, NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> check_map(np.zeros((4, 5)), (4, 5), "features").shape
    (4, 5, 1)
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(f"the {name} have type {array.dtype}, expected real numbers of shape {(*shape, 'D')}")
    if array.ndim not in (2, 3) or array.shape[:2] != tuple(shape) or array.size == 0:
        raise InputError(
            f"the {name} have shape {array.shape}, but the image has (h, w) = {tuple(shape)}: expected (h, w, D); "
            "compute them on the image at this size and orientation"
        )
    result = array.astype(np.float64, copy=False)
    if not np.isfinite(result).all():
        broken = int(np.count_nonzero(~np.isfinite(result)))
        raise InputError(f"the {name} have {broken} values that are NaN or infinite, expected finite numbers")
    return result if result.ndim == 3 else result[:, :, None]


def shape_advice(shape: tuple[int, ...]) -> str:
    """What to do about an image array of the wrong shape, where that can be guessed."""
    if len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
        return f"; its channels come first: pass np.moveaxis(image, 0, -1), of shape {(*shape[1:], shape[0])}"
    if len(shape) == 4:
        return "; pass one image of the batch at a time: image[0]"
    if len(shape) == 2:
        return "; repeat a gray image three times: np.stack([image] * 3, axis=-1)"
    return "; pass red, green and blue of every pixel"


def _range_advice(low: float, high: float) -> str:
    """What to do about image values outside [0, 1], where that can be guessed."""
    if low >= 0 and 2 <= high <= 255:
        return "; divide by 255"
    if low >= 0 and 255 < high <= 65535:
        return "; divide by 65535"
    if low >= -1 - ROUNDING and high <= 1 + ROUNDING:
        return "; map [-1, 1] to it by (image + 1) / 2"
    return "; scale the values, or cut them with np.clip(image, 0, 1)"


def for_kernel(array: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """The array as compiled code takes it: of this type, contiguous, not read-only; a copy only where it must be."""
    return np.require(array, dtype, ["C", "W"])


def check_boundaries(boundaries: Any) -> np.ndarray:
    """The map as float64, if it is one: (y, x) shares in [0, 1]; else InputError."""
    array = np.asarray(boundaries)
    wanted = "expected a (y, x) map of shares in [0, 1], as softseg.features.boundary_map makes it"
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "fiu":
        raise InputError(f"boundaries have shape {array.shape} and type {array.dtype}, {wanted}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN neither
        raise InputError(f"boundaries span [{low:.4g}, {high:.4g}], {wanted}")
    return array.astype(np.float64)
