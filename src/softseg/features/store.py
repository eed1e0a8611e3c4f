"""Where fetched weights lie, their checksums, whether the network may be used, and what its refusals mean."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache
from pathlib import Path

from softseg.errors import ModelError

_PART = 1 << 20  # bytes read at a time
_OFF = ("", "0", "false", "no", "off")


def home() -> Path:
    """The folder for everything that is fetched: $SOFTSEG_HOME, or `softseg` in the platform's cache folder.

    Examples
    --------
    >>> home().name
    'softseg'
    """
    chosen = os.environ.get("SOFTSEG_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        caches = Path("~/Library/Caches")
    elif sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return caches.expanduser() / "softseg"


def offline() -> str | None:
    """The environment variable that forbids the use of a network, SOFTSEG_OFFLINE or HF_HUB_OFFLINE; None if none."""
    names = ("SOFTSEG_OFFLINE", "HF_HUB_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").lower() not in _OFF), None)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file, 64 hexadecimal digits; computed again only when its size or time has changed.

    Raises
    ------
    ModelError : the file cannot be read.
    """
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}; check the file and its permissions"
        ) from error


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, time: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def refusal(status: int, page: str, by_hand: str) -> str:
    """What a refusing answer means and what to do, for the HTTP `status` that came from `page`."""
    if status in (401, 403):
        return (
            f"{page} refuses the download (HTTP {status}): the model is gated or private. Accept its terms on its page "
            "there, make an access token in your account, set HF_TOKEN to it, and run the same again"
        )
    if status == 404:
        return f"{page} does not exist (HTTP 404); check the name"
    return f"{page} answers with HTTP {status}; try again later, or {by_hand}"


def unreachable(page: str, error: BaseException, by_hand: str) -> str:
    """What to do without a network."""
    reason = getattr(error, "reason", None) or error
    return f"{page} cannot be reached ({' '.join(str(reason).split()) or type(reason).__name__}); {by_hand}"
