"""`softseg evaluate boundaries`: do layers change where people draw a boundary?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softseg.cli.failures import Failures
from softseg.cli.labelled import LAYOUTS, numbers, open_photos
from softseg.cli.options import Debug, Device, Features, Jobs, KeptFolder, Quiet, ReplaceReport, Seed, SplitOf
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, name_failed, number, table, write_report

if TYPE_CHECKING:
    from softseg.evaluation.boundary_errors import BoundaryCounts
    from softseg.evaluation.boundary_report import BoundaryReport


def boundaries(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help=LAYOUTS)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="Every photo's counts, as a file."),
    ] = None,
    layers: Annotated[
        str, typer.Option(metavar="NUMBERS", help="How many layers, such as 3,5,8 or 2-12.")
    ] = "3,5,8,12,20",
    clusters: Annotated[
        str, typer.Option(metavar="NUMBERS", help="How many clusters the hard segmentation has.")
    ] = "2-6,8,10,12,16,20,30,40",
    features: Features = "embedded",
    split: SplitOf = "all",
    seed: Seed = 0,
    jobs: Jobs = 1,
    device: Device = "auto",
    kept: KeptFolder = None,
    overwrite: ReplaceReport = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how precisely the boundaries of layers lie where people have drawn them, within 1, 2 and 4 pixels.

    Precision and recall of the finished layers, of k-means of the same features without the graph, and of people among
    themselves; and the recall of the layers over that of k-means where both have the same precision.
    """
    from softseg.evaluation.boundary_score import evaluate_boundaries

    failures = Failures(debug)
    counts, others = numbers(layers, "--layers"), numbers(clusters, "--clusters")
    with interruptible("results are kept" if kept else "nothing was written"), failures.caught(folder):
        if output is not None:
            check_output(output, overwrite)
        photos = open_photos(folder, split)
        with following(len(photos.names), _line, quiet=quiet) as tell:
            report = evaluate_boundaries(
                photos, features, counts, others, device=device, seed=seed, jobs=jobs, kept=kept, tell=tell
            )
        if report.scored:
            title = f"boundaries, {len(report.scored)} photos, model {report.model}"
            typer.echo("\n\n".join([title, _curves(report), _comparison(report)]))
        if output is not None:
            write_report(output, folder, {"split": split} | report.as_dict())
        name_failed(report, failures, debug=debug)
    failures.exit()


def _line(photo: Mapping[str, Any]) -> str:
    """How many soft segments a photo came apart into."""
    return f"{photo['name']}: {photo.get('soft_segments', 'failed')}" + " soft segments" * ("ways" in photo)


def _curves(report: BoundaryReport) -> str:
    """Precision and recall of each way and number of layers."""
    head = ["", "layers"]
    for tolerance in report.tolerances:
        head += [f"precision {tolerance} px", "recall", "F"]
    rows = []
    for way, counts in report.counts.items():
        for k, count in enumerate(counts):
            rows.append([way, str(count), *_cells(report.curve(way, t)[k] for t in report.tolerances)])
    rows.append(["people", "-", *_cells(report.people(t) for t in report.tolerances)])
    return table(head, rows)


def _cells(counts: Iterator[BoundaryCounts]) -> Iterator[str]:
    for one in counts:
        yield from (number(one.precision), number(one.recall), number(one.f_measure))


def _comparison(report: BoundaryReport) -> str:
    """Recall over that of the hard segmentation; in words where its precision never is ours."""
    columns = [report.comparison(tolerance) for tolerance in report.tolerances]
    rows = [
        [str(at_once[0]["layers"]), *(number(row["ratio"]) if row["ratio"] else row["place"] for row in at_once)]
        for at_once in zip(*columns, strict=True)
    ]
    lines = ["recall of layers / recall of feature_clusters at the same precision"]
    lines.append(table(["layers", *(f"{tolerance} px" for tolerance in report.tolerances)], rows))
    if any(row["place"] in ("above", "below") for column in columns for row in column):
        lines.append("above, below: more or less precise than feature_clusters with any number of clusters tried")
    if any(row["place"] == "alone" for column in columns for row in column):
        lines.append("alone: as precise as feature_clusters that find nothing")
    return "\n".join(lines)
