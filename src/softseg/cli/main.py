"""The command `softseg`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from softseg.cli.bench import bench
from softseg.cli.compare import compare
from softseg.cli.evaluate import evaluate
from softseg.cli.features import features
from softseg.cli.info import info
from softseg.cli.models import models
from softseg.cli.segment import segment
from softseg.cli.train import train

app = typer.Typer(
    name="softseg",
    help="Split photographs into semantic soft layers: regions with exact, soft edges that sum to one at every pixel.",
    no_args_is_help=True,
    # Both keep typer from loading pydantic, 0.1 s, before a verb is known: for the options that install completion, and
    # for a --help that was not given.
    add_completion=False,
    context_settings={"default_map": {"help": False}},
    pretty_exceptions_enable=False,
)
app.command("segment")(segment)
app.command("features")(features)
app.command("compare")(compare)
app.command("train")(train)
app.add_typer(evaluate)
app.add_typer(bench)
app.add_typer(models)
app.command("info")(info)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            typer.echo(f"softseg {metadata.version('softseg')}")
        except metadata.PackageNotFoundError:
            typer.echo("softseg, version unknown: not installed as a package")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that come before the verb."""


def main() -> None:
    """Run the command line; the entry point of the package."""
    _share_the_processor()
    app(prog_name="softseg")


def _share_the_processor() -> None:
    """Let threads that wait for each other sleep instead of spin, unless the user has chosen.

    Beside another busy program, spinning makes every matrix product some ten times slower.
    Read by OpenMP when PyTorch (GNU) and MKL (Intel) are loaded, which is later than this.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
