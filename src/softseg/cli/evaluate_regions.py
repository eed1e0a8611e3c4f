"""`softseg evaluate regions`: do layers have the regions that people draw?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softseg.cli.failures import Failures
from softseg.cli.labelled import LAYOUTS, numbers, open_photos
from softseg.cli.options import Debug, Device, Features, Jobs, KeptFolder, Quiet, ReplaceReport, Seed, SplitOf
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, name_failed, number, table, write_report

if TYPE_CHECKING:
    from softseg.evaluation.region_report import RegionReport


def regions(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help=LAYOUTS)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="Every photo's scores, as a file."),
    ] = None,
    layers: Annotated[str, typer.Option(metavar="NUMBERS", help="How many layers, such as 2-40 or 3,5,8.")] = "2-40",
    finished: Annotated[
        bool, typer.Option("--finished", help="Score finished layers; some seconds for each photo and number.")
    ] = False,
    clusters: Annotated[
        str, typer.Option(metavar="NUMBERS", help="How many clusters k-means of the features has; it takes longest.")
    ] = "2-12,16,20,30",
    no_clusters: Annotated[bool, typer.Option("--no-clusters", help="Leave k-means out.")] = False,
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
    """Measure how well the regions of layers agree with those that people have drawn.

    Segmentation covering, probabilistic Rand index and variation of information (bits) as in the BSDS 500 benchmark: at
    the one number of layers that is best for all photos (ODS) and at the best for each photo (OIS); for layers and for
    their connected parts, for k-means of the same features, and for people among themselves; and the covering with the
    number of layers that --layers auto takes for each photo.
    """
    from softseg.evaluation.region_score import evaluate_regions

    failures = Failures(debug)
    counts = numbers(layers, "--layers")
    others = [] if no_clusters else numbers(clusters, "--clusters")
    with interruptible("results are kept" if kept else "nothing was written"), failures.caught(folder):
        if output is not None:
            check_output(output, overwrite)
        photos = open_photos(folder, split)
        with following(len(photos.names), _line, quiet=quiet) as tell:
            report = evaluate_regions(
                photos,
                features,
                counts,
                others,
                finished=finished,
                device=device,
                seed=seed,
                jobs=jobs,
                kept=kept,
                tell=tell,
            )
        if report.scored:
            typer.echo(f"regions, {len(report.scored)} photos, model {report.model}\n{_table(report)}")
            typer.echo(_automatic(report))
        if output is not None:
            write_report(output, folder, {"split": split} | report.as_dict())
        name_failed(report, failures, debug=debug)
    failures.exit()


def _line(photo: Mapping[str, Any]) -> str:
    """The best covering of a photo, for each way."""
    ways = photo.get("ways", {})
    best = (f"{way} {number(max(one['covered'] / one['area'] for one in errors))}" for way, errors in ways.items())
    return f"{photo['name']}: {', '.join(best) or 'failed'}"


def _table(report: RegionReport) -> str:
    head = [""]
    for measure in ("covering", "Rand", "information"):
        head += [f"{measure} ODS", "layers", "OIS"]
    rows = []
    for way, measures in report.summary.items():
        cells = ([number(m["ods"]), str(m["layers"]), number(m["ois"])] for m in measures.values())
        rows.append([way, *(cell for three in cells for cell in three)])
    if report.people:
        cells = ([number(value), "-", "-"] for value in report.people.values())
        rows.append(["people", *(cell for three in cells for cell in three)])
    return table(head, rows)


def _automatic(report: RegionReport) -> str:
    """What choosing the number of layers for each photo gives."""
    chosen = (report.chosen or {})["layers"]
    return (
        f"automatic number of layers, {chosen['mean_layers']:.1f} on average: covering {number(chosen['covering'])}, "
        f"{chosen['gain_over_ods']:+.3f} against ODS, {number(chosen['regret_to_ois'])} less than OIS"
    )
