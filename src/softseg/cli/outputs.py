"""Finding out before the computation that its result can be written."""

from __future__ import annotations

from pathlib import Path

from softseg.errors import OutputError


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse a file that exists, unless `overwrite`, and a place where nothing can be written.

    Raises
    ------
    OutputError : the result could not be written to `output`.
    """
    from softseg.files import output_errors, temporary_beside

    if not output.absolute().parent.is_dir():
        raise OutputError(f"{output} cannot be written: {output.parent} is not a folder; create it first")
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file; choose another name")
    if output.exists() and not overwrite:
        raise OutputError(
            f"{output} exists already: nothing was written; choose another name, or replace it with --overwrite"
        )
    trial = temporary_beside(output)
    with output_errors(output):
        try:
            trial.touch(exist_ok=False)
        finally:
            trial.unlink(missing_ok=True)
