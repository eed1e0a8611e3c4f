"""Every quality evaluation that this machine has data for: JSON, tables of docs/quality.md, pictures, verdicts.

    python -m benchmarks.quality --data ../shared/data --jobs 2

Data sets that are missing are named, and the others measured. A run that was broken off goes on where it stopped when
the same command is given again. The full run writes the JSON files beside this one and fills the tables of
docs/quality.md from them; a trial (--photos) writes all of that into RESULTS/trial instead. Pictures of the best,
median and worst photos go there, or to RESULTS, because the photos must not be copied into the repository.

Each method of the alphas is measured by itself: --only alpha --methods softseg measures ours again, and leaves the
others in alpha.json as they are. --merge FILE puts a report of `softseg evaluate alpha -o FILE` into it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.suite.alphas import merge_report
from benchmarks.quality.suite.data import open_data
from benchmarks.quality.suite.files import read_json, write_json
from benchmarks.quality.suite.measurements import MEASUREMENTS, PARTS, composites
from benchmarks.quality.suite.options import METHODS, Measurement, Options, rows_of
from benchmarks.quality.suite.pictures import store_pictures, write_pictures
from benchmarks.quality.suite.progress import follow
from benchmarks.quality.suite.tables import as_text, fill
from benchmarks.quality.suite.verdicts import verdicts
from softseg.errors import SoftsegError
from softseg.files import write_atomically

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "quality.md"
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: all done; 1: something failed, or data that was asked for is missing; 130: interrupted."""
    options = _parsed(arguments)
    trial = options.photos is not None
    if trial:
        options.results /= "trial"
    output = options.results if trial else HERE
    failed = False
    try:
        if options.merge is not None:
            failed = not _merge(options, output)
        elif not options.tables:
            options.results.mkdir(parents=True, exist_ok=True)
            wanted = [one for one in MEASUREMENTS if one.part in (options.only or PARTS)]
            done = [_measure(one, options, output) for one in wanted]
            failed = not all(done)
    except KeyboardInterrupt:
        print(f"interrupted: results so far are kept in {options.kept}; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    _publish(output, output / "quality.md" if trial else DOCS)
    return int(failed)


def _publish(output: Path, target: Path) -> None:
    """The documentation with the tables of the JSON files in `output`, and the verdicts on the terminal."""
    files = read_json(output)
    text = fill(DOCS.read_text(encoding="utf-8"), files)
    write_atomically(target, lambda file: file.write(text.encode()))
    print(as_text(verdicts(files)))
    print(f"tables: {target}", file=sys.stderr)


def _measure(measurement: Measurement, options: argparse.Namespace, output: Path) -> bool:
    """Run one measurement and write its files; whether all of it went well."""
    name = measurement.file
    try:
        data = measurement.data
        every = options.every if measurement.part == "boundaries" else 1
        photos: Any = (
            composites()[: options.photos] if data is None else open_data(options.data, data, options.photos, every)
        )
    except SoftsegError as error:
        print(f"{name}: left out: {error}", file=sys.stderr)
        return not options.only
    command = _command(measurement, options)
    run = Options(options.kept, output, options.results, options.jobs, options.methods, every, command)
    count = len(photos) if data is None else len(photos.names)
    try:
        with follow(name, count * (len(options.methods) if measurement.part == "alpha" else 1)) as tell:
            measured = measurement.run(photos, run, tell)
        failures = measured.failures
        if len(failures) < len(rows_of(measured.contents)):  # else an earlier file is worth more
            write_json(output, measurement, shlex.join(command), measured.contents)
            folder = options.results / name
            failures += write_pictures(folder, measurement, photos, measured, options.kept, options.jobs)
    except SoftsegError as error:  # the other measurements can still be done
        failures = [("all", str(error))]
    for photo, reason in failures:
        print(f"{name}: {photo}: {reason}", file=sys.stderr)
    return not failures


def _merge(options: argparse.Namespace, output: Path) -> bool:
    """Put a report into alpha.json; whether that was possible."""
    try:
        contents = merge_report(options.merge, output)
        output.mkdir(parents=True, exist_ok=True)
        [alpha] = (one for one in MEASUREMENTS if one.part == "alpha")
        write_json(output, alpha, "", contents)
        for method in contents["runs"]:
            if contents["runs"][method]["command"].startswith("softseg"):  # pictures here are of another run
                store_pictures(options.results / "alpha" / method, {})
    except SoftsegError as error:
        print(f"--merge: {error}", file=sys.stderr)
        return False
    return True


def _command(measurement: Measurement, options: argparse.Namespace) -> list[str]:
    """What measures this again, wherever the data lies."""
    words = ["python", "-m", "benchmarks.quality", "--data", "DATA", "--only", measurement.part]
    words += [] if options.photos is None else ["--photos", str(options.photos)]
    return [*words, *(["--every", str(options.every)] if measurement.part == "boundaries" else [])]


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--only", type=_of(PARTS), default=[], help=f"of {', '.join(PARTS)}, separated by commas")
    parser.add_argument("--photos", type=_positive, help="a trial: so many photos of each data set, evenly spread")
    parser.add_argument(
        "--methods", type=_of(METHODS), default=list(METHODS), help="of alpha: measure these, keep the others there are"
    )
    parser.add_argument("--every", type=_positive, default=2, metavar="N", help="boundaries of every Nth photo by name")
    parser.add_argument("--merge", type=Path, metavar="FILE", help="only put a report of softseg evaluate alpha in")
    parser.add_argument("--jobs", type=_positive, default=1, help="photos at a time; set OMP_NUM_THREADS to go with it")
    parser.add_argument("--results", type=Path, default=Path("build/quality"), help="folder for the pictures")
    parser.add_argument("--kept", type=Path, help="folder for single photos' results; RESULTS/kept by default")
    parser.add_argument("--tables", action="store_true", help="only fill the tables from the JSON files there are")
    options = parser.parse_args(arguments)
    options.kept = options.kept or options.results / "kept"
    return options


def _of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type for argparse: some of these words, separated by commas."""

    def words(text: str) -> list[str]:
        found = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
        unknown = [word for word in found if word not in known]
        if unknown or not found:
            raise argparse.ArgumentTypeError(f"{text!r} is not of {', '.join(known)}, separated by commas")
        return found

    return words


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
