"""`softseg models import`: the weights of the seed's network, from its TensorFlow checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.options import Debug, FailuresOnly
from softseg.cli.outputs import check_output

if TYPE_CHECKING:
    from softseg.features.checkpoints import ImportReport


def import_command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="NAME.index; the data files lie beside it.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help=".safetensors to write. Default: models/seed.safetensors in the cache folder.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Convert the TensorFlow checkpoint of the seed's network (DeepLab-ResNet-101, 128 features) to safetensors."""
    if output is not None and output.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"{output} does not end in .safetensors", param_hint="--output")
    failures = Failures(debug)
    try:
        with failures.caught(checkpoint):
            from softseg.features.checkpoints import import_checkpoint

            report = import_checkpoint(checkpoint, _destination(output, overwrite))
            if not quiet:
                _tell(checkpoint, report)
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _destination(output: Path | None, overwrite: bool) -> Path:
    """Where to write; found out before the reading that it can be."""
    if output is None:
        from softseg.features.models import target
        from softseg.files import output_errors

        output = target("seed.safetensors")
        with output_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
    check_output(output, overwrite)
    return output


def _tell(checkpoint: Path, report: ImportReport) -> None:
    typer.echo(f"{checkpoint} -> {report.output}: {report.tensors} tensors, {report.parameters:,} numbers")
    if report.ignored:
        typer.echo(f"{checkpoint}: note: {len(report.ignored)} variables of the optimizer were left out", err=True)
    for name in report.extra:
        typer.echo(f"{checkpoint}: note: {name} is not of this network and was left out", err=True)
