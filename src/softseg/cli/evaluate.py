"""`softseg evaluate`: how good the results are, against what people have drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softseg.cli.evaluate_alpha import alpha
from softseg.cli.evaluate_boundaries import boundaries
from softseg.cli.evaluate_regions import regions
from softseg.cli.evaluate_synthetic import synthetic
from softseg.cli.failures import Failures
from softseg.cli.labelled import LAYOUTS, open_photos
from softseg.cli.options import Debug, Device, Features, Jobs, Quiet, ReplaceReport, SplitOf
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, number, write_report

if TYPE_CHECKING:
    from softseg.evaluation.feature_score import FeatureReport, PhotoScore
    from softseg.training.datasets import LabelledPhotos

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


evaluate.command("alpha")(alpha)
evaluate.command("synthetic")(synthetic)
evaluate.command("regions")(regions)
evaluate.command("boundaries")(boundaries)


@evaluate.command("features")
def features(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help=LAYOUTS)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="Every photo's scores, as a file."),
    ] = None,
    model: Features = "embedded",
    split: SplitOf = "all",
    pairs: Annotated[int, typer.Option(min=2, metavar="N", help="Pairs of pixels in each photo.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random pairs.")] = 0,
    jobs: Jobs = 1,
    device: Device = "auto",
    overwrite: ReplaceReport = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score how well feature distances tell "same region" from "another region".

    The area under the ROC curve over random pairs of pixels, mean over photos, as the first annotator sees the regions:
    for colours, raw features, their projection to three dimensions, and, where there are several, the other annotators.
    """
    failures = Failures(debug)
    with interruptible("nothing was written"), failures.caught(folder):
        if output is not None:
            check_output(output, overwrite)
        photos = open_photos(folder, split)
        options: dict[str, Any] = {"device": device, "pairs": pairs, "seed": seed, "jobs": jobs}
        report = _run(photos, model, options, quiet=quiet)
        if len(report.failures) < len(report.photos):
            typer.echo(_table(report))
        if output is not None:
            write_report(output, folder, {"split": split} | report.as_dict())
        for photo in report.failures:
            failures.name(Path(photo.name), photo.failure)
    failures.exit()


def _run(photos: LabelledPhotos, model: str, options: dict[str, Any], *, quiet: bool) -> FeatureReport:
    from softseg.evaluation import evaluate_features

    with following(len(photos.names), _line, quiet=quiet) as tell:
        return evaluate_features(photos, model, tell=tell, **options)


def _line(photo: PhotoScore) -> str:
    values = ", ".join(f"{way} {number(draws['random'])}" for way, draws in photo.scores.items())
    return f"{photo.name}: {values or 'failed'}"


def _table(report: FeatureReport) -> str:
    """The mean scores, a line for each way of measuring distance."""
    done = len(report.photos) - len(report.failures)
    lines = [f"area under the ROC curve, mean over {done} photos, model {report.model}"]
    lines.append(f"{'':<12}" + "".join(f"{draw:>8}" for draw in report.mean["raw"]))
    for way, draws in report.mean.items():
        if not all(math.isnan(value) for value in draws.values()):
            lines.append(f"{way:<12}" + "".join(f"{number(value):>8}" for value in draws.values()))
    return "\n".join(lines)
