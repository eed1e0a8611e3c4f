"""Progress on stderr: live on a terminal, one line per stage otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.progress import ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from softseg.progress import Progress


@contextmanager
def follow(name: str, *, quiet: bool = False, transient: bool = False) -> Iterator[Progress | None]:
    """Someone to tell of the stages of `name`; None if `quiet`.

    Parameters
    ----------
    name : of the image.
    transient : on a terminal, wipe the stages away at the end, as for many images.
    """
    console = Console(stderr=True)
    if quiet:
        yield None
    elif console.is_terminal:
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), _Seconds())
        with Bars(*columns, console=console, transient=transient) as bars:
            yield _Live(name, bars)
    else:
        yield _Lines(name, console)


class _Lines:
    """One line for every stage that has ended."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._console = console

    def stage(self, name: str) -> None:
        """Nothing yet."""

    def done(self, name: str, seconds: float) -> None:
        """Print the line."""
        self._console.out(f"{self._name}: {name} {seconds:.1f} s", highlight=False)


class _Live:
    """A turning line for the stage that runs, a ticked one for each that has ended."""

    def __init__(self, name: str, bars: Bars) -> None:
        self._name = name
        self._bars = bars
        self._running: dict[str, TaskID] = {}

    def stage(self, name: str) -> None:
        """Begin a line."""
        self._running[name] = self._bars.add_task(escape(f"{self._name}: {name}"), total=None)

    def done(self, name: str, seconds: float) -> None:
        """Tick it."""
        self._bars.update(self._running.pop(name), total=1, completed=1)


class _Seconds(ProgressColumn):
    """Seconds that a stage has run."""

    def render(self, task: Task) -> Text:
        """Such as "0.8 s"."""
        seconds = task.finished_time if task.finished else task.elapsed
        return Text(f"{seconds or 0:.1f} s", style="dim")
