"""What the evaluations on photos with drawn regions share: finding the data, and numbers of layers as typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from softseg.training.datasets import LabelledPhotos

Split = Literal["all", "train", "val"]

LAYOUTS = (
    "Photos with label maps: NAME.jpg with NAME.mat (BSDS 500), NAME/image.png with NAME/labels.png, "
    "images/NAME.jpg with labels/NAME.png, or NAME.jpg with NAME.png."
)


def open_photos(folder: Path, part: Split) -> LabelledPhotos:
    """The data in whichever layout the folder has.

    Raises
    ------
    InputError : it has none of them.
    """
    from softseg.training.datasets import Bsds, Folder, split

    photos = Bsds(folder) if any(folder.glob("*.mat")) else Folder(folder)
    return photos if part == "all" else split(photos, validation=part == "val")


def numbers(text: str, option: str) -> list[int]:
    """Whole numbers and ranges of them, separated by commas; sorted, each once.

    Raises
    ------
    typer.BadParameter : something else, or a number below 2.

    Examples
    --------
    >>> numbers("8, 2-4", "--layers")
    [2, 3, 4, 8]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise typer.BadParameter(
                f"{part.strip()!r} is neither a number nor a range such as 2-40", param_hint=option
            )
        span = range(int(first), int(last or first) + 1)
        if not span or span[0] < 2 or span[-1] > 1000:
            raise typer.BadParameter(f"{part.strip()!r} holds no numbers from 2 to 1000", param_hint=option)
        found |= set(span)
    return sorted(found)
