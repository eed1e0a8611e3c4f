"""The JSON files of the suite: a head that says how the numbers came about, and a line for each photo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.quality.suite.measurements import MEASUREMENTS
from benchmarks.quality.suite.options import ROWS, Measurement, rounded
from softseg.files import write_atomically

Files = Mapping[str, Mapping[str, Any]]  # name without ending -> contents; those that are missing are not in it


def write_json(folder: Path, measurement: Measurement, command: str, contents: Mapping[str, Any]) -> Path:
    """Write one measurement to FILE.json in `folder`; NaN is not allowed.

    Contents that have "runs" say there where and how each part of them was measured; others get a head that does.
    """
    data = {"data": measurement.data.place, "split": measurement.data.part} if measurement.data else {}
    run = {} if "runs" in contents else {"machine": machine(), "command": command}
    whole = {**run, **data, **contents}
    path = folder / f"{measurement.file}.json"
    write_atomically(path, lambda file: file.write(as_text(whole).encode()))
    return path


def as_text(contents: Mapping[str, Any]) -> str:
    """As JSON, a line for each photo: whoever compares two versions sees which photos have changed.

    Examples
    --------
    >>> print(as_text({"seed": 0, "photos": [{"name": "a"}, {"name": "b"}]}), end="")
    {
     "seed": 0,
     "photos": [
      {"name": "a"},
      {"name": "b"}
     ]
    }
    """
    head = {key: value for key, value in contents.items() if key not in ROWS}
    text = json.dumps(head, indent=1, allow_nan=False)
    for key in (key for key in ROWS if key in contents):
        rows = ",\n".join(f"  {json.dumps(rounded(row), allow_nan=False)}" for row in contents[key])
        text = f'{text[:-2]},\n "{key}": [\n{rows}\n ]\n}}'
    return text + "\n"


def read_json(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Every file of the suite that is in `folder`."""
    paths = {one.file: folder / f"{one.file}.json" for one in MEASUREMENTS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()}
