"""A failure is one sentence on stderr, and does not keep the other images from being done."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from softseg.errors import SoftsegError

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it


class Failures:
    """Names and counts what failed.

    Parameters
    ----------
    debug : print tracebacks as well.
    """

    def __init__(self, debug: bool = False) -> None:
        self.count = 0
        self._debug = debug

    @contextmanager
    def caught(self, subject: Path | None = None) -> Iterator[None]:
        """Turn an error in the block into one sentence about `subject`; Ctrl-C passes through."""
        try:
            yield
        except Exception as error:
            self.name(subject, _sentence(error))
            if self._debug:
                traceback.print_exc()

    def name(self, subject: Path | None, sentence: str) -> None:
        """Say one failure on stderr."""
        self.count += 1
        named = subject is None or sentence.startswith(str(subject))
        typer.echo(sentence if named else f"{subject}: {sentence}", err=True)

    def exit(self) -> None:
        """Leave with code 1 if anything failed."""
        if self.count:
            raise typer.Exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, SoftsegError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory for an image of this size; reduce it first"
    if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which is not imported for its name
        return "the GPU has not enough memory for an image of this size; reduce it first, or use --device cpu"
    reason = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {reason}; please report this, with the traceback that --debug prints"
