"""`softseg evaluate`: how good the results are, against what people have drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.outputs import check_output
from softseg.settings import DeviceName

if TYPE_CHECKING:
    from softseg.evaluation.feature_score import FeatureReport, PhotoScore
    from softseg.training.datasets import LabelledPhotos

Split = Literal["all", "train", "val"]

evaluate = typer.Typer(
    name="evaluate",
    help="Measure how good the results are, against what people have drawn.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"default_map": {"help": False}},  # as in cli/main.py
)


@evaluate.callback()
def _verbs() -> None:
    """Measure how good the results are, against what people have drawn."""


@evaluate.command("features")
def features(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help="Photos with label maps: NAME.jpg with NAME.mat (BSDS 500), NAME/image.png with NAME/labels.png, "
            "images/NAME.jpg with labels/NAME.png, or NAME.jpg with NAME.png.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="Every photo's scores, as a file."),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="embedded|NAME|FILE", help="Feature model, or a .safetensors file with its weights.")
    ] = "embedded",
    split: Annotated[
        Split, typer.Option(help="All photos; or by the fixed rule for data without a split: every 5th is for val.")
    ] = "all",
    pairs: Annotated[int, typer.Option(min=2, metavar="N", help="Pairs of pixels in each photo.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random pairs.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Photos at a time.")] = 1,
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and failures only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of failures.")] = False,
) -> None:
    """Score how well feature distances tell "same region" from "another region".

    The area under the ROC curve over random pairs of pixels, mean over photos, as the first annotator sees the regions:
    for colours, raw features, their projection to three dimensions, and, where there are several, the other annotators.
    """
    failures = Failures(debug)
    try:
        with failures.caught(folder):
            if output is not None:
                check_output(output, overwrite)
            photos = _open(folder, split)
            options: dict[str, Any] = {"device": device, "pairs": pairs, "seed": seed, "jobs": jobs}
            report = _run(photos, model, options, quiet=quiet)
            if len(report.failures) < len(report.photos):
                typer.echo(_table(report))
            if output is not None:
                _write(report, output, folder, split)
            for photo in report.failures:
                failures.name(Path(photo.name), photo.failure)
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _open(folder: Path, part: Split) -> LabelledPhotos:
    """The data in whichever layout the folder has."""
    from softseg.training.datasets import Bsds, Folder, split

    photos = Bsds(folder) if any(folder.glob("*.mat")) else Folder(folder)
    return photos if part == "all" else split(photos, validation=part == "val")


def _run(photos: LabelledPhotos, model: str, options: dict[str, Any], *, quiet: bool) -> FeatureReport:
    from softseg.evaluation import evaluate_features

    with _following(len(photos.names), quiet=quiet) as tell:
        return evaluate_features(photos, model, tell=tell, **options)


@contextmanager
def _following(count: int, *, quiet: bool) -> Iterator[Callable[[PhotoScore], None] | None]:
    """A bar with the time left on a terminal, a line for each photo otherwise, nothing if `quiet`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if quiet:
        yield None
    elif console.is_terminal:
        columns = TextColumn("photos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("photos", total=count)
            yield lambda photo: bar.advance(task)
    else:
        done = 0

        def line(photo: PhotoScore) -> None:
            nonlocal done
            done += 1
            values = ", ".join(f"{way} {_number(draws['random'])}" for way, draws in photo.scores.items())
            typer.echo(f"{done}/{count} {photo.name}: {values or 'failed'}", err=True)

        yield line


def _table(report: FeatureReport) -> str:
    """The mean scores, a line for each way of measuring distance."""
    done = len(report.photos) - len(report.failures)
    lines = [f"area under the ROC curve, mean over {done} photos, model {report.model}"]
    lines.append(f"{'':<12}" + "".join(f"{draw:>8}" for draw in report.mean["raw"]))
    for way, draws in report.mean.items():
        if not all(math.isnan(value) for value in draws.values()):
            lines.append(f"{way:<12}" + "".join(f"{_number(value):>8}" for value in draws.values()))
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _write(report: FeatureReport, output: Path, folder: Path, split: Split) -> None:
    from softseg.evaluation import machine
    from softseg.files import write_atomically

    data = "/".join(folder.resolve().parts[-2:])  # enough to know it by, without where it lies on this machine
    contents = {"machine": machine(), "data": data, "split": split} | report.as_dict()
    write_atomically(output, lambda file: file.write((json.dumps(contents, indent=1) + "\n").encode()))
