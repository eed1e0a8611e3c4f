"""`softseg compare`: photos as rows, methods as columns, in one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.options import Debug, Device, FailuresOnly, Seed
from softseg.cli.outputs import check_output
from softseg.settings import DeviceName, Solver

if TYPE_CHECKING:
    from softseg.baselines.networks import Segmenter
    from softseg.evaluation.comparison import Comparison
    from softseg.evaluation.comparison_figure import Crop

COLUMNS = ("pspnet", "mask_rcnn", "mask2former", "spectral_matting", "ours")
_SUFFIXES = (".png", ".pdf")
_WEIGHTS = "FILE|FOLDER|NAME"


def compare(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Photographs, a row each.", show_default=False)],
    outputs: Annotated[
        list[Path],
        typer.Option(
            "-o", "--output", metavar="FILE", show_default=False, help=".png, or .pdf with text as vectors; or both."
        ),
    ],
    crops: Annotated[
        list[str] | None,
        typer.Option("--crop", metavar="X,Y,W,H", help="Also this part of each photo, in its pixels, as a row."),
    ] = None,
    layers: Annotated[int, typer.Option(min=2, metavar="N", help="How many layers, from 2.")] = 5,
    features: Annotated[str, typer.Option(metavar="embedded|FILE|NAME", help="Feature model.")] = "embedded",
    pspnet: Annotated[str | None, typer.Option(metavar=_WEIGHTS, help="Weights of PSPNet.")] = None,
    mask_rcnn: Annotated[str | None, typer.Option(metavar=_WEIGHTS, help="Weights of Mask R-CNN.")] = None,
    mask2former: Annotated[str | None, typer.Option(metavar="FOLDER|NAME", help="Weights of Mask2Former.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help=f"Leave this column out: {', '.join(COLUMNS)}.")
    ] = None,
    device: Device = "auto",
    spectral_solver: Annotated[
        Solver, typer.Option(help="Of Spectral Matting: exact (minutes), or fast, by a route not made for it.")
    ] = "exact",
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Draw what PSPNet, Mask R-CNN, Mask2Former, Spectral Matting and softseg make of each IMAGE, side by side.

    Networks without weights are left out and named: fetch them with `softseg models fetch`, or name a file.
    """
    parts = [_crop(text) for text in crops or ()]
    chosen = {"pspnet": pspnet, "mask_rcnn": mask_rcnn, "mask2former": mask2former}
    dropped = without or []
    _check_usage(outputs, chosen, dropped)
    networks = {name: weights for name, weights in chosen.items() if name not in dropped}
    methods = tuple(name for name in ("spectral_matting", "ours") if name not in dropped)
    failures = Failures(debug)
    written: list[str] = []
    try:
        with failures.caught():
            for output in outputs:
                check_output(output, overwrite)
            ready, left_out = _open(networks, device, quiet=quiet)
            options = {
                "layers": layers,
                "features": features,
                "device": device,
                "spectral_solver": spectral_solver,
                "seed": seed,
                "methods": methods,
            }
            done = _compare(images, ready, parts, options, failures, quiet=quiet)
            if done:
                written.extend(_draw(done, parts, left_out, outputs))
                if not quiet:
                    typer.echo(f"{len(done)} of {len(images)} photos compared: {', '.join(written)}")
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {' '.join(written) or 'nothing'} was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _crop(text: str) -> tuple[int, int, int, int]:
    numbers = text.split(",")
    if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is not X,Y,W,H: four whole numbers, the left upper corner and the size", param_hint="--crop"
        )
    x, y, w, h = (int(number) for number in numbers)
    if min(w, h) < 1:
        raise typer.BadParameter(f"{text!r} has no pixels: W and H are at least 1", param_hint="--crop")
    return x, y, w, h


def _check_usage(outputs: list[Path], chosen: dict[str, str | None], dropped: list[str]) -> None:
    for output in outputs:
        if output.suffix.lower() not in _SUFFIXES:
            raise typer.BadParameter(f"{output} has none of the endings {', '.join(_SUFFIXES)}", param_hint="--output")
    if len({output.absolute() for output in outputs}) < len(outputs):
        raise typer.BadParameter("one file is named twice", param_hint="--output")
    for name in dropped:
        if name not in COLUMNS:
            raise typer.BadParameter(
                f"there is no column {name!r}; choose of: {', '.join(COLUMNS)}", param_hint="--without"
            )
    for name, weights in chosen.items():
        if weights is not None and name in dropped:
            raise typer.BadParameter(
                f"{name} is left out, yet has weights; give one of the two", param_hint="--without"
            )
    if set(COLUMNS) <= set(dropped):
        raise typer.BadParameter("no column remains", param_hint="--without")


def _open(
    networks: dict[str, str | None], device: DeviceName, *, quiet: bool
) -> tuple[dict[str, Segmenter], dict[str, str]]:
    """The networks that can be used, found out before the long work; the others are named."""
    from softseg.evaluation.comparison import TITLES, open_networks
    from softseg.evaluation.comparison_figure import PURPOSE
    from softseg.features.repositories import require

    require("matplotlib", PURPOSE, "baselines")
    ready, left_out = open_networks(networks, device)
    if not quiet:
        for name, reason in left_out.items():
            typer.echo(f"left out: {TITLES[name]}: {reason}", err=True)
    return ready, left_out


def _compare(
    images: list[Path],
    ready: dict[str, Segmenter],
    crops: list[tuple[int, int, int, int]],
    options: dict[str, object],
    failures: Failures,
    *,
    quiet: bool,
) -> list[Comparison]:
    """Photo by photo; crops are checked first."""
    from softseg.cli.progress import follow
    from softseg.evaluation.comparison import compare as compute
    from softseg.evaluation.comparison_figure import Crop
    from softseg.images import load_photo

    done: list[Comparison] = []
    for image in images:
        with failures.caught(image):
            photo = load_photo(image)
            for crop in crops:
                Crop(*crop).check(str(image), photo.pixels.shape)
            if not quiet:
                for note in photo.notes:
                    typer.echo(f"{image}: note: {note}", err=True)
            with follow(photo.name, quiet=quiet, transient=len(images) > 1) as progress:
                done.append(compute(photo, ready, **options, progress=progress))  # type: ignore[arg-type]
    return done


def _draw(
    done: list[Comparison], crops: list[tuple[int, int, int, int]], left_out: dict[str, str], outputs: list[Path]
) -> list[str]:
    from softseg.evaluation.comparison_figure import Crop, draw_comparison, save_figure

    parts: list[Crop] = [Crop(*crop) for crop in crops]
    figure = draw_comparison(done, parts, left_out)
    for output in outputs:
        save_figure(figure, output)
    return [str(output) for output in outputs]
