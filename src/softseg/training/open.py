"""Data sets by the words that name them on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from softseg.errors import InputError
from softseg.training.coco import CocoPanoptic, CocoStuff
from softseg.training.datasets import Bsds, Folder, LabelledPhotos, half, split

KINDS: Mapping[str, Callable[[Path], LabelledPhotos]] = {
    "bsds": Bsds,
    "msrc-train": lambda path: split(Folder(path), validation=False),
    "msrc-val": lambda path: split(Folder(path), validation=True),
    "bsds-even": lambda path: half(Bsds(path), odd=False),
    "bsds-odd": lambda path: half(Bsds(path), odd=True),
    "folder": Folder,
    "coco-stuff": lambda path: CocoStuff(*_split_of(path)),
    "coco-panoptic": lambda path: CocoPanoptic(*_split_of(path)),
}


def open_photos(source: str) -> LabelledPhotos:
    """The data set named by KIND:PATH, such as "bsds:BSDS500/train" or "coco-stuff:coco@val2017".

    Raises
    ------
    InputError : there is no such kind, or the path does not hold such a data set.
    """
    kind, path = parse_source(source)
    return KINDS[kind](path)


def parse_source(source: str) -> tuple[str, Path]:
    """The kind and the path in KIND:PATH; nothing is opened.

    Raises
    ------
    InputError : there is no such kind, or no path.

    Examples
    --------
    >>> parse_source("bsds:BSDS500/train")[0]
    'bsds'
    """
    kind, _, path = source.partition(":")
    if kind not in KINDS or not path:
        raise InputError(f"{source!r} names no data set, expected KIND:PATH with KIND one of: {', '.join(KINDS)}")
    return kind, Path(path)


def _split_of(path: Path) -> tuple[Path, str]:
    """The folder of a COCO data set and the name of its split, from PATH or PATH@SPLIT."""
    found = re.fullmatch(r"(.+)@([\w-]+)", str(path))
    return (Path(found[1]), found[2]) if found else (path, "train2017")
