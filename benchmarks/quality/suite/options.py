"""What every measurement is given, and what it gives back: as JSON can hold it, with a row for each photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.quality.suite.data import DataSet
from softseg.evaluation.parallel import FAILURE

MODEL = "embedded"
METHODS = ("softseg", "spectral_matting", "spectral_matting_grouped", "feature_clusters")
ROWS = ("photos", "composites")  # what a file may call its rows

Tell = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True)
class Options:
    """Of a run.

    kept : folder for the results of single photos.
    output : folder of the JSON files, of which that of the alphas is added to.
    results : folder for pictures.
    methods : of the alphas that are measured now.
    every : of the boundaries each so many photos, by name, are taken.
    command : what measures this again, in words.
    """

    kept: Path
    output: Path
    results: Path
    jobs: int = 1
    methods: Sequence[str] = METHODS
    every: int = 1
    command: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """contents : of the JSON file, without its head; pictures : by number of the photo, PNG, where there are some."""

    contents: dict[str, Any]
    pictures: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(name, reason) of what could not be scored."""
        return [(row["name"], row[FAILURE]) for row in rows_of(self.contents) if row.get(FAILURE)]


@dataclass(frozen=True)
class Measurement:
    """part : the word for --only; file : the JSON file, without its ending."""

    part: str
    file: str
    data: DataSet | None
    run: Callable[[Any, Options, Tell], Measured]


def rows_of(contents: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The photos, or composites, of a file."""
    return next((contents[key] for key in ROWS if key in contents), [])


def rounded(value: Any) -> Any:
    """Six digits of every number in a row are more than any table shows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value
