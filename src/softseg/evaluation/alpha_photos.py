"""Photos with a true alpha, from disk."""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from softseg.errors import ImageError, InputError
from softseg.images import SUFFIXES, Photo, load_photo

_EXPECTED = "NAME/image.png with NAME/alpha.png, or NAME.jpg with NAME_alpha.png"
_ALPHA = "_alpha"


class AlphaPhoto(NamedTuple):
    """A photo with the alpha of what is in its foreground.

    photo : the photograph.
    alpha : (h, w) float64 in [0, 1].
    unknown : (h, w) booleans, the region that the trimap leaves open; None where there is no trimap.
    """

    photo: Photo
    alpha: np.ndarray
    unknown: np.ndarray | None


class AlphaPhotos:
    """A folder of them: NAME/{image,alpha,trimap*}.png, or NAME.jpg (or another kind) and NAME_alpha.png.

    Trimaps are optional: the known foreground is their largest possible value, the known background 0, all between is
    unknown. Of several, as at alphamatting.com, the first by name counts, trimap1.png.

    Raises
    ------
    InputError : the folder has neither layout.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder, expected one with {_EXPECTED}")
        self._entries = _nested(folder) or _flat(folder)
        if not self._entries:
            raise InputError(f"{folder} holds none of what was expected: {_EXPECTED}")
        self.names = [name for name, _ in self._entries]

    def files(self, i: int) -> list[Path]:
        """Photo, alpha and, where there is one, trimap of photo `i`."""
        return self._entries[i][1]

    def load(self, i: int) -> AlphaPhoto:
        """Photo `i`.

        Raises
        ------
        InputError : a file is missing, damaged or of another size, or the trimap leaves nothing open.
        """
        image, *maps = self.files(i)
        photo = load_photo(image)
        if any(note.startswith("turned upright") for note in photo.notes):
            raise InputError(
                f"{image} is stored turned, with an EXIF orientation, so that it is open which way its alpha lies; "
                "save it without that orientation"
            )
        alpha, *trimaps = (_read_gray(path, image, photo.pixels.shape[:2]) for path in maps)
        unknown = (trimaps[0] > 0) & (trimaps[0] < 1) if trimaps else None
        if unknown is not None and not unknown.any():
            raise InputError(f"{maps[1]} leaves nothing unknown: it is black and white only; use the trimap, or none")
        return AlphaPhoto(photo, alpha, unknown)


def _nested(folder: Path) -> list[tuple[str, list[Path]]]:
    return [
        (alpha.parent.name, [alpha.with_name("image.png"), alpha, *sorted(alpha.parent.glob("trimap*.png"))[:1]])
        for alpha in sorted(folder.glob("*/alpha.png"))
    ]


def _flat(folder: Path) -> list[tuple[str, list[Path]]]:
    """NAME.* and NAME_alpha.png; NAME_trimap*.png where there are any."""
    entries = []
    for photo in sorted(folder.iterdir()):
        alpha = photo.with_name(f"{photo.stem}{_ALPHA}.png")
        if photo.suffix.lower() in SUFFIXES and alpha.is_file():
            entries.append((photo.stem, [photo, alpha, *sorted(folder.glob(f"{escape(photo.stem)}_trimap*.png"))[:1]]))
    return entries


def _read_gray(path: Path, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) float64 in [0, 1] from a gray file of 1, 8 or 16 bits, or of three channels that are the same."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            mode, values = file.mode, np.asarray(file)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist, expected a gray image of the size of {image}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} is no readable image ({error}); copy or download it again") from error
    if mode in ("RGB", "RGBA") and (np.ptp(values[:, :, :3], axis=2) == 0).all():
        values = values[:, :, 0]
    if values.ndim != 2 or mode == "P":
        raise InputError(f"{path} is not gray (its mode is {mode}), expected one channel of 8 or 16 bits; convert it")
    if values.shape != shape:
        raise InputError(
            f"{path} has {values.shape[1]} x {values.shape[0]} pixels, but {image} has {shape[1]} x {shape[0]}; use "
            "the files of one photo, at one size"
        )
    largest = {"1": 1, "L": 255, "RGB": 255, "RGBA": 255}.get(mode, 65_535)  # Pillow has 16 bits in several modes
    return values.astype(np.float64) / largest
