"""The photo at the size of a row, and features for it, as files that every process reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from softseg.files import write_atomically
from softseg.images import load_photo

SYNTHETIC = "synthetic"  # the name of the photo where none is given


def sized_photo(source: Path | None, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8: the middle of a photo at that width and height.

    A larger photo is reduced. A smaller one is continued by its mirror image rather than enlarged, which would leave
    nothing fine in it, and so be easier than any photo of that size. None: a composite of three soft layers.

    Raises
    ------
    ImageError : the photo cannot be read.

    Examples
    --------
    >>> sized_photo(None, (48, 40)).shape
    (40, 48, 3)
    """
    from PIL import Image

    width, height = size
    if source is None:
        from softseg.evaluation.synthetic import composite

        return _bytes(composite("hairy", 3, size=(height, width)).image)
    pixels = _bytes(load_photo(source).pixels)
    h, w, _ = pixels.shape
    scale = min(1.0, max(height / h, width / w))
    if scale < 1:
        reduced = max(width, round(scale * w)), max(height, round(scale * h))
        pixels = np.asarray(Image.fromarray(pixels).resize(reduced, Image.Resampling.LANCZOS))
    top, left = max(0, pixels.shape[0] - height) // 2, max(0, pixels.shape[1] - width) // 2
    pixels = pixels[top : top + height, left : left + width]
    missing = [(0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)]
    return np.pad(pixels, missing, mode="symmetric")


def write_photo(pixels: np.ndarray, path: Path) -> None:
    """Write it without loss, quickly."""
    from PIL import Image

    write_atomically(path, lambda file: Image.fromarray(pixels).save(file, format="png", compress_level=1))


def write_features(photo: Path, path: Path, device: str) -> None:
    """The embedded model's features of a photo, projected to the three channels that the graph uses."""
    from softseg.features import extract, project

    pixels = load_photo(photo).pixels
    features = project(extract(pixels, device=device), pixels, device=device)
    write_atomically(path, lambda file: np.save(file, features))


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(pixels * 255).astype(np.uint8))
