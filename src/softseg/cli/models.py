"""`softseg models`: which models there are by name, fetching their weights, and checking what was fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.models_import import import_command
from softseg.cli.options import Debug, FailuresOnly

if TYPE_CHECKING:
    from softseg.features.models import Weights

_WIDE = 240  # columns where the list does not go to a terminal: no line is broken

models = typer.Typer(
    name="models",
    help="List the models of features and comparisons, fetch them, check them, and import the paper's weights.",
    invoke_without_command=True,
    add_completion=False,
    context_settings={"default_map": {"help": False}},  # as in cli/main.py
)
models.command("import")(import_command)


@models.callback()
def _list_by_default(context: typer.Context) -> None:
    """List the models of features and comparisons, fetch them, check them, and import the paper's weights."""
    if context.invoked_subcommand is None:
        list_models(debug=False)


@models.command("list")
def list_models(debug: Debug = False) -> None:
    """Print every model: its name, what it is, its terms, its size, and where it is or how to get it.

    Models of features first, then the networks that `softseg compare` compares with.
    """
    failures = Failures(debug)
    with failures.caught():
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for title in ("name", "size", "terms"):
            table.add_column(title, no_wrap=True)
        table.add_column("what it is; where it is, or how to get it", overflow="fold")
        for model in _known():
            path = model.locate()
            size = f"{_megabytes(path)} MB" if path else f"{model.megabytes} MB" if model.megabytes else "?"
            about = f"{model.description}\n{path or model.remedy}"
            table.add_row(*(escape(text) for text in (model.name, size, model.terms, about)))
        console = Console()
        console.width = console.width if console.is_terminal else _WIDE
        console.print(table)
        typer.echo(
            "also: hub:OWNER/NAME and timm:NAME once fetched, any folder with config.json and safetensors, and any "
            ".safetensors file of softseg train or softseg models import; options after an @, for example "
            "dinov2-small@1288"
        )
    failures.exit()


def _megabytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return max(1, round(sum(file.stat().st_size for file in files) / 1e6))


@models.command("fetch")
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="As listed, or hub:OWNER/NAME, or timm:NAME.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Download the weights of a model into the cache folder ($SOFTSEG_HOME) and check them."""
    failures = Failures(debug)
    try:
        with failures.caught():
            from softseg.features.registry import fetch_model

            model = _find(name)
            there = model.locate() is not None and not force
            path = fetch_model(model, force=force, bars=not quiet)
            if not quiet:
                typer.echo(f"{name} {'is there already' if there else 'fetched'}: {path}, {_megabytes(path)} MB")
                typer.echo(f"terms: {_find(name).terms}")
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it ended", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


@models.command("verify")
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Default: everything that is there.")
    ] = None,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Compare the weights with their checksums. Exit code 1 if any are damaged, or NAME is not there."""
    failures = Failures(debug)
    for model in _chosen(name, failures):
        with failures.caught():
            from softseg.features.registry import check_weights

            known = check_weights(model)
            if not quiet:
                said = "as it should be" if known else "there, but no checksum is known for it"
                typer.echo(f"{model.name}: {said}")
    failures.exit()


def _chosen(name: str | None, failures: Failures) -> list[Weights]:
    """The model of that name; or without one, all that are there."""
    found: list[Weights] = []
    with failures.caught():
        found = [model for model in _known() if model.locate()] if name is None else [_find(name)]
    return found


def _known() -> list[Weights]:
    """The feature models, then what the networks of the comparison need."""
    from softseg.baselines.weights import known_weights
    from softseg.features.registry import known_models

    return [*known_models(), *known_weights()]


def _find(name: str) -> Weights:
    from softseg.baselines.weights import named_weights
    from softseg.features.registry import find_model

    return named_weights(name) or find_model(name)
