"""A task done for many photos: in several processes, and so that a run that was broken off goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch

import softseg.errors
from softseg.errors import OutputError
from softseg.files import output_errors, write_atomically
from softseg.layers.report import versions

T = TypeVar("T")

FAILURE = "failure"  # a result with something under this key is handed on but not kept: the next run tries again
_PACKAGES = ("softseg", "numpy", "scipy", "scikit-image", "numba", "torch")
_UNDECISIVE = ("cli", "web")  # parts of the package that decide how results are shown, not what they are


@dataclass(frozen=True)
class Kept:
    """Results in a folder, one JSON file for each photo: NAME-DIGEST.json, of everything that decides the result.

    folder : is created where it is missing.
    names : of the photos, one for each index.
    settings : what decides all results: options, digests of models. As JSON can hold it.
    files : of photo `i`, whose contents decide its result.

    The digest covers the settings, the contents of the files, the source code of this package and the versions of its
    libraries. A result that was computed from anything else lies under another name and is left alone.
    """

    folder: Path
    names: Sequence[str]
    settings: Mapping[str, Any]
    files: Sequence[Sequence[Path]] = field(default_factory=list)

    def path(self, i: int) -> Path:
        """The file for the result of photo `i`."""
        files = self.files[i] if self.files else ()
        decisive = [self.names[i], self.settings, [[file.name, _content(file)] for file in files], _code()]
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        # names may hold slashes or be too long for a file; the digest tells those apart that are then the same
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.names[i])[:80]
        return self.folder / f"{name}-{digest[:16]}.json"

    def load(self, i: int) -> dict[str, Any] | None:
        """The result of photo `i`; None where there is none, or none that can be read."""
        try:
            found = json.loads(self.path(i).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def store(self, i: int, result: Mapping[str, Any]) -> None:
        """Keep the result of photo `i`, unless it is a failure."""
        if result.get(FAILURE):
            return
        text = json.dumps(result)
        write_atomically(self.path(i), lambda file: file.write(text.encode()))

    def prepare(self) -> None:
        """Create the folder.

        Raises
        ------
        OutputError : that is not possible.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder} is a file, expected a folder for results to be kept; choose another name")
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)


def results(task: Callable[[int], T], count: int, jobs: int = 1, kept: Kept | None = None) -> Iterator[tuple[int, T]]:
    """(i, task(i)) for every i below `count`, as they come.

    Parameters
    ----------
    task : with several jobs it is sent to other processes, so it must be picklable, as dataclasses of a module are.
    jobs : processes that work at the same time. The threads of PyTorch are shared out among them.
    kept : where results are looked up first, and each is written as soon as it is there. They must then be
        dictionaries that survive JSON, and come back as JSON has them (tuples as lists, keys as strings). One that has
        something under "failure" is not kept.

    Raises
    ------
    OutputError : results cannot be kept there.

    Examples
    --------
    >>> sorted(results(lambda i: i * i, 3))
    [(0, 0), (1, 1), (2, 4)]
    """
    if kept is None:
        yield from _computed(task, range(count), jobs)
        return
    kept.prepare()
    missing = []
    for i in range(count):
        found: Any = kept.load(i)
        if found is None:
            missing.append(i)
        else:
            yield i, found
    result: Any
    for i, result in _computed(task, missing, jobs):
        kept.store(i, result)
        yield i, result


def in_order(
    task: Callable[[int], T],
    count: int,
    jobs: int = 1,
    kept: Kept | None = None,
    tell: Callable[[T], object] | None = None,
) -> list[T]:
    """The same results in the order of the data; `tell` hears of each as it comes.

    Examples
    --------
    >>> in_order(lambda i: i * i, 3, tell=print)
    0
    1
    4
    [0, 1, 4]
    """
    found: dict[int, T] = {}
    for i, result in results(task, count, jobs, kept):
        found[i] = result
        if tell is not None:
            tell(result)
    return [found[i] for i in range(count)]


@dataclass(frozen=True)
class Report:
    """What an evaluation of a feature model found, photo by photo in the order of the data.

    model, digest : of the features.
    settings : what else decides the results.
    photos : a dictionary each, with its "name" and either results or, under "failure", why there are none.
    """

    model: str
    digest: str
    settings: Mapping[str, Any]
    photos: Sequence[Mapping[str, Any]]

    @property
    def failures(self) -> list[Mapping[str, Any]]:
        """The photos without results."""
        return [photo for photo in self.photos if photo.get(FAILURE)]

    @property
    def scored(self) -> list[Mapping[str, Any]]:
        """The others."""
        return [photo for photo in self.photos if not photo.get(FAILURE)]


def _computed(task: Callable[[int], T], indices: Sequence[int], jobs: int) -> Iterator[tuple[int, T]]:
    if min(jobs, len(indices)) <= 1:
        yield from ((i, task(i)) for i in indices)
        return
    jobs = min(jobs, len(indices))
    threads = max(1, torch.get_num_threads() // jobs)
    # Spawned, not forked: a fork of a process that has used several threads may hang.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (threads,))
    try:
        waiting = {pool.submit(task, i): i for i in indices}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _content(file: Path) -> str | None:
    """Digest of a file; None where it is missing or cannot be read, which the task will say."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of the versions and of the source code: in a development copy the version alone says little."""
    package = Path(softseg.errors.__file__).parent
    digest = hashlib.sha256(json.dumps(versions(_PACKAGES)).encode())
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.parts[0] not in _UNDECISIVE:
            digest.update(relative.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
