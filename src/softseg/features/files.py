"""Features from elsewhere: a file with a map of vectors, one per pixel."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from softseg.errors import InputError

_ASPECT_TOLERANCE = 0.02
_IMAGES = (".png", ".tif", ".tiff")


def load_features(path: str | Path, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a feature map for a photo of `shape`.

    Parameters
    ----------
    path : .npy; .npz or .mat (the array named `features`, or else the only map in it); or a PNG or TIFF image of 8 or
        16 bits, whose values are divided by their largest possible one. The map is (H, W, D) with D of at least 2.
    shape : (h, w) of the photo. A map of another size is resized bilinearly if its proportions agree within 2 % or half
        a pixel.

    Returns
    -------
    features : (h, w, D) float32. Three channels are used as they are and lie in [0, 1]; others are for `project`.
    notes : what was changed, one sentence each.

    Raises
    ------
    InputError : no such file, none of these formats, or not a finite map of these proportions.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "map.npy")
    ...     np.save(file, np.zeros((4, 6, 8)))
    ...     features, notes = load_features(file, (8, 12))
    >>> features.shape, notes
    ((8, 12, 8), ('the features were resized from 6 x 4 to 12 x 8 pixels',))
    """
    path = Path(path)
    notes: list[str] = []
    features = _checked(_read(path, notes), path)
    h, w = _checked_size(features, path, shape)
    if (h, w) != shape:
        features = _resized(features, shape)
        notes.append(f"the features were resized from {w} x {h} to {shape[1]} x {shape[0]} pixels")
    low, high = float(features.min()), float(features.max())
    if features.shape[2] == 3 and not (low >= 0 and high <= 1):
        features = (features - low) / (high - low if high > low else 1.0)
        notes.append(f"the three feature channels were scaled together from [{low:.4g}, {high:.4g}] to [0, 1]")
    return np.ascontiguousarray(features, dtype=np.float32), tuple(notes)


def _read(path: Path, notes: list[str]) -> np.ndarray:
    """The array of the file, whatever its shape."""
    if not path.is_file():
        raise InputError(f"there is no feature file {path}")
    suffix = path.suffix.lower()
    try:
        if suffix in (".npy", ".npz"):
            return _read_numpy(path, notes)
        if suffix == ".mat":
            return _read_matlab(path)
        if suffix in _IMAGES:
            return _read_image(path, notes)
    except InputError:
        raise
    except Exception as error:  # each library has its own exceptions for a damaged file
        raise InputError(f"the feature file {path} cannot be read: {error}") from error
    raise InputError(f"the feature file {path} is of an unknown kind; write the map as .npy, .npz, .mat, .png or .tif")


def _read_numpy(path: Path, notes: list[str]) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error) and "pickle" not in str(error).lower():
            raise
        raise InputError(_no_objects(path)) from error
    if isinstance(content, np.ndarray):
        return content
    with content:
        try:
            return _choose({name: content[name] for name in content.files}, path)
        except ValueError as error:
            if "pickle" not in str(error).lower():
                raise
            raise InputError(_no_objects(path)) from error


def _no_objects(path: Path) -> str:
    return f"the feature file {path} holds Python objects or is not a NumPy file; save one plain array of numbers"


def _read_matlab(path: Path) -> np.ndarray:
    import scipy.io

    try:
        content = scipy.io.loadmat(str(path))
    except NotImplementedError as error:
        message = f"the feature file {path} is MATLAB's version 7.3 (HDF5); write it again with save(..., '-v7')"
        raise InputError(message) from error
    return _choose({name: value for name, value in content.items() if not name.startswith("__")}, path)


def _choose(arrays: Mapping[str, Any], path: Path) -> np.ndarray:
    """The array called `features`, or the only one, or the only one with three axes."""
    if "features" in arrays:
        return np.asarray(arrays["features"])
    if len(arrays) == 1:
        return np.asarray(next(iter(arrays.values())))
    maps = [name for name, value in arrays.items() if np.ndim(value) == 3]
    if len(maps) == 1:
        return np.asarray(arrays[maps[0]])
    found = ", ".join(sorted(arrays)) or "none"
    raise InputError(
        f"{path} does not say which of its arrays is the feature map (it has: {found}); name it 'features'"
    )


def _read_image(path: Path, notes: list[str]) -> np.ndarray:
    if path.suffix.lower() != ".png":
        import tifffile

        pixels = tifffile.imread(path, key=0)
    else:
        from PIL import Image

        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                deep = "16" in str(image.tile[0].args if image.tile else "")
                colors = image.convert("RGB") if image.mode == "P" else image
                pixels = np.asarray(colors)
        if deep and pixels.dtype == np.uint8:
            notes.append("the 16-bit feature image was read with 8 bits; .npy or .tif keep all of them")
    if pixels.dtype not in (np.uint8, np.uint16):
        return pixels  # floats of a TIFF image are the features themselves
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[..., :3]
        notes.append("the alpha channel of the feature image was ignored")
    return pixels / np.float32(np.iinfo(pixels.dtype).max)


def _checked(features: np.ndarray, path: Path) -> np.ndarray:
    """float32 if it is a finite real map of vectors; InputError otherwise."""
    if features.dtype.kind not in "fiu":
        raise InputError(f"the features in {path} have type {features.dtype}; save real numbers, for example float32")
    if features.ndim != 3 or 0 in features.shape:
        raise InputError(
            f"the features in {path} have shape {features.shape}; expected (h, w, D), a vector for every pixel"
        )
    with np.errstate(over="ignore"):
        features = features.astype(np.float32, copy=False)
    broken = int(np.count_nonzero(~np.isfinite(features)))
    if broken:
        raise InputError(
            f"the features in {path} hold {broken} values that are NaN, infinite or above float32; replace them"
        )
    return features


def _checked_size(features: np.ndarray, path: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of the map, if it has two channels or more and the photo's proportions; InputError otherwise."""
    (h, w, channels), (height, width) = features.shape, shape
    if (h, w) != shape and ((w, channels) == shape or not _proportional((h, w), shape)):
        if _proportional((w, channels), shape):
            raise InputError(
                f"the features in {path} have shape {features.shape}, the channels first; "
                "save them as (h, w, D), np.moveaxis(features, 0, -1)"
            )
        turned = "; they look turned by 90 degrees" if _proportional((w, h), shape) else ""
        raise InputError(
            f"the features in {path} are {w} x {h} pixels and the photo {width} x {height}, "
            f"of other proportions{turned}; compute them on this photo, without cropping or padding"
        )
    if channels < 2:
        raise InputError(f"the features in {path} have one channel; at least 2 are needed to tell regions apart")
    return h, w


def _proportional(size: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Whether the aspect ratios agree within 2 %, or to half a pixel, as a small map had to be rounded."""
    (h, w), (height, width) = size, shape
    if abs((w / h) / (width / height) - 1) <= _ASPECT_TOLERANCE:
        return True
    return abs(w - h * width / height) <= 0.5 and abs(h - w * height / width) <= 0.5


def _resized(features: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear, both corner-to-corner extents the same; a larger map is averaged, not only sampled."""
    import torch
    from torch.nn import functional

    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(features, -1, 0)))[None]
    resized = functional.interpolate(planes, shape, mode="bilinear", align_corners=False, antialias=True)
    return np.moveaxis(resized[0].numpy(), 0, -1)
