"""Photos on which people have drawn regions, one at a time: what they drew, how failures are told, what is kept."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from softseg.errors import SoftsegError
from softseg.evaluation.parallel import FAILURE, Kept
from softseg.training.datasets import LabelledPhotos, Sample


def people_of(photos: LabelledPhotos, i: int, sample: Sample) -> list[np.ndarray]:
    """(h, w) regions of photo `i` as each person has drawn them; negative: no region.

    The labels of `sample`, loaded from there, where the data knows one person only.
    """
    known = getattr(photos, "annotations", None)
    return (known(i) if known is not None else []) or [sample.labels]


def attempt(name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """The result of `work` under the photo's name, or why there is none: one photo must not end a run of hours.

    Examples
    --------
    >>> attempt("dog", lambda: {"score": 1})
    {'name': 'dog', 'score': 1}
    >>> sorted(attempt("dog", lambda: {"score": 1 / 0}))
    ['failure', 'name', 'traceback']
    """
    try:
        return {"name": name, **work()}
    except SoftsegError as error:
        return {"name": name, FAILURE: str(error)}
    except Exception as error:
        reason = " ".join(str(error).split())
        sentence = f"unexpected {type(error).__name__}: {reason}; please report this, with its traceback"
        return {"name": name, FAILURE: sentence, "traceback": traceback.format_exc()}


def kept_results(folder: Path, photos: LabelledPhotos, settings: Mapping[str, Any]) -> Kept:
    """Where results are kept: a photo of the same name with other pixels or other regions is another photo."""
    return Kept(folder, [f"{name}-{_digest(photos, i)}" for i, name in enumerate(photos.names)], settings)


def _digest(photos: LabelledPhotos, i: int) -> str:
    """Of the photo and all its regions; where they cannot be read there will be no result to keep."""
    digest = hashlib.sha256()
    try:
        sample = photos.load(i)
        for array in (sample.image, *people_of(photos, i, sample)):
            digest.update(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    except SoftsegError:
        return "unreadable"
    return digest.hexdigest()[:16]
