"""From the images that were named to the folders their results go to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from softseg.cli.failures import Failures
from softseg.errors import ImageError


@dataclass(frozen=True)
class Job:
    """One image and the folder for its result."""

    image: Path
    folder: Path


def plan(images: list[Path], output: Path, failures: Failures) -> list[Job]:
    """A job for every image; for a folder, one for every image in it. Two images never share a result folder."""
    jobs: list[Job] = []
    seen: set[Path] = set()
    taken: set[str] = set()
    for image in _expand(images, failures):
        if image.resolve() in seen:
            typer.echo(f"{image}: named twice, done once", err=True)
            continue
        seen.add(image.resolve())
        stem = image.stem if image.stem.strip(". ") else "image"  # "...jpg" has the stem "..", the folder above
        name = _unique(stem, taken)
        taken.add(name.casefold())
        jobs.append(Job(image, output / name))
        if name != stem:
            typer.echo(f"{image}: goes to {output / name}, because {output / stem} is taken by another image", err=True)
    return jobs


def _expand(images: list[Path], failures: Failures) -> Iterator[Path]:
    """The images themselves, and in place of a folder the images in it, sorted by name."""
    from softseg.images import SUFFIXES

    for image in images:
        if not image.is_dir():
            yield image
            continue
        with failures.caught(image):
            inside = sorted(
                path
                for path in image.iterdir()
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
            )
            if not inside:
                raise ImageError(f"{image} is a folder without images in it; name another folder, or image files")
            yield from inside


def _unique(stem: str, taken: set[str]) -> str:
    """`stem`, or the first of stem-2, stem-3, ... that is free; upper and lower case are one, as on many disks."""
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
