"""`softseg train`: a network of features, or of boundaries, from labelled photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softseg.cli.failures import INTERRUPTED, Failures
from softseg.cli.options import Debug, Device, FailuresOnly

if TYPE_CHECKING:
    from softseg.training.recipes import Recipe
    from softseg.training.train import State

KINDS = "bsds, msrc-train, msrc-val, bsds-even, bsds-odd, folder, coco-stuff, coco-panoptic"


def train(
    data: Annotated[
        list[str],
        typer.Option(metavar="KIND:PATH", show_default=False, help=f"Photos to learn from. KIND is one of: {KINDS}."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", file_okay=False, show_default=False, help="Of the run.")
    ],
    validation: Annotated[
        list[str] | None, typer.Option(metavar="KIND:PATH", show_default=False, help="Photos to score on.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="seed|embedded|boundaries", help="Which numbers to train with.")
    ] = "seed",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Changes to the recipe, .json or .toml.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", show_default=False, help="One more change.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in DIR, if there is one.")
    ] = False,
    device: Device = "auto",
    precision: Annotated[Literal["32", "bf16"], typer.Option(help="Of the network's arithmetic.")] = "32",
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="1, or what torchrun has started",
            help="GPUs, or processes, on each machine.",
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="1, or what torchrun has started", help="Machines.")
    ] = None,
    quiet: FailuresOnly = False,
    debug: Debug = False,
) -> None:
    """Train a network of features, or of boundaries, on labelled photos.

    DIR gets model.safetensors and recipe.json, checkpoint.pt to go on from, log.jsonl, and tensorboard/.
    A COCO PATH is the folder that holds annotations/ and train2017/; another split is named by PATH@val2017.
    """
    failures = Failures(debug)
    _check_sources("--data", data)
    _check_sources("--validation", validation or [])
    changed = _recipe(recipe, config, changes or [], failures)
    try:
        with failures.caught(output):
            options = {"resume": resume, "device": device, "precision": precision, "devices": devices, "nodes": nodes}
            _run(changed, data, validation or [], output, options, quiet=quiet)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: go on from the last checkpoint in {output} with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    failures.exit()


def _check_sources(option: str, sources: list[str]) -> None:
    from softseg.training.open import parse_source

    with _usage(option):
        for source in sources:
            parse_source(source)


def _recipe(name: str, config: Path | None, changes: list[str], failures: Failures) -> Recipe:
    from softseg.training.recipes import change, find_recipe, load_recipe, parse_changes

    with _usage("--recipe"):
        recipe = find_recipe(name)
    if config is not None:
        with failures.caught(config):
            recipe = load_recipe(config, recipe)
        failures.exit()
    with _usage("--set"):
        return change(recipe, parse_changes(changes))


@contextmanager
def _usage(option: str) -> Iterator[None]:
    """Turn words that no run could understand into wrong usage of `option`."""
    from softseg.errors import InputError

    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _run(
    recipe: Recipe, data: list[str], validation: list[str], output: Path, options: dict[str, Any], *, quiet: bool
) -> None:
    from softseg.training.datasets import Joined
    from softseg.training.open import open_photos
    from softseg.training.train import train as compute

    photos = Joined([open_photos(source) for source in data])
    kinds = [source.partition(":")[0] for source in validation]
    names = kinds if len(set(kinds)) == len(kinds) else validation
    scored = {name: open_photos(source) for name, source in zip(names, validation, strict=True)}
    sizes = "".join(f", {len(part.names)} of {name} to score on" for name, part in scored.items())
    with _Follower(f"{output}: {len(photos.names)} photos to learn from{sizes}", recipe.steps) as follower:
        compute(recipe, photos, scored, output, tell=None if quiet else follower.tell, **options)
    if follower.told:
        typer.echo(f"{output}: {recipe.steps} steps done, weights in {output / 'model.safetensors'}")


class _Follower:
    """Progress on stderr: a bar with the time left on a terminal, else a line for each entry of the log.

    Silent until it is told something: of several processes that train together, only the first one is heard.
    """

    def __init__(self, title: str, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.told = False
        self._title, self._steps = title, steps
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=console) if console.is_terminal else None

    def __enter__(self) -> _Follower:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None and self.told:
            self._bar.stop()

    def tell(self, state: State) -> None:
        """Show an entry of the log."""
        if not self.told:
            self._begin()
        text = state.note or _values(state)
        if self._bar is None:
            left = "" if state.note else f", {_left(state)}"
            typer.echo(f"step {state.step}/{state.steps}: {text}{left}", err=True)
        elif "loss" in state.values:
            self._bar.update(self._task, completed=state.step, description=text, left=_left(state))
        else:
            self._bar.console.print(f"step {state.step}: {text}", markup=False, highlight=False)

    def _begin(self) -> None:
        self.told = True
        typer.echo(self._title, err=True)
        if self._bar is not None:
            self._task = self._bar.add_task("training", total=self._steps, left="")
            self._bar.start()


def _values(state: State) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in state.values.items())


def _left(state: State) -> str:
    minutes, seconds = divmod(round(state.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left"
