"""Saying what is being computed, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Whoever wants to follow a run: the command line, the web app, a test."""

    def stage(self, name: str) -> None:
        """The stage `name` begins."""

    def done(self, name: str, seconds: float) -> None:
        """The stage `name` has ended without an error, after `seconds`."""


class Stopwatch:
    """Times the stages of a run and reports them; a stage that runs twice adds up.

    Parameters
    ----------
    progress : is told of the beginning and end of every stage; None: nobody.

    Examples
    --------
    >>> stopwatch = Stopwatch()
    >>> with stopwatch("matting affinity"):
    ...     total = sum(range(1000))
    >>> list(stopwatch.timings)
    ['matting affinity']
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.timings: dict[str, float] = {}  # seconds, in the order in which the stages first ended
        self._progress = progress

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block as the stage `name`; a block that raises is not recorded."""
        if self._progress is not None:
            self._progress.stage(name)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.timings[name] = self.timings.get(name, 0.0) + seconds
        if self._progress is not None:
            self._progress.done(name, seconds)
