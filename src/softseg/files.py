"""Writing files so that none is ever half-written under its final name."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from softseg.errors import OutputError


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then rename it to `path`, replacing what was there.

    Whatever goes wrong, Ctrl-C included, the temporary file is removed and `path` is as it was before.

    Parameters
    ----------
    path : the file to be written; its folder exists.
    write : is called once with a binary file that is open for writing.

    Raises
    ------
    OutputError : the folder cannot be written, the disk is full, or `path` is something else than a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", lambda file: file.write(b"done"))
    ...     (Path(folder) / "note.txt").read_text()
    'done'
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a folder, or a device such as /dev/null, must not be replaced
        raise OutputError(f"{path} exists and is not a file: nothing was written; choose another name")
    temporary = temporary_beside(path)
    with output_errors(path):
        try:
            with temporary.open("xb") as file:
                write(file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """A new hidden name in the folder of `path`, hence on the same disk: renaming is one step."""
    return path.with_name(f".softseg-{secrets.token_hex(6)}.tmp")


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing `path` into one sentence."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path} could not be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full; free some space, or choose another folder"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "writing there is not permitted; choose another folder, or change its permissions"
        case errno.ENOENT:
            return "its folder does not exist; create the folder first"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file is in the place of a folder; choose another folder"
        case errno.ENAMETOOLONG:
            return "the name is too long; choose a shorter one"
        case _:
            return f"{error.strerror or error}; choose another folder, or check the disk"
