"""Models of the Hugging Face hub: fetched once, as a folder with a list of its files and their checksums."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softseg.errors import ModelError, OutputError
from softseg.features import store
from softseg.files import output_errors, write_atomically

MANIFEST = "softseg.json"
PART = ".part"  # ending of a folder in which a download is collected
WEIGHTS = "model.safetensors"
_INDEX = f"{WEIGHTS}.index.json"  # of weights in several files
_SETTINGS = ("config.json", "preprocessor_config.json")
_HUB = "https://huggingface.co"
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)  # of the disk, never of a network


def require(module: str, purpose: str, extra: str = "hub") -> Any:
    """Import an optional library; ModelError naming the extra that brings it where that fails."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"{purpose} needs the package {module}, which is not installed; run: pip install 'softseg[{extra}]'"
        raise ModelError(message) from error
    except Exception as error:  # for example torchvision built for another torch, which timm imports
        raise ModelError(
            f"{purpose} needs the package {module}, which is installed but does not start ({_sentence(error)}); "
            f"install matching versions again: pip install --upgrade 'softseg[{extra}]'"
        ) from error


def fetch_repository(
    repository: str, folder: Path, command: str, *, revision: str = "main", bars: bool = False
) -> dict[str, Any]:
    """Download settings and weights of a model of the hub into `folder`, check them, and write their list there.

    Everything is collected in `<folder>.part`, where an interrupted download goes on, and renamed when it is whole.
    Only weights in the safetensors format are taken: reading them cannot run code.

    Parameters
    ----------
    repository : "OWNER/NAME". The hub is huggingface.co, or $HF_ENDPOINT; $HF_TOKEN is used where it is set.
    folder : is replaced if it exists.
    command : that fetches this model, for the errors.
    revision : branch, tag or commit.
    bars : show the progress, as the library does, where stderr is a terminal.

    Returns
    -------
    The list: "repository", "revision" (the commit), "licence", and "files" (name: "sha256", "bytes").

    Raises
    ------
    ModelError : no network, or it must not be used; no such model; a gated one; no safetensors; a file was damaged.
    OutputError : the disk is full, or the folder cannot be written.
    """
    by_hand = f"on a connected machine run: {command}, and copy the folder {folder.name} that it makes to {folder}"
    if variable := store.offline():
        raise ModelError(f"{repository} is not here and {variable} forbids the network; unset it, or {by_hand}")
    hub = require("huggingface_hub", "fetching a model")
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    page = f"{endpoint}/{repository}"
    try:
        about = hub.HfApi(endpoint=endpoint).model_info(repository, revision=revision, files_metadata=True)
        files = {file.rfilename: file for file in about.siblings}
        partial = folder.with_name(f"{folder.name}{PART}")
        with output_errors(folder):
            partial.mkdir(parents=True, exist_ok=True)
        with _progress(hub, bars=bars):
            for name in _wanted(list(files), page):
                path = hub.hf_hub_download(
                    repository, name, revision=about.sha, local_dir=partial, endpoint=endpoint, library_name="softseg"
                )
                _check_download(Path(path), files[name], page)
    except (ModelError, OutputError):
        raise
    except Exception as error:  # each version of the library has its own exceptions
        if isinstance(error, OSError) and error.errno in DISK:
            with output_errors(folder):
                raise
        raise ModelError(_reason(error, page, by_hand)) from error
    manifest = {
        "repository": repository,
        "revision": about.sha,
        "licence": getattr(about.card_data, "license", None) or "not stated",
        "files": _listed(partial, _wanted(list(files), page)),
    }
    put_in_place(partial, folder, manifest)
    return manifest


@contextmanager
def _progress(hub: Any, *, bars: bool) -> Iterator[None]:
    """Switch the library's progress bars off for the block, unless they are wanted and somebody sees them."""
    off = (not bars or not sys.stderr.isatty()) and not hub.utils.are_progress_bars_disabled()
    if off:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if off:
            hub.utils.enable_progress_bars()


def _wanted(names: Sequence[str], page: str) -> list[str]:
    """The settings and the weights among the files of a repository."""
    if "config.json" not in names:
        raise ModelError(f"{page} has no config.json: it is no model for transformers or timm; choose another one")
    weights = [WEIGHTS] if WEIGHTS in names else []
    if not weights and _INDEX in names:
        weights = [_INDEX, *sorted(n for n in names if n.startswith("model-") and n.endswith(".safetensors"))]
    if not weights:
        raise ModelError(
            f"{page} has no weights in the safetensors format ({WEIGHTS}), the only one that is read, because reading "
            "it cannot run code; choose another model, or convert it with save_pretrained and name the folder"
        )
    return [name for name in _SETTINGS if name in names] + weights


def _check_download(path: Path, file: Any, page: str) -> None:
    """Compare with the checksum by which the hub knows the file: SHA-256 of large files, Git's SHA-1 of small ones."""
    large = getattr(file, "lfs", None)
    if large is not None:
        expected, found = large.sha256, store.sha256_of(path)
    else:
        content = path.read_bytes()
        expected = file.blob_id
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if expected is not None and found != expected:
        path.unlink()
        raise ModelError(
            f"{path.name} came damaged from {page}: checksum {found[:12]}... instead of {expected[:12]}...; "
            "it was not kept: run the same again"
        )


def _reason(error: Exception, page: str, by_hand: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    if kind == "RepositoryNotFoundError":  # the hub answers 401 here, lest it tell which private models there are
        return (
            f"{page} does not exist, or is private; check the name, and for a private model set HF_TOKEN to an access "
            "token of an account that may read it"
        )
    if kind == "HFValidationError":
        return f"{page} is not the name of a model ({_sentence(error)}); expected OWNER/NAME"
    if status is not None:
        return store.refusal(int(status), page, by_hand)
    return store.unreachable(page, error, by_hand)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _listed(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": store.sha256_of(folder / name), "bytes": (folder / name).stat().st_size} for name in names}


def put_in_place(partial: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Write the list, drop what the download left behind, and rename."""
    text = json.dumps(manifest, indent=2) + "\n"
    write_atomically(partial / MANIFEST, lambda file: file.write(text.encode()))
    with output_errors(folder):
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The list of a fetched folder; None where there is none.

    Raises
    ------
    ModelError : the list is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = manifest["files"]
        if all(isinstance(facts["sha256"], str) and isinstance(facts["bytes"], int) for facts in files.values()):
            return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ModelError(f"{path} is damaged: it is not the list of files that was written there; fetch the model again")


def damage(folder: Path) -> list[str]:
    """What differs from the list in a fetched folder, one sentence each; none if there is no list."""
    sentences = []
    for name, facts in (manifest_of(folder) or {"files": {}})["files"].items():
        path = folder / name
        if not path.is_file():
            sentences.append(f"{path} is missing")
        elif path.stat().st_size != facts["bytes"]:
            sentences.append(f"{path} has {path.stat().st_size:,} bytes instead of {facts['bytes']:,}")
        elif (found := store.sha256_of(path)) != facts["sha256"]:
            sentences.append(f"{path} has SHA-256 {found[:12]}... instead of {facts['sha256'][:12]}...")
    return sentences


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and checksums of the settings and weights in a model's folder, 64 hexadecimal digits."""
    names = sorted(path.name for path in folder.iterdir() if path.name in _SETTINGS or path.suffix == ".safetensors")
    lines = "".join(f"{store.sha256_of(folder / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()
