"""`softseg evaluate alpha`: how exactly layers follow true alphas."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softseg.cli.failures import Failures
from softseg.cli.options import Debug, Device, Features, Jobs, KeptFolder, Quiet, Seed
from softseg.cli.outputs import check_output
from softseg.cli.reports import following, interruptible, name_failed, number, table, write_report
from softseg.settings import Solver

if TYPE_CHECKING:
    from softseg.evaluation.alpha_photos import AlphaPhotos
    from softseg.evaluation.alpha_report import AlphaReport

_ERRORS = {"sad": 2, "mse": 4, "gradient": 2, "connectivity": 2}  # and how many digits are shown


def alpha(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            show_default=False,
            help="Photos with true alphas: NAME/image.png with NAME/alpha.png and, if there is one, NAME/trimap*.png, "
            "or NAME.jpg with NAME_alpha.png.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="JSON", show_default=False, help="Every photo's errors, as a file."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Of softseg, spectral_matting, spectral_matting_grouped and feature_clusters, separated by commas.",
        ),
    ] = "softseg,spectral_matting,feature_clusters",
    layers: Annotated[
        str, typer.Option(metavar="NUMBERS", help="How many layers, 2 to 12 or auto, separated by commas.")
    ] = "5,8,12,auto",
    features: Features = "embedded",
    seed: Seed = 0,
    spectral_solver: Annotated[
        Solver, typer.Option(help="Of Spectral Matting's eigenvectors: as published (minutes), or by our fast route.")
    ] = "exact",
    jobs: Jobs = 1,
    device: Device = "auto",
    kept: KeptFolder = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, show_default=False, help="Truth and unions side by side: NAME.png for each."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace JSON and pictures.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how exactly the best union of layers follows the true alpha of a photo.

    Errors as at alphamatting.com: sums of absolute differences, of gradient differences and of connectivity
    differences, in thousands, and the mean squared error; over the whole photo, and where the trimap is unknown.
    """
    from softseg.evaluation.alpha_photos import AlphaPhotos
    from softseg.evaluation.alpha_score import evaluate_alpha

    chosen = methods_named(methods)
    counts = [_count(text) for text in names(layers)]
    if not counts:
        raise typer.BadParameter("no number of layers is named", param_hint="--layers")
    failures = Failures(debug)
    with interruptible("results are kept" if kept else "nothing was written"), failures.caught(folder):
        photos = AlphaPhotos(folder)
        _check_outputs(output, pictures, photos, overwrite)
        with following(len(photos.names), _line, quiet=quiet) as tell:
            report = evaluate_alpha(
                photos,
                chosen,
                counts,
                model=features,
                device=device,
                seed=seed,
                spectral_solver=spectral_solver,
                jobs=jobs,
                kept=kept,
                pictures=pictures is not None,
                tell=tell,
            )
        _show(report, failures, debug=debug)
        if pictures is not None:
            _write_pictures(report, pictures)
        if output is not None:
            write_report(output, folder, report.as_dict())
    failures.exit()


def names(text: str) -> list[str]:
    """What is separated by commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def methods_named(text: str) -> list[str]:
    """The methods of a list with commas, each of which exists."""
    from softseg.evaluation.methods import METHODS

    chosen = names(text)
    for name in chosen:
        if name not in METHODS:
            raise typer.BadParameter(f"there is no method {name!r}; choose from: {', '.join(METHODS)}")
    if not chosen:
        raise typer.BadParameter(f"no method is named; choose from: {', '.join(METHODS)}")
    return chosen


def _count(text: str) -> int | Literal["auto"]:
    from softseg.evaluation.union import MOST

    if text == "auto":
        return "auto"
    if not text.isdecimal() or not 2 <= int(text) <= MOST:
        raise typer.BadParameter(
            f"{text!r} is neither a number from 2 to {MOST} nor auto: all unions of layers are tried",
            param_hint="--layers",
        )
    return int(text)


def _check_outputs(output: Path | None, pictures: Path | None, photos: AlphaPhotos, overwrite: bool) -> None:
    """Refuse before the long work what could not be written after it."""
    from softseg.files import output_errors

    if output is not None:
        check_output(output, overwrite)
    if pictures is not None:
        with output_errors(pictures):
            pictures.mkdir(exist_ok=True)
        for name in photos.names:
            check_output(pictures / f"{name}.png", overwrite)


def _line(photo: Mapping[str, Any]) -> str:
    """The mean squared errors of a photo, in the order of the numbers of layers."""
    methods = photo.get("methods", {})
    values = (f"{m} {' '.join(number(s['whole']['mse'], 4) for s in counts.values())}" for m, counts in methods.items())
    return f"{photo['name']}: {', '.join(values) or 'failed'}"


def _show(report: AlphaReport, failures: Failures, *, debug: bool) -> None:
    """The table on stdout, the photos that failed on stderr."""
    done = len(report.photos) - len(report.failures)
    if done:
        typer.echo(f"best union of layers, mean over {done} photos, model {report.model}")
        typer.echo(_table(report))
    name_failed(report, failures, debug=debug)


def _table(report: AlphaReport) -> str:
    mean = report.mean
    regions = [
        r for r in ("whole", "unknown") if any(r in score for counts in mean.values() for score in counts.values())
    ]
    head = ["method", "layers", *(f"{region} {error}" for region in regions for error in _ERRORS)]
    rows = []
    for method, counts in mean.items():
        for count, score in counts.items():
            asked = count if count.isdecimal() else f"{count} ({score['layers']:.1f})"
            values = [number(score.get(r, {}).get(e), digits) for r in regions for e, digits in _ERRORS.items()]
            rows.append([method, asked, *values])
    return table(head, rows)


def _write_pictures(report: AlphaReport, folder: Path) -> None:
    for photo in report.photos:
        if "picture" in photo:
            _write_picture(folder / f"{photo['name']}.png", base64.b64decode(photo["picture"]))


def _write_picture(path: Path, picture: bytes) -> None:
    from softseg.files import write_atomically

    write_atomically(path, lambda file: file.write(picture))
