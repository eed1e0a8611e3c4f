"""All of the speed: JSON, the roofline picture and the tables of docs/performance.md.

    python -m benchmarks.speed examples/astronaut.jpg --rows all --largest 12

Measure on a machine that does nothing else. Writes speed.json and side_by_side.json beside this file, the picture to
docs/images/roofline.png (with matplotlib) and the tables into docs/performance.md. `--tables` only makes the picture
and the tables from the files there are. The benchmarks of single parts (guided_filter, feature_models) are run by
themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.speed.roofline import draw_roofline
from benchmarks.speed.side_by_side import compare, rounded
from benchmarks.speed.tables import fill, read_files
from softseg.cli.bench import as_text as summary
from softseg.errors import SoftsegError
from softseg.evaluation.speed import ROWS, measure_speed
from softseg.files import write_atomically

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "performance.md"
PICTURE = HERE.parents[1] / "docs" / "images" / "roofline.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: all was measured; 1: a row failed, or the photo cannot be used."""
    options = _parsed(arguments)
    failed = False
    try:
        if not options.tables:
            failed = _measure(options)
            _write("side_by_side", rounded(compare(options.photo, options.beside, min(options.runs, 3))))
    except SoftsegError as error:
        print(error, file=sys.stderr)
        failed = True
    _publish()
    return int(failed)


def _measure(options: argparse.Namespace) -> bool:
    """Whether a row failed."""
    rows = list(ROWS) if options.rows == "all" else options.rows.split(",")
    found = measure_speed(
        options.photo, rows, size=options.size, runs=options.runs, largest=options.largest, tell=_tell
    )
    print(summary(found))
    _write("speed", rounded(found))
    return any("failure" in row for row in found["rows"])


def _tell(row: dict[str, Any]) -> None:
    said = row.get("failure") or f"{row['seconds']['median']:.2f} s"
    print(f"{row['row']} {row['size']} {row['device']}: {said}", file=sys.stderr, flush=True)


def _write(name: str, found: dict[str, Any]) -> None:
    text = json.dumps({"machine": machine(), **found}, indent=1, allow_nan=False) + "\n"
    write_atomically(HERE / f"{name}.json", lambda file: file.write(text.encode()))


def _publish() -> None:
    """The picture and the tables of the files there are."""
    files = read_files(HERE)
    if "speed" in files:
        try:
            draw_roofline(files["speed"], PICTURE)
        except ImportError:
            print("no picture: matplotlib is not installed; run: pip install matplotlib", file=sys.stderr)
    text = fill(DOCS.read_text(encoding="utf-8"), files)
    write_atomically(DOCS, lambda file: file.write(text.encode()))


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, nargs="?", help="default: a composite")
    parser.add_argument("--rows", default=",".join(name for name, row in ROWS.items() if row.usual), help="or all")
    parser.add_argument("--size", type=_size, default=(640, 480), metavar="WxH")
    parser.add_argument("--beside", type=_size, default=(320, 240), metavar="WxH", help="size of the side by side")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--largest", type=float, default=1.3, metavar="MPX", help="growth up to so many megapixels")
    parser.add_argument("--tables", action="store_true", help="only make picture and tables from the files there are")
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


if __name__ == "__main__":
    sys.exit(main())
