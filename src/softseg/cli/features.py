"""`softseg features`: the semantic features of one photograph, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.errors import OutputError
from softseg.settings import DeviceName

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".npy", ".npz", ".mat", ".png")
_MAT_HEADER = 116  # bytes of free text at the start of a .mat file


def features(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photograph.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help=".npy, .npz or .mat (array `features`), or .png (projected, 8 bits per channel).",
        ),
    ],
    model: Annotated[str, typer.Option(metavar="embedded|NAME", help="Feature model.")] = "embedded",
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = "auto",
    projected: Annotated[
        bool | None,
        typer.Option(
            "--projected/--raw",
            show_default=False,
            help="Reduced to the three dimensions of the graph, or as they are. Default: raw, or projected for .png.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of failures.")] = False,
) -> None:
    """Compute the semantic features of IMAGE, one vector per pixel, and write them to FILE."""
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise typer.BadParameter(f"{output} has none of the endings {', '.join(SUFFIXES)}", param_hint="--output")
    if suffix == ".png" and projected is False:
        raise typer.BadParameter("a .png holds projected features only; use .npy for raw ones", param_hint="--raw")
    failures = Failures(debug)
    try:
        with failures.caught(image):
            _check_output(output, overwrite)
            values = _compute(image, model, device, projected=suffix == ".png" or bool(projected), quiet=quiet)
            _write(values, output, suffix)
            if not quiet:
                depth = ", 8 bits per channel" if suffix == ".png" else ""
                typer.echo(f"{image} -> {output}: features of shape {values.shape}{depth}")
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _check_output(output: Path, overwrite: bool) -> None:
    """Find out before the computation that its result can be written."""
    if not output.absolute().parent.is_dir():
        raise OutputError(f"{output} cannot be written: {output.parent} is not a folder; create it first")
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file; choose another name")
    if output.exists() and not overwrite:
        raise OutputError(
            f"{output} exists already: nothing was written; choose another name, or replace it with --overwrite"
        )


def _compute(image: Path, model: str, device: DeviceName, *, projected: bool, quiet: bool) -> np.ndarray:
    """(h, w, D) raw or (h, w, 3) projected features."""
    from softseg.cli.progress import follow
    from softseg.features import extract, project
    from softseg.images import load_photo
    from softseg.progress import Stopwatch

    photo = load_photo(image)
    if not quiet:
        for note in photo.notes:
            typer.echo(f"{image}: note: {note}", err=True)
    with follow(photo.name, quiet=quiet) as progress:
        stopwatch = Stopwatch(progress)
        with stopwatch("features"):
            values: np.ndarray = extract(photo.pixels, model=model, device=device)
        if projected:
            with stopwatch("projection"):
                values = project(values, photo.pixels)
    return values


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
