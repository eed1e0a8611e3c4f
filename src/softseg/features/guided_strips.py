"""The guided filter on the processor: strips of the photo and blocks of channels, spread over threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from softseg.features.guided_kernel import Type

_COLUMNS = 640  # of a strip, at most: more would not stay in the cache
_AT_ONCE = 4  # channels in a block, which share the rows of the guide
_BYTES = 2**26  # that the rows of a block may take
_SAMPLES = 32  # rows and columns whose mean is taken for that of a plane


class GuidedFilter:
    """What the filter needs to know about the guide, computed once for all channels.

    Parameters
    ----------
    guide : (3, h, w) float64 colours, each of mean near 0.
    radius, regularization : see `guided_filter`.
    dtype : float32 or float64, in which the channels are filtered.
    threads : how many to use; their number does not change a digit of the results.
    """

    def __init__(self, guide: np.ndarray, radius: int, regularization: float, dtype: Type, threads: int) -> None:
        from softseg.features.guided_kernel import Rows, filter_kernel, model_kernel  # brings the compiler along

        h, w = guide.shape[1:]
        self._guide, self._dtype, self._threads, self._rows = np.ascontiguousarray(guide), dtype, threads, Rows.zeros
        self._radii = min(radius, h - 1), min(radius, w - 1)  # larger windows hold no more pixels
        shares = 1 / _inside(h, self._radii[0]), 1 / _inside(w, self._radii[1])
        describe, model = model_kernel(), np.empty((10, h, w))

        def work(left: int, right: int) -> None:
            rows = Rows.zeros(1, 9, right - left, self._radii, np.dtype(np.float64))
            describe(self._guide, *shares, *self._radii, regularization, left, rows, model)

        self._run(work, _strips(w, _COLUMNS // 2))
        self._model = model.astype(dtype, copy=False)
        self._kernel = filter_kernel(dtype)

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        """(D, h, w) float32: each of the (D, h, w) float32 planes, in any order in memory, filtered."""
        if planes.shape[1:] != self._guide.shape[1:] or planes.dtype != np.float32:  # the kernel does not look
            raise ValueError(f"planes {planes.shape} {planes.dtype} for a guide of {self._guide.shape[1:]} pixels")
        levels = _levels(planes).astype(self._dtype)
        result = np.empty(planes.shape, np.float32)
        block = self._block(len(planes))

        def work(first: int, strip: tuple[int, int]) -> None:
            left, right = strip
            channels, columns = min(block, len(planes) - first), right - left + 2 * self._radii[1]
            rows = self._rows(channels, 4, columns, self._radii, self._dtype)
            self._kernel(planes, levels, self._guide, self._model, *self._radii, left, first, rows, result)

        strips = _strips(planes.shape[2], _COLUMNS if block > 1 else _COLUMNS // 2)
        self._run(work, product(range(0, len(planes), block), strips))
        return result

    def _block(self, channels: int) -> int:
        """How many channels at once: fewer where there are few, so that every thread has some, or windows are large."""
        columns = min(_COLUMNS, self._guide.shape[2]) + self._radii[1]
        size = 8 * (2 * self._radii[0] + 3) * columns * self._dtype.itemsize
        return int(max(1, min(_AT_ONCE, channels // 8, _BYTES // size)))

    def _run(self, work: Callable[..., None], tasks: Iterable[tuple[Any, ...]]) -> None:
        with ThreadPoolExecutor(self._threads) as pool:
            for done in [pool.submit(work, *task) for task in tasks]:
                done.result()


def _strips(width: int, columns: int) -> list[tuple[int, int]]:
    """The first column of each strip and that after its last; the strips are as many as needed, and equally wide."""
    edges = np.linspace(0, width, -(-width // columns) + 1).astype(int).tolist()
    return list(pairwise(edges))


def _levels(planes: np.ndarray) -> np.ndarray:
    """(D,) about the mean of each plane; in the same order of summation wherever the planes lie in memory."""
    steps = [max(1, side // _SAMPLES) for side in planes.shape[1:]]
    samples = np.ascontiguousarray(planes[:, :: steps[0], :: steps[1]])
    return np.asarray(samples.reshape(len(planes), -1).mean(axis=1, dtype=np.float64))


def _inside(length: int, radius: int) -> np.ndarray:
    """How many of the 2 radius + 1 neighbours of each position lie inside a line of that length."""
    position = np.arange(length)
    return np.minimum(position, radius) + np.minimum(position[::-1], radius) + 1.0
