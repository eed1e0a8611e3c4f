"""Labelled photos from disk: BSDS 500, MSRC and plain folders, in one form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from softseg.errors import ImageError, InputError
from softseg.images import SUFFIXES, load_photo
from softseg.training.augmentation import VOID

VALIDATION_EVERY = 5
T = TypeVar("T")


class Sample(NamedTuple):
    """A photo with its regions.

    image : (h, w, 3) uint8, sRGB.
    labels : (h, w) int32; equal numbers are one instance, -1 is void.
    name : of the photo.
    """

    image: np.ndarray
    labels: np.ndarray
    name: str


class UnlabelledError(InputError):
    """A photo of which no pixel has a label; `sample` is what was read, for those who can go on without labels."""

    def __init__(self, message: str, sample: Sample) -> None:
        super().__init__(message)
        self.sample = sample


class LabelledPhotos(Protocol):
    """A data set."""

    @property
    def names(self) -> Sequence[str]:
        """One for each photo, in the order of `load`."""

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`; where several people have labelled it, one of them drawn by `rng`, or the first without it.

        Raises
        ------
        InputError : the photo or its labels are missing, damaged, or of two sizes, or the photo is turned by EXIF.
        UnlabelledError : no pixel has a label.
        """


class Bsds:
    """Photos (.jpg) beside the segmentations of several people (.mat), as in BSDS 500."""

    def __init__(self, folder: Path) -> None:
        self._photos = _found(folder, sorted(folder.glob("*.jpg")), "photos NAME.jpg, each beside its NAME.mat")
        self.names = [path.stem for path in self._photos]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`, as one of its annotators sees it."""
        path = self._photos[i].with_suffix(".mat")
        cells = _annotations(path)
        chosen = 0 if rng is None else int(rng.integers(len(cells)))
        return sample(self._photos[i], cells[chosen].astype(np.int32), path)

    def annotations(self, i: int) -> list[np.ndarray]:
        """The (h, w) regions of photo `i` as each of its annotators sees them; `load` gives the first."""
        return _annotations(self._photos[i].with_suffix(".mat"))


class Folder:
    """Photos and label maps (.png, one number for each pixel, 0 is void) that share a name.

    Either NAME/image.png and NAME/labels.png, or images/NAME.* and labels/NAME.png, or NAME.* (with another ending than
    .png) and NAME.png.
    """

    def __init__(self, folder: Path) -> None:
        expected = (
            "NAME/image.png with NAME/labels.png, images/NAME.jpg with labels/NAME.png, or NAME.jpg with NAME.png"
        )
        self._pairs = _found(folder, _pairs(folder), expected)
        self.names = [labels.parent.name if labels.stem == "labels" else labels.stem for _, labels in self._pairs]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`."""
        photo, path = self._pairs[i]
        labels = read_png(path)
        if labels.ndim != 2:
            raise InputError(
                f"{path} has {labels.shape[2]} channels, expected a label map of one channel: gray of 8 or 16 bits, or "
                "a palette"
            )
        return sample(photo, np.where(labels == 0, VOID, labels.astype(np.int32)), path)._replace(name=self.names[i])


class Subset:
    """Some photos of another data set."""

    def __init__(self, photos: LabelledPhotos, indices: Sequence[int]) -> None:
        self._photos, self._indices = photos, indices
        self.names = [photos.names[i] for i in indices]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """The `i`-th of them."""
        return self._photos.load(self._indices[i], rng)

    def annotations(self, i: int) -> list[np.ndarray]:
        """As `Bsds.annotations`; empty where the data knows one annotator only."""
        known = getattr(self._photos, "annotations", None)
        return [] if known is None else known(self._indices[i])


class Joined:
    """Several data sets, one after the other."""

    def __init__(self, parts: Sequence[LabelledPhotos]) -> None:
        self._where = [(part, i) for part in parts for i in range(len(part.names))]
        self.names = [part.names[i] for part, i in self._where]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`, counted over all of them."""
        part, index = self._where[i]
        return part.load(index, rng)


def split(photos: LabelledPhotos, *, validation: bool) -> Subset:
    """The fixed rule for data without a split: in sorted order every 5th photo, from the first, is for validation."""
    order = sorted(range(len(photos.names)), key=lambda i: photos.names[i])
    return Subset(photos, [i for k, i in enumerate(order) if (k % VALIDATION_EVERY == 0) == validation])


def half(photos: LabelledPhotos, *, odd: bool) -> Subset:
    """Every second photo, from the second on or from the first: what one half has not seen, the other can choose by."""
    return Subset(photos, range(int(odd), len(photos.names), 2))


def sample(photo: Path, labels: np.ndarray, source: Path) -> Sample:
    """A photo and its labels together, checked; `source` is the file that the labels come from."""
    read = load_photo(photo)
    if any(note.startswith("turned upright") for note in read.notes):
        raise InputError(
            f"{photo} is stored turned, with an EXIF orientation, so that it is open which way its labels lie; save it "
            "as its labels lie, without that orientation"
        )
    image = np.rint(read.pixels * 255).astype(np.uint8)
    if labels.shape != image.shape[:2]:
        raise InputError(
            f"{source} has labels for {labels.shape[1]} x {labels.shape[0]} pixels, but {photo} has "
            f"{image.shape[1]} x {image.shape[0]}; use the label map of this photo at this size and orientation"
        )
    found = Sample(image, np.ascontiguousarray(labels, dtype=np.int32), photo.stem)
    if not (labels >= 0).any():
        raise UnlabelledError(f"{source} has no label for any pixel of {photo}; leave this photo out", found)
    return found


def read_png(path: Path) -> np.ndarray:
    """(h, w) or (h, w, c) integers exactly as the file stores them: indices of a palette, not its colours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist, expected the label map of the photo of that name") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} is no readable label map ({error}); copy or download it again") from error
    if values.dtype.kind not in "iu":
        raise InputError(f"{path} has pixels of type {values.dtype}, expected whole numbers: save it with 8 or 16 bits")
    return values


def _annotations(path: Path) -> list[np.ndarray]:
    """The segmentation by each annotator of a BSDS .mat file."""
    from scipy.io import loadmat

    if not path.is_file():
        raise InputError(f"{path} does not exist, expected the segmentations of the photo of that name")
    try:
        cells = loadmat(path)["groundTruth"]
        maps = [np.asarray(cells[0, a]["Segmentation"][0, 0]) for a in range(cells.shape[1])]
    except Exception as error:  # a damaged .mat file raises a different type for each way
        raise InputError(
            f"{path} holds no BSDS segmentations ({type(error).__name__}: {error}), expected cells groundTruth with a "
            "field Segmentation; copy or download it again"
        ) from error
    if not maps or any(labels.ndim != 2 or labels.dtype.kind not in "iu" for labels in maps):
        raise InputError(f"{path} holds no label map of whole numbers; copy or download it again")
    return maps


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(photo, label map) in the first of the three layouts that is found, sorted by name."""
    if nested := sorted(folder.glob("*/labels.png")):
        return [(path.with_name("image.png"), path) for path in nested]
    images, labels = (folder / "images", folder / "labels") if (folder / "images").is_dir() else (folder, folder)
    photos = [path for path in sorted(images.glob("*")) if path.suffix.lower() in SUFFIXES]
    if images == labels:
        photos = [path for path in photos if path.suffix.lower() != ".png"]
    return [(path, labels / f"{path.stem}.png") for path in photos]


def _found(folder: Path, entries: list[T], expected: str) -> list[T]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder, expected one with {expected}")
    if not entries:
        raise InputError(f"{folder} holds none of what was expected: {expected}")
    return entries
