"""`softseg features`: the semantic features of one photograph, as a file or as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.options import Debug, Device, FailuresOnly, Features
from softseg.cli.outputs import check_output
from softseg.settings import DeviceName

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as PILImage

    from softseg.images import Photo

SUFFIXES = (".npy", ".npz", ".mat", ".png")
_MAT_HEADER = 116  # bytes of free text at the start of a .mat file


def features(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photograph.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help=".npy, .npz or .mat (array `features`), or .png (projected, 8 bits per channel).",
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            show_default=False,
            help="Draw the photo beside a random projection, PCA, and guided filter + PCA of its features.",
        ),
    ] = None,
    model: Features = "embedded",
    device: Device = "auto",
    projected: Annotated[
        bool | None,
        typer.Option(
            "--projected/--raw",
            show_default=False,
            help="Reduced to the three dimensions of the graph, or as they are. Default: raw, or projected for .png.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE and PNG.")] = False,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Compute the semantic features of IMAGE, one vector per pixel, and write them to FILE, draw them, or both."""
    suffix = _check_usage(output, figure, projected)
    failures = Failures(debug)
    written: list[str] = []
    try:
        with failures.caught(image):
            for target in filter(None, (output, figure)):
                check_output(target, overwrite)
            photo = _load(image, quiet=quiet)
            wanted = None if output is None else "projected" if suffix == ".png" or projected else "raw"
            values, picture = _compute(photo, model, device, wanted=wanted, draw=figure is not None, quiet=quiet)
            if output is not None and values is not None:
                _write(values, output, suffix)
                written.append(str(output))
                depth = ", 8 bits per channel" if suffix == ".png" else ""
                _say(f"{image} -> {output}: features of shape {values.shape}{depth}", quiet=quiet)
            if figure is not None and picture is not None:
                _save(picture, figure)
                _say(f"{image} -> {figure}: figure of {picture.width} x {picture.height} pixels", quiet=quiet)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {' '.join(written) or 'nothing'} was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _say(sentence: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(sentence)


def _check_usage(output: Path | None, figure: Path | None, projected: bool | None) -> str:
    """The ending of the output, in small letters; "" where there is none."""
    if output is None and figure is None:
        raise typer.BadParameter(
            "nothing to write: name a file for the features, or one with --figure", param_hint="-o"
        )
    if figure is not None and figure.suffix.lower() != ".png":
        raise typer.BadParameter(f"{figure} does not end in .png", param_hint="--figure")
    if output is None:
        if projected is not None:
            raise typer.BadParameter(
                "it says how FILE is written, and there is no -o FILE", param_hint="--projected/--raw"
            )
        return ""
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise typer.BadParameter(f"{output} has none of the endings {', '.join(SUFFIXES)}", param_hint="--output")
    if suffix == ".png" and projected is False:
        raise typer.BadParameter("a .png holds projected features only; use .npy for raw ones", param_hint="--raw")
    if figure is not None and output.absolute() == figure.absolute():
        raise typer.BadParameter(f"{figure} is also the file for the features; choose two", param_hint="--figure")
    return suffix


def _load(image: Path, *, quiet: bool) -> Photo:
    from softseg.images import load_photo

    photo = load_photo(image)
    if not quiet:
        for note in photo.notes:
            typer.echo(f"{image}: note: {note}", err=True)
    return photo


def _compute(
    photo: Photo, model: str, device: DeviceName, *, wanted: str | None, draw: bool, quiet: bool
) -> tuple[np.ndarray | None, PILImage | None]:
    """(h, w, D) raw or (h, w, 3) projected features, and the figure; None for what is not wanted."""
    from softseg.cli.progress import follow
    from softseg.features import extract, project
    from softseg.progress import Stopwatch

    projected: np.ndarray | None = None
    picture: PILImage | None = None
    with follow(photo.name, quiet=quiet) as progress:
        stopwatch = Stopwatch(progress)
        with stopwatch("features"):
            raw: np.ndarray = extract(photo.pixels, model=model, device=device)
        if wanted == "projected":
            with stopwatch("projection"):
                projected = project(raw, photo.pixels, device=device)
        if draw:
            from softseg.features import draw_figure

            with stopwatch("figure"):
                picture = draw_figure(photo.pixels, raw, projected=projected, device=device)
    return raw if wanted == "raw" else projected, picture


def _save(picture: PILImage, figure: Path) -> None:
    from softseg.images import write_atomically

    write_atomically(figure, lambda file: picture.save(file, format="png"))


def _write(values: np.ndarray, output: Path, suffix: str) -> None:
    """Write the array in the format that the ending names."""
    import numpy as np

    from softseg.images import write_atomically
    from softseg.layers import write_arrays

    def write(file: BinaryIO) -> None:
        if suffix == ".npy":
            np.save(file, values)
        elif suffix == ".npz":
            write_arrays(file, features=values)
        elif suffix == ".mat":
            from scipy.io import savemat

            savemat(cast(Any, file), {"features": values})
            file.seek(0)  # the text holds the time of writing; without it, the same features give the same bytes
            file.write(b"MATLAB 5.0 MAT-file, written by softseg".ljust(_MAT_HEADER))
        else:
            from PIL import Image

            Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(file, format="png")

    write_atomically(output, write)
