"""All of the speed: JSON, the roofline picture and the tables of docs/performance.md.

    python -m benchmarks.speed examples/astronaut.jpg --rows all --largest 12

Measure on a machine that does nothing else. Writes speed.json and side_by_side.json beside this file, the picture to
docs/images/roofline.png (with matplotlib) and the tables into docs/performance.md. `--tables` only makes the picture
and the tables from the files there are. The benchmarks of single parts (guided_filter, feature_models) are run by
themselves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from benchmarks.speed.roofline import draw_roofline
from benchmarks.speed.side_by_side import compare, rounded
from benchmarks.speed.tables import fill, read_files
from softseg.cli.bench import as_text, largest_of, line_of, rows_of, size_of
from softseg.cli.reports import write_report
from softseg.errors import SoftsegError
from softseg.evaluation.speed import ROWS, measure_speed
from softseg.files import write_atomically

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "performance.md"
PICTURE = HERE.parents[1] / "docs" / "images" / "roofline.png"

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: all was measured; 1: a row failed, or the photo cannot be used."""
    options = _parsed(arguments)
    failed = False
    try:
        if not options.tables:
            failed = _measure(options)
            beside = compare(options.photo, options.beside, min(options.runs, 3))
            write_report(HERE / "side_by_side.json", None, rounded(beside))
    except SoftsegError as error:
        print(error, file=sys.stderr)
        failed = True
    _publish()
    return int(failed)


def _measure(options: argparse.Namespace) -> bool:
    """Whether a row failed."""
    chosen = {name: getattr(options, name) for name in ("rows", "size", "runs", "largest")}
    found = measure_speed(options.photo, **chosen, tell=_tell)
    print(as_text(found))
    write_report(HERE / "speed.json", None, rounded(found))
    return any("failure" in row for row in found["rows"])


def _tell(row: dict[str, Any]) -> None:
    reason = f": {row['failure']}" if "failure" in row else ""
    print(line_of(row) + reason, file=sys.stderr, flush=True)


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
    parser.add_argument(
        "--rows",
        type=_checked(rows_of),
        default=",".join(name for name, row in ROWS.items() if row.usual),
        help="or all",
    )
    parser.add_argument("--size", type=_checked(size_of), default=(640, 480), metavar="WxH")
    parser.add_argument(
        "--beside", type=_checked(size_of), default=(320, 240), metavar="WxH", help="size of the side by side"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--largest",
        type=_checked(lambda text: largest_of(float(text))),
        default=1.3,
        metavar="MPX",
        help="growth up to so many megapixels",
    )
    parser.add_argument("--tables", action="store_true", help="only make picture and tables from the files there are")
    return parser.parse_args(arguments)


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """What `softseg bench speed` refuses, refused as argparse does."""

    def checked(text: str) -> T:
        try:
            return parse(text)
        except (typer.BadParameter, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


if __name__ == "__main__":
    sys.exit(main())
