"""The data sets of the evaluations, where they lie, and some photos of each for a trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from softseg.errors import InputError
from softseg.evaluation.alpha_photos import AlphaPhoto, AlphaPhotos
from softseg.training.datasets import Bsds, Folder, Subset, split


class DataSet(NamedTuple):
    """Its place below the folder of all data, and what a report says of it."""

    place: str
    part: str = "all"


ALPHAMATTING = DataSet("alphamatting")
BSDS = DataSet("bsds500/val")
MSRC = DataSet("msrc", "val")


class SomeAlphaPhotos:
    """Some photos of a folder with true alphas."""

    def __init__(self, photos: AlphaPhotos, indices: Sequence[int]) -> None:
        self._photos, self._indices = photos, indices
        self.names = [photos.names[i] for i in indices]

    def files(self, i: int) -> list[Path]:
        return self._photos.files(self._indices[i])

    def load(self, i: int) -> AlphaPhoto:
        return self._photos.load(self._indices[i])


def open_data(folder: Path, data: DataSet, limit: int | None = None, every: int = 1) -> Any:
    """The photos of a data set below `folder`: by name the first of each `every`; at most `limit`, evenly spread.

    Raises
    ------
    InputError : they are not there.
    """
    place = folder / data.place
    if not place.is_dir():
        raise InputError(f"{place} is missing")
    if data == ALPHAMATTING:
        alphas = AlphaPhotos(place)
        return SomeAlphaPhotos(alphas, some(alphas.names, limit, every))
    photos: Any = Bsds(place) if data == BSDS else split(Folder(place), validation=True)
    return Subset(photos, some(photos.names, limit, every))


def some(names: Sequence[str], limit: int | None = None, every: int = 1) -> list[int]:
    """The numbers of the photos that `open_data` takes, in the order of the data.

    Examples
    --------
    >>> some(["a", "c", "b", "d"], every=2)  # a and c
    [0, 1]
    """
    by_name = sorted(range(len(names)), key=lambda i: names[i])
    taken = sorted(by_name[::every])
    return [taken[i] for i in spread(len(taken), limit)]


def spread(count: int, limit: int | None) -> list[int]:
    """At most `limit` of the numbers below `count`, evenly spread, the first one always.

    Examples
    --------
    >>> spread(9, 3), spread(2, None)
    ([0, 4, 8], [0, 1])
    """
    wanted = count if limit is None else min(limit, count)
    return [round(i) for i in np.linspace(0, count - 1, wanted)]
