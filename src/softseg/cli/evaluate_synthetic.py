"""`softseg evaluate synthetic`: composites whose layers are known exactly, and that need no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from softseg.cli.evaluate_alpha import methods_named
from softseg.cli.failures import Failures
from softseg.cli.options import Debug, Device, Quiet
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, number, table, write_report


def synthetic(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="The scores, as a file."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Of softseg, spectral_matting, spectral_matting_grouped and feature_clusters, separated by commas.",
        ),
    ] = "softseg,spectral_matting,feature_clusters",
    seed: Annotated[int, typer.Option(min=0, help="Of the composites and of the random choices.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Composites at a time.")] = 1,
    device: Device = "auto",
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PNG", show_default=False, help="The composites, their features and alphas, as a file."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace JSON and PNG.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how well layers are found in ten composites, made from a seed, that are known exactly.

    For each: the mean absolute error of the alphas, each layer beside the true one that fits, and the mean squared
    error of the best union of layers for each true one. All methods are given ideal features.
    """
    from softseg.evaluation.synthetic import suite
    from softseg.evaluation.synthetic_score import evaluate_synthetic

    chosen = methods_named(methods)
    failures = Failures(debug)
    done = "nothing was written" if picture is None else "at most the picture was written"
    with interruptible(done), failures.caught():
        for path in (output, picture):
            if path is not None:
                check_output(path, overwrite)
        composites = suite(seed)
        if picture is not None:
            _draw(composites, picture)
        with following(len(composites), _line, quiet=quiet) as tell:
            scores = evaluate_synthetic(composites, chosen, seed=seed, device=device, jobs=jobs, tell=tell)
        typer.echo("mean absolute error of matched layers / mean squared error of best unions")
        typer.echo(_table(scores, chosen))
        if output is not None:
            write_report(output, None, {"seed": seed, "composites": scores})
    failures.exit()


def _line(result: Mapping[str, Any]) -> str:
    return f"{result['name']}: " + ", ".join(f"{m} {number(s['matched'], 4)}" for m, s in result["methods"].items())


def _table(scores: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> str:
    """A row for each composite, and their mean."""
    rows = [[made["name"], *(_cell([made], method) for method in methods)] for made in scores]
    return table(["composite", *methods], [*rows, ["mean", *(_cell(scores, method) for method in methods)]])


def _cell(scores: Sequence[Mapping[str, Any]], method: str) -> str:
    found = [made["methods"][method] for made in scores]
    matched, union = (sum(score[key] for score in found) / len(found) for key in ("matched", "union"))
    return f"{number(matched, 4)} / {number(union, 5)}"


def _draw(composites: Sequence[Any], path: Path) -> None:
    from softseg.evaluation.sheet import draw_sheet, png_bytes
    from softseg.files import write_atomically

    rows = [
        [(made.name, made.image), ("features", made.features), *((f"alpha {k}", a) for k, a in enumerate(made.alphas))]
        for made in composites
    ]
    page = png_bytes(draw_sheet(rows))
    write_atomically(path, lambda file: file.write(page))
