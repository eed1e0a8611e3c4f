"""Writing a result into a folder: all of its files or none of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from softseg.errors import OutputError
from softseg.files import output_errors, temporary_beside

if TYPE_CHECKING:
    from PIL.Image import Image

    from softseg.layers.soft_segments import SoftSegments

# Of 9. docs/performance.md: half the time of the usual 6, and files larger by 1 and by 2 in a hundred.
_ARRAY_LEVEL = 1  # the digits of floats hardly repeat
_PICTURE_LEVEL = 4

_OURS = re.compile(r"overview\.png|layer-\d{2,}\.png|alphas\.npz|report\.json")


def save(result: SoftSegments, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write the result into `folder`; see `SoftSegments.save`."""
    folder = Path(folder)
    check_target(folder, overwrite=overwrite)
    with output_errors(folder), _staging(folder) as staging:
        new = staging / "new"
        new.mkdir()
        _write_files(result, new)
        if folder.is_dir():
            _exchange(new, folder, staging / "old", overwrite=overwrite)
        else:
            new.rename(folder)
    return folder


def check_target(folder: str | Path, *, overwrite: bool = False) -> None:
    """Find out before a long computation that its result could be written to `folder`; creates nothing.

    Raises
    ------
    OutputError : the folder holds a result already and `overwrite` is False, or it cannot be created or written.
    """
    folder = Path(folder)
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise OutputError(f"{folder} cannot be created: {existing} is not a folder; choose another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder} cannot be written: writing to {existing} is not permitted; "
            "choose another folder, or change its permissions"
        )
    earlier = _earlier_files(folder)
    if earlier and not overwrite:
        raise OutputError(
            f"{folder / earlier[0]} exists already: nothing was written; "
            "choose another folder, or replace it with --overwrite (in Python: overwrite=True)"
        )


def write_arrays(file: BinaryIO, **arrays: np.ndarray) -> None:
    """A compressed .npz file, as `np.savez_compressed` writes it; the same arrays always give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_ARRAY_LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:  # dated 1980-01-01, not now
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            archive.getinfo(f"{name}.npy").create_system = 3  # not the system at hand


def _write_files(result: SoftSegments, folder: Path) -> None:
    import torch  # knows how many threads there are to be; the compressors let go of Python's lock

    tasks: list[Callable[[], object]] = [partial(_write_alphas, result, folder / "alphas.npz")]  # the longest first
    for k in range(len(result)):
        tasks.append(partial(_write_picture, partial(result.layer, k), folder / f"layer-{k:02d}.png"))
    tasks.append(partial(_write_picture, result.overview, folder / "overview.png"))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        try:
            for written in [pool.submit(task) for task in tasks]:
                written.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    text = json.dumps(result.report(), indent=2, allow_nan=False, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")


def _write_alphas(result: SoftSegments, path: Path) -> None:
    with path.open("wb") as file:
        write_arrays(file, alphas=result.alphas)


def _write_picture(make: Callable[[], Image], path: Path) -> None:
    make().save(path, compress_level=_PICTURE_LEVEL)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as `folder`, gone afterwards whatever happens."""
    if folder.is_dir():  # inside, not beside: `folder` may be where another disk begins
        staging = temporary_beside(folder / "staging")
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = temporary_beside(folder)
    try:
        staging.mkdir()
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _exchange(new: Path, folder: Path, old: Path, *, overwrite: bool) -> None:
    """Move an earlier result from `folder` to `old` and `new` into `folder`; if that fails half way, undo it."""
    if not overwrite:
        check_target(folder)  # once more: another run may have been faster
    old.mkdir()
    moved: list[tuple[Path, Path]] = []
    plan = [(folder / name, old / name) for name in _earlier_files(folder)]
    plan += [(path, folder / path.name) for path in sorted(new.iterdir())]
    try:
        for source, target in plan:
            moved.append((source, target))  # before the move: Ctrl-C may come right after it
            source.rename(target)
    except BaseException:
        for source, target in reversed(moved):
            if not source.exists():
                target.rename(source)
        raise


def _earlier_files(folder: Path) -> list[str]:
    """Names of the files in `folder` that an earlier result left."""
    return sorted(path.name for path in folder.iterdir() if _OURS.fullmatch(path.name)) if folder.is_dir() else []
