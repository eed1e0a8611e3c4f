"""Weights that are one file with an address of its own, such as torchvision's: fetched once, checked, listed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch

from softseg.errors import ModelError, OutputError
from softseg.features import store
from softseg.features.repositories import DISK, MANIFEST, PART, put_in_place
from softseg.files import output_errors

_PUBLISHED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # the start of the SHA-256, by which PyTorch names its files


def fetch_file(address: str, folder: Path, command: str, *, bars: bool = False) -> dict[str, Any]:
    """Download the file at `address` into `folder`, check it, and write the list of that one file there.

    Parameters
    ----------
    address : of the file. Where its name ends in -HEX before the suffix, its SHA-256 must begin so.
    folder : is replaced if it exists; until everything is there, a folder with the ending .part is used.
    command : that fetches this file, for the errors.
    bars : show the progress, where stderr is a terminal.

    Returns
    -------
    The list, as `repositories.fetch_repository` returns it; the licence is not known.

    Raises
    ------
    ModelError : no network, or it must not be used; no such file; or it came damaged.
    OutputError : the disk is full, or the folder cannot be written.
    """
    by_hand = f"on a connected machine run: {command}, and copy the folder {folder.name} that it makes to {folder}"
    if variable := store.offline():
        raise ModelError(f"{folder.name} is not here and {variable} forbids the network; unset it, or {by_hand}")
    partial = folder.with_name(f"{folder.name}{PART}")
    with output_errors(folder):
        partial.mkdir(parents=True, exist_ok=True)
    path = partial / address.rpartition("/")[2]
    try:
        torch.hub.download_url_to_file(address, str(path), _prefix(address), progress=bars and sys.stderr.isatty())
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK:
            with output_errors(folder):
                raise
        raise _refused(error, address, by_hand) from error
    facts = {path.name: {"sha256": store.sha256_of(path), "bytes": path.stat().st_size}}
    manifest = {"repository": address, "revision": _prefix(address) or "", "licence": "not stated", "files": facts}
    put_in_place(partial, folder, manifest)
    return manifest


def fetched(folder: Path) -> Path | None:
    """`folder`, if what was fetched into it is whole; None otherwise."""
    return folder if (folder / MANIFEST).is_file() else None


def _prefix(address: str) -> str | None:
    found = _PUBLISHED.search(address)
    return found[1] if found else None


def _refused(error: Exception, address: str, by_hand: str) -> ModelError | OutputError:
    if isinstance(error, HTTPError):
        return ModelError(store.refusal(error.code, address, by_hand))
    if isinstance(error, RuntimeError):  # what PyTorch raises for another checksum than that of the name
        return ModelError(
            f"{address} came damaged ({' '.join(str(error).split())}); it was not kept: run the same again"
        )
    return ModelError(store.unreachable(address, error, by_hand))
