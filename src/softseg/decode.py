"""From an opened Pillow image of any mode, depth and colour space to upright sRGB floats."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from softseg.checks import check_unit_range
from softseg.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_DEEP = (";16", ";16B", ";16L", ";16N")  # 16 bits, and in which order of bytes


def decode(image: PILImage, path: Path | None, notes: list[str]) -> np.ndarray:
    """(h, w, 3) float64 in [0, 1] of the frame that `image` stands at."""
    from PIL import ImageOps

    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        current = image.tell() + 1
        which = "the first" if current == 1 else f"number {current}"
        notes.append(f"{frames} frames or pages: only {which} is used")
    if _stored_mode(image).endswith(_DEEP) and not image.mode.startswith("I"):
        deep = _deep_tiff(image, path)
        if deep is not None:
            return deep
        notes.append("16 bits per channel read with 8")
    image.load()
    upright = ImageOps.exif_transpose(image)
    if image.getexif().get(0x0112, 1) in range(2, 9):
        notes.append("turned upright as its EXIF orientation says")
    return _to_rgb(upright, notes)


def _stored_mode(image: PILImage) -> str:
    """How the file stores a pixel, in the words of Pillow's decoders, such as "RGB;16B"; empty once it is loaded."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
    return ""


def _deep_tiff(image: PILImage, path: Path | None) -> np.ndarray | None:
    """A plain 16-bit RGB TIFF at its full depth, which Pillow would cut to 8 bits; None where that does not suffice."""
    if path is None or image.format != "TIFF" or image.mode != "RGB":
        return None
    if image.getexif().get(0x0112, 1) != 1 or "icc_profile" in image.info:
        return None
    import tifffile

    try:
        array = tifffile.imread(path, key=0)
    except Exception:  # a compression that it does not know, or damage, which Pillow will name
        return None
    return array / 65535 if array.dtype == np.uint16 and array.shape == (image.height, image.width, 3) else None


def _to_rgb(image: PILImage, notes: list[str]) -> np.ndarray:
    """sRGB floats of a loaded, upright image of any Pillow mode."""
    if image.mode.startswith(("I", "F")):
        return _deep_gray(image, notes)
    color, alpha = image, None
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A")) / 255
        color = image.convert("L" if image.mode in ("L", "LA", "La") else "RGBA")
    if image.mode in ("1", "L", "LA", "La"):
        notes.append("gray repeated in three channels")
    elif image.mode not in ("RGB", "RGBA", "RGBa"):
        notes.append(f"{'palette colours' if image.mode in ('P', 'PA') else image.mode} converted to RGB")
    if color.mode not in ("L", "RGB", "CMYK"):
        color = color.convert("RGB")
    pixels = np.asarray(_to_srgb(color, notes)) / 255
    return pixels if alpha is None else over_white(pixels, alpha, notes)


def _deep_gray(image: PILImage, notes: list[str]) -> np.ndarray:
    """Gray of 16 or 32 bits, or of floats in [0, 1]."""
    gray = np.asarray(image)
    if image.mode != "F":
        if gray.min() < 0 or gray.max() > 65535:
            raise ImageError(
                f"the gray values run from {gray.min()} to {gray.max()}, expected 0 to 65535; save it with 16 bits"
            )
        gray = gray / 65535
    notes.append("gray repeated in three channels")
    return check_unit_range(gray)[:, :, None].repeat(3, axis=2)


def _to_srgb(image: PILImage, notes: list[str]) -> PILImage:
    """Apply the embedded ICC profile, if there is one other than sRGB."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return image.convert("RGB")
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(embedded))
        description = ImageCms.getProfileDescription(profile).strip()
        if "sRGB" in description and image.mode == "RGB":
            return image
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        notes.append(f"its ICC profile is unusable ({error}): colours taken as sRGB")
        return image.convert("RGB")
    notes.append(f"colours converted from {description or 'its ICC profile'} to sRGB")
    return image.convert("RGB") if converted is None else converted  # None only where the image is changed in place


def over_white(color: np.ndarray, alpha: np.ndarray, notes: list[str]) -> np.ndarray:
    """Composite over white, said aloud, unless the alpha channel is opaque."""
    if alpha.min() == 1:
        return color
    notes.append("alpha channel composited over white")
    return np.asarray(color * alpha[:, :, None] + (1 - alpha[:, :, None]))
