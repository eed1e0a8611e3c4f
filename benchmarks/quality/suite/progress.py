"""A line for each photo with the time that is left, or a bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from softseg.cli.reports import following
from softseg.evaluation.parallel import FAILURE

_AT_ONCE = 0.2  # seconds: what comes faster had been kept by an earlier run, and says nothing of the time left


@contextmanager
def follow(name: str, count: int) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    """Someone to tell of each of `count` results of the measurement `name`."""
    left = TimeLeft(count)

    def line(result: Mapping[str, Any]) -> str:
        return f"{name}: {result['name']}{' failed' if result.get(FAILURE) else ''}{left.after_one_more()}"

    with following(count, line, quiet=False) as tell:
        yield tell or (lambda result: None)


class TimeLeft:
    """How long the rest will take, by the mean of those that took time."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._last = clock()
        self._done, self._slow, self._seconds = 0, 0, 0.0

    def after_one_more(self) -> str:
        """Such as ", about 5 min left"; empty where nothing is known or nothing is left."""
        now = self._clock()
        took, self._last = now - self._last, now
        self._done += 1
        if took > _AT_ONCE:
            self._slow, self._seconds = self._slow + 1, self._seconds + took
        rest = self._count - self._done
        if not rest or not self._slow:
            return ""
        return f", about {_words(rest * self._seconds / self._slow)} left"


def _words(seconds: float) -> str:
    """In seconds, minutes or hours, whichever says it in one or two digits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
