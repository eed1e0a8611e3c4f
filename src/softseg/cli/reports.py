"""What the evaluations share: progress over photos, and the report as a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from softseg.cli.failures import INTERRUPTED, Failures

if TYPE_CHECKING:
    from softseg.evaluation.parallel import Report

T = TypeVar("T")


@contextmanager
def interruptible(done: str) -> Iterator[None]:
    """Ctrl-C in the block ends the command with one sentence, which says what became of the work."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {done}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def name_failed(report: Report, failures: Failures, *, debug: bool) -> None:
    """Each photo without a result, on stderr."""
    for photo in report.failures:
        failures.name(Path(photo["name"]), photo["failure"])
        if debug and "traceback" in photo:
            typer.echo(photo["traceback"], err=True)


@contextmanager
def following(
    count: int, line_of: Callable[[T], str], *, quiet: bool, noun: str = "photos"
) -> Iterator[Callable[[T], None] | None]:
    """Someone to tell of each result: a bar with the time left on a terminal, a line each otherwise; None if `quiet`.

    Parameters
    ----------
    count : how many results there will be.
    line_of : the line for a result, such as "NAME: 0.9".
    noun : what they are results of.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if quiet:
        yield None
    elif console.is_terminal:
        columns = TextColumn(noun), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(noun, total=count)
            yield lambda result: bar.advance(task)
    else:
        done = 0

        def line(result: T) -> None:
            nonlocal done
            done += 1
            typer.echo(f"{done}/{count} {line_of(result)}", err=True)

        yield line


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns of text: the first `left` of them to the left, numbers to the right.

    Examples
    --------
    >>> print(table(["", "mean"], [["ours", "0.1"]]))
          mean
    ours   0.1
    """
    widths = [max(len(row[c]) for row in [head, *rows]) for c in range(len(head))]
    lines = (
        "  ".join(
            cell.ljust(width) if c < left else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *rows]
    )
    return "\n".join(line.rstrip() for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """Rounded, or "-" where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def write_report(output: Path, folder: Path | None, contents: Mapping[str, Any]) -> None:
    """Write the report of an evaluation as JSON, with the machine and the data it was made on at its head.

    Parameters
    ----------
    folder : of the data; None where there is none.
    contents : plain dictionaries, lists, strings and numbers, without NaN.
    """
    from softseg.evaluation import machine
    from softseg.files import write_atomically

    # the data by the last two names of its path: enough to know it by, without where it lies on this machine
    data = {} if folder is None else {"data": "/".join(folder.resolve().parts[-2:])}
    text = json.dumps({"machine": machine(), **data, **contents}, indent=1, allow_nan=False)
    write_atomically(output, lambda file: file.write((text + "\n").encode()))
