"""Reading a photograph from wherever it comes: upright, in sRGB, opaque; and the checks of arrays at the boundary."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softseg.checks import check_image, check_labels, check_map, check_unit_range, shape_advice
from softseg.decode import decode, over_white
from softseg.errors import ImageError
from softseg.files import write_atomically

__all__ = [
    "MINIMUM_SIDE",
    "SUFFIXES",
    "Photo",
    "check_image",
    "check_labels",
    "check_map",
    "load_photo",
    "write_atomically",
]

MINIMUM_SIDE = 16  # pixels; below it neither superpixels nor the windows of the guided filter make sense

# What is tried, in Pillow's names. Not its whole list: reading EPS, for example, would start Ghostscript on the file.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA", "ICO", "PCX", "PSD")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

# The names under which photographs are looked for in a folder.
_EXTENSIONS = ("jpg", "jpeg", "png", "tif", "tiff", "webp", "gif", "bmp", "avif", "heic", "heif", "jp2", "ppm", "pgm")
SUFFIXES = frozenset(f".{extension}" for extension in _EXTENSIONS)


@dataclass(frozen=True)
class Photo:
    """A photograph as the method uses it.

    pixels : (h, w, 3) float64 in [0, 1], sRGB as stored, upright.
    name : of its file, or "image".
    notes : what was done to it that its owner should know, for example "alpha channel composited over white".
    """

    pixels: np.ndarray
    name: str = "image"
    notes: tuple[str, ...] = ()


def load_photo(source: Any) -> Photo:
    """Read a photograph and bring it into one form: upright (EXIF), in sRGB (ICC profile), three opaque channels.

    Parameters
    ----------
    source : path of an image file, PIL image, `Photo` (returned as it is), or sRGB array of uint8, uint16 or floats in
        [0, 1] and of shape (h, w, 3), (h, w, 4), (h, w, 1) or (h, w). At least 16 x 16 pixels.

    Returns
    -------
    Photo : the pixels, and in `notes` every change beyond a plain reading.

    Raises
    ------
    ImageError : missing, unreadable, damaged, too small or too large, or an array of another form.

    Examples
    --------
    >>> import numpy as np
    >>> photo = load_photo(np.full((16, 20), 51, dtype=np.uint8))
    >>> photo.pixels.shape, float(photo.pixels[0, 0, 0]), photo.notes
    ((16, 20, 3), 0.2, ('gray repeated in three channels',))
    """
    from PIL import Image

    if isinstance(source, Photo):
        return source
    notes: list[str] = []
    name = "image"
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name = path.name
        pixels = _read_file(path, notes)
        label = str(path)
    elif isinstance(source, Image.Image):
        label = "the PIL image"
        with _reading(label, notes):
            pixels = decode(source, None, notes)
    elif isinstance(source, np.ndarray):
        label = "the image array"
        pixels = _from_array(source, notes)
    else:
        raise ImageError(
            f"the image is a {type(source).__name__}, expected a path, a PIL image or a NumPy array of shape (h, w, 3)"
        )
    height, width = pixels.shape[:2]
    if min(height, width) < MINIMUM_SIDE:
        raise ImageError(
            f"{label} has {width} x {height} pixels, expected at least {MINIMUM_SIDE} x {MINIMUM_SIDE}; "
            "choose a larger photo"
        )
    return Photo(np.ascontiguousarray(pixels), name, tuple(notes))


def _from_array(array: np.ndarray, notes: list[str]) -> np.ndarray:
    """(h, w, 3) float64 in [0, 1] from an array of one, three or four channels."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"the image array has shape {array.shape}, expected (h, w, 3){shape_advice(array.shape)}")
    if array.dtype in (np.uint8, np.uint16):
        array = array / np.iinfo(array.dtype).max
    elif array.dtype.kind != "f":
        raise ImageError(
            f"the image array has type {array.dtype}, expected uint8, uint16 or floats in [0, 1]; convert it first"
        )
    pixels = check_unit_range(array)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        notes.append("gray repeated in three channels")
        return pixels.repeat(3, axis=2)
    return over_white(pixels[:, :, :3], pixels[:, :, 3], notes) if pixels.shape[2] == 4 else pixels


def _read_file(path: Path, notes: list[str]) -> np.ndarray:
    from PIL import Image

    advice = "pass the path of an image file"
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file; name a file inside it")
    if not path.exists():
        raise ImageError(f"{path} does not exist, expected an image file; check the name and the folder")
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file, expected an image file; {advice}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes), expected an image file; copy or download it again")
    with _reading(str(path), notes):
        _enable_heif(path)
        Image.init()
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            return decode(image, path, notes)


@contextmanager
def _reading(label: str, notes: list[str]) -> Iterator[None]:
    """Turn everything that a decoder may raise into an ImageError, and what it warns of into notes."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
        notes.extend(dict.fromkeys(str(warning.message) for warning in heard))
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{label} has more pixels than the limit of {Image.MAX_IMAGE_PIXELS:,} that guards against decompression "
            "bombs; reduce it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{label} is not an image of a known kind, expected for example JPEG, PNG, TIFF or WebP; "
            "open it in an image editor and export it as one of these"
        ) from error
    except PermissionError as error:
        raise ImageError(f"{label} cannot be opened: reading it is not permitted; change its permissions") from error
    except Exception as error:  # decoders of damaged files raise OSError, SyntaxError, struct.error, IndexError, ...
        reason = str(error).strip() or type(error).__name__
        raise ImageError(
            f"{label} is damaged, incomplete or of an unsupported kind ({reason}); "
            "copy or download it again, or export it as PNG or JPEG"
        ) from error


def _enable_heif(path: Path) -> None:
    """Let Pillow read HEIC through pillow-heif, where the file is one."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] != b"ftyp" or start[8:12] not in _HEIF_BRANDS:
        return
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            f"{path} is a HEIC image, which needs the package pillow-heif; run: pip install softseg[heif]"
        ) from None
    pillow_heif.register_heif_opener()
