"""`softseg bench`: how fast it is on this machine, and how far from what the machine can do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from softseg.cli.failures import Failures
from softseg.cli.options import Debug, Device, Quiet, ReplaceReport
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, table, write_report

bench = typer.Typer(
    name="bench",
    help="Measure how fast it is on this machine.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"default_map": {"help": False}},  # as in cli/main.py
)


@bench.callback()
def _verbs() -> None:
    """Measure how fast it is on this machine."""


@bench.command("speed")
def speed(
    photo: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTO", show_default=False, help="Is brought to each row's size; default: a made-up picture."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="All that was measured, as a file."),
    ] = None,
    rows: Annotated[
        str,
        typer.Option(
            metavar="NAMES|all",
            help="Of decompose, layers, file, cold, growth and large (12 megapixels, minutes), separated by commas.",
        ),
    ] = "decompose,layers,file,cold,growth",
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the photo; the targets are for 640x480.")] = "640x480",
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="Of each row; the median counts.")] = 5,
    largest: Annotated[
        float, typer.Option(metavar="MPX", help="Measure growth up to so many megapixels, at most 100.")
    ] = 1.3,
    device: Device = "auto",
    overwrite: ReplaceReport = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure seconds and peak memory, whole and by stage, beside the rates of memory and of matrix products.

    Every row runs in a process of its own. Measure on a machine that does nothing else.
    Exit code 0: all rows were measured, 1: some row failed, 2: wrong usage.
    """
    failures = Failures(debug)
    chosen, shape, largest = rows_of(rows), size_of(size), largest_of(largest)
    with failures.caught():
        if output is not None:
            check_output(output, overwrite)
    failures.exit()
    with interruptible("nothing was written"), failures.caught(photo):
        from softseg.evaluation.speed import measure_speed
        from softseg.evaluation.speed.bench import count_of_rows

        with following(count_of_rows(chosen, shape, largest), line_of, quiet=quiet, noun="rows") as tell:
            found = measure_speed(photo, chosen, size=shape, runs=runs, largest=largest, device=device, tell=tell)
        typer.echo(as_text(found))
        if output is not None:
            write_report(output, None, found)
        for row in found["rows"]:
            if "failure" in row:
                failures.name(Path(row["row"]), row["failure"])
    failures.exit()


def rows_of(names: str) -> list[str]:
    """Names separated by commas, or all; typer.BadParameter for one that does not exist."""
    from softseg.evaluation.speed.targets import ROWS

    chosen = list(ROWS) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in ROWS]
    if unknown or not chosen:
        raise typer.BadParameter(
            f"{names!r} is not of {', '.join(ROWS)}, separated by commas, and not all", param_hint="--rows"
        )
    return chosen


def size_of(text: str) -> tuple[int, int]:
    """Width and height of WxH; typer.BadParameter for what is too small or too large to be measured."""
    from softseg.evaluation.speed.targets import MOST_MEGAPIXELS

    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found or min(int(found[1]), int(found[2])) < 32:
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT of at least 32x32 pixels", param_hint="--size")
    size = int(found[1]), int(found[2])
    if size[0] * size[1] > MOST_MEGAPIXELS * 1e6:
        raise typer.BadParameter(f"{text!r} has more than {MOST_MEGAPIXELS} megapixels", param_hint="--size")
    return size


def largest_of(megapixels: float) -> float:
    """The same number; typer.BadParameter where growth would not end."""
    from softseg.evaluation.speed.targets import MOST_MEGAPIXELS

    if not 0 <= megapixels <= MOST_MEGAPIXELS:  # nor is nan
        raise typer.BadParameter(f"{megapixels} is not from 0 to {MOST_MEGAPIXELS} megapixels", param_hint="--largest")
    return megapixels


def line_of(row: Mapping[str, Any]) -> str:
    """A row and its seconds, for someone who waits."""
    what = f"{row['row']} {row['size'][0]}x{row['size'][1]} {row['device']}"
    return f"{what}: {'failed' if 'failure' in row else _seconds(row['seconds']['median'])}"


def as_text(found: Mapping[str, Any]) -> str:
    """The rows beside their targets, the stages beside their limits, and the growth, for a terminal."""
    lines = [f"photo {found['photo']}; GPU: {found['gpu']}"]
    for device, limits in found["limits"].items():
        single, double = (limits[f"flops_per_second_{kind}"] / 1e9 for kind in ("float32", "float64"))
        lines.append(
            f"{device}: copies {limits['bytes_per_second'] / 1e9:.1f} GB/s, multiplies matrices at "
            f"{single:.0f} GFLOP/s in float32 and {double:.0f} in float64, {limits['threads']} threads"
        )
    done = [row for row in found["rows"] if "failure" not in row]
    lines += ["", table(["row", "size", "device", "seconds", "target", "peak", "target"], _overview(done), left=3)]
    stages = [line for row in done for line in _stages(row)]
    lines += ["", table(["row", "stage", "seconds", "GB/s", "GFLOP/s", "of limit"], stages, left=2)] if stages else []
    for step in found["growth"]:
        small, large = ("x".join(map(str, size)) for size in step["sizes"])
        lines.append(f"growth {small} to {large}, {step['device']}: {step['ratio']:.2f} (target {step['target']})")
    return "\n".join(lines)


def _overview(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            row["row"],
            "x".join(map(str, row["size"])),
            row["device"],
            _seconds(row["seconds"]["median"]),
            _seconds(row["target"]["seconds"]),
            _gigabytes(row["peak_memory_bytes"]),
            _gigabytes(row["target"]["memory"]),
        ]
        for row in rows
    ]


def _stages(row: Mapping[str, Any]) -> list[list[str]]:
    """A line for each stage; the rates only where the work can be counted."""
    name = f"{row['row']} {row['size'][0]}x{row['size'][1]} {row['device']}"
    lines = []
    for stage, seconds in row["stages"].items():
        rates = row.get("achieved", {}).get(stage)
        cells = ["-"] * 3
        if rates:
            cells = [f"{rates['bytes_per_second'] / 1e9:.1f}", f"{rates['flops_per_second'] / 1e9:.1f}"]
            cells.append(f"{100 * rates['share_of_limit']:.0f} %")
        lines.append([name, stage, f"{seconds:.3f}", *cells])
    return lines


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _gigabytes(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e9:.2f} GB"
