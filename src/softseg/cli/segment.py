"""`softseg segment`: photographs in, soft layers out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.options import Debug, Device, FailuresOnly, Seed
from softseg.settings import Grouping, Solver

if TYPE_CHECKING:
    from softseg.cli.jobs import Job
    from softseg.layers import SoftSegments

FEATURE_SUFFIXES = (".npy", ".npz", ".mat")


def segment(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Photographs, or folders of them.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            file_okay=False,
            show_default=False,
            help="Results go to DIR/<image name>/.",
        ),
    ],
    features: Annotated[
        str,
        typer.Option(
            metavar="embedded|FILE|NAME",
            help="Feature model (softseg models), a file of its weights (.safetensors), or a file of features of one "
            "image (.npy, .npz, .mat, .png, .tif).",
        ),
    ] = "embedded",
    layers: Annotated[
        str,
        typer.Option(metavar="N|auto", help="How many layers, from 2; auto: as many as the photo has parts, up to 12."),
    ] = "5",
    device: Device = "auto",
    solver: Annotated[Solver, typer.Option(help="Fast, or the exact method as a reference.")] = "fast",
    grouping: Annotated[Grouping, typer.Option(help="How segments are joined into layers.")] = "agglomerative",
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Split each IMAGE into soft layers and write them to DIR/<image name>/.

    Writes overview.png (one colour per layer), layer-00.png ... (largest first), alphas.npz and report.json.
    Exit code 0: all images done, 1: some image failed (the others are written), 2: wrong usage.
    """
    from softseg.cli.jobs import plan

    failures = Failures(debug)
    options = {
        "layers": _count(layers),
        "features": features,
        "device": device,
        "solver": solver,
        "grouping": grouping,
        "seed": seed,
    }
    done = 0
    try:
        jobs = plan(images, output, failures)
        _check_features(features, len(jobs))
        for job in _writable(jobs, overwrite, failures):
            with failures.caught(job.image):
                result = _run(job, options, overwrite=overwrite, quiet=quiet, transient=len(jobs) > 1)
                done += 1
                if not quiet:
                    _tell(job, result)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {done} images done, nothing half-written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if not quiet and len(jobs) > 1:
        typer.echo(f"{done} of {len(jobs)} images done, results in {output}")
    failures.exit()


def _count(layers: str) -> int | Literal["auto"]:
    if layers == "auto":
        return "auto"
    if not layers.isdecimal() or int(layers) < 2:
        raise typer.BadParameter(f"{layers!r} is not a number from 2, and not auto", param_hint="--layers")
    return int(layers)


def _check_features(features: str, images: int) -> None:
    """Features from a file belong to one image."""
    path = Path(features)
    if images < 2 or not (path.suffix.lower() in FEATURE_SUFFIXES or path.is_file()):
        return
    from softseg.features import is_model

    if not is_model(features):
        raise typer.BadParameter(
            f"{features} holds the features of one image, but {images} images are named; run them one by one",
            param_hint="--features",
        )


def _writable(jobs: list[Job], overwrite: bool, failures: Failures) -> list[Job]:
    """The jobs whose result can be written, found out before any of the long computations."""
    from softseg.layers import check_target

    writable = []
    for job in jobs:
        with failures.caught(job.image):
            check_target(job.folder, overwrite=overwrite)
            writable.append(job)
    return writable


def _run(job: Job, options: dict[str, Any], *, overwrite: bool, quiet: bool, transient: bool) -> SoftSegments:
    """Read, segment and write one image."""
    from softseg.cli.progress import follow
    from softseg.images import load_photo
    from softseg.pipeline import segment as compute

    photo = load_photo(job.image)
    with follow(photo.name, quiet=quiet, transient=transient) as progress:
        result: SoftSegments = compute(photo, **options, progress=progress)
    result.save(job.folder, overwrite=overwrite)
    return result


def _tell(job: Job, result: SoftSegments) -> None:
    """Where the result lies and how large its layers are, on stdout; what its owner should know, on stderr."""
    for note in result.notes:
        typer.echo(f"{job.image}: note: {note}", err=True)
    areas = ", ".join(f"{100 * area:.1f} %" for area in result.areas)
    typer.echo(f"{job.image} -> {job.folder}: {len(result)} layers, {areas}")
