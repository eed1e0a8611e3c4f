"""The guided filter on the processor: the sums of `guided_filter.py` in few, long, gapless passes over memory.

A plane is stored flat, with `radius` zeros after each row: the right margin of one row and the left margin of the next.
Then the two directions of a window are shifts of one array, by 1 and by the row's length, and every step adds or
multiplies whole planes. What runs over into the margins meets a zero among the statistics of the guide.

For one channel these are 39 products, sums and differences and 8 window sums of 10 additions each: about 120 passes.
Each thread takes the next channel and keeps its few planes, so nothing is allocated between channels and no operation
waits for other threads.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Type: TypeAlias = "np.dtype[np.floating[Any]]"

# A symmetric 3 x 3 matrix by its six entries, and where entry (i, j) is among them.
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_SYMMETRIC = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
# Entry by entry of the adjugate: a b - c d, of the six.
_COFACTORS = ((3, 5, 4, 4), (2, 4, 1, 5), (1, 4, 2, 3), (0, 5, 2, 2), (1, 2, 0, 4), (0, 3, 1, 1))
_PLANES = 10  # that a thread keeps
_MEMORY = 2**30  # bytes that the planes of all threads may take
_AT_ONCE = 8  # channels that one thread copies together: with the channels innermost, they share cache lines


@dataclass(frozen=True)
class _Layout:
    """How an (h, w) plane lies in a flat array."""

    height: int
    width: int
    radius: int

    @property
    def pitch(self) -> int:
        """From one row to the next."""
        return self.width + self.radius

    @property
    def size(self) -> int:
        return self.height * self.pitch

    def flat(self, planes: np.ndarray) -> np.ndarray:
        """(..., size) copy of (..., h, w) planes, zeros in the margins."""
        padded = np.zeros((*planes.shape[:-2], self.height, self.pitch), planes.dtype)
        padded[..., : self.width] = planes
        return padded.reshape(*planes.shape[:-2], self.size)

    def pixels(self, flat: np.ndarray) -> np.ndarray:
        """(h, w) view of a flat plane without its margins."""
        return flat.reshape(self.height, self.pitch)[:, : self.width]


class _WindowSum:
    """Sums over the square windows of one plane after another, in memory of its own.

    Fill `plane`, zeros in its margins, then call: the sums are in `out`, with anything in the margins.
    """

    def __init__(self, layout: _Layout, dtype: Type) -> None:
        size, across, along = layout.size, layout.radius, layout.radius * layout.pitch
        self._steps = (1, layout.pitch)
        self._terms = 2 * layout.radius + 1
        row, column = np.zeros(size + 2 * across, dtype), np.zeros(size + 2 * along, dtype)  # margins stay zero
        self._padded = (row, column)
        self.plane = row[across : across + size]
        self._between = column[along : along + size]
        self._spare = (np.empty_like(column), np.empty_like(column))

    def __call__(self, out: np.ndarray) -> None:
        for padded, step, target in zip(self._padded, self._steps, (self._between, out), strict=True):
            _running_sum(padded, step, self._terms, target, self._spare)


def _running_sum(x: np.ndarray, step: int, terms: int, out: np.ndarray, spare: tuple[np.ndarray, np.ndarray]) -> None:
    """out[i] = x[i] + x[i + step] + ... of `terms` terms, by doubling: sums of 2, 4, 8, ..., then pieces of the width.

    Unlike a difference of cumulative sums it keeps every digit, and it needs 5 additions for 11 terms.
    """
    power, free = x, spare  # sums of `length` terms, starting at each position
    length, done = 1, 0
    while True:
        if terms & length:
            piece = power[done * step : done * step + len(out)]
            if not done:
                total = piece
            else:
                np.add(total, piece, out=out)
                total = out
            done += length
        if 2 * length > terms:
            return
        rest = len(power) - length * step
        power = np.add(power[:rest], power[length * step :], out=free[0][:rest])
        free = free[::-1]
        length *= 2


class GuidedFilter:
    """What the filter needs of the guide, computed once for all channels.

    Parameters
    ----------
    guide : (3, h, w) float64 colours, each of mean near 0.
    radius, regularization : see `guided_filter`.
    dtype : float32 or float64, in which the channels are filtered.
    """

    def __init__(self, guide: np.ndarray, radius: int, regularization: float, dtype: Type) -> None:
        h, w = guide.shape[1:]
        self._layout, self._dtype = _Layout(h, w, radius), dtype
        rows, columns = _inside(h, radius), _inside(w, radius)
        share, colors = (self._layout.flat(planes) for planes in (1 / (rows[:, None] * columns), guide))
        mean, inverse = _guide_statistics(colors, share, _WindowSum(self._layout, colors.dtype), regularization)
        inverse *= share  # it will be applied to sums over windows, not to means
        self._guide, self._share, self._mean, self._inverse = (
            part.astype(dtype) for part in (colors, share, mean, inverse)
        )
        self._weighted_guide = self._guide * self._share

    def __call__(self, planes: np.ndarray, threads: int) -> np.ndarray:
        """(D, h, w) float32: each of the (D, h, w) planes, filtered; with fewer threads where memory asks for it."""
        result = np.empty(planes.shape, np.float32)
        threads = max(1, min(threads, _MEMORY // (_PLANES * self._layout.size * self._dtype.itemsize)))
        local = threading.local()

        def work(start: int) -> None:
            if not hasattr(local, "sums"):
                local.sums = _WindowSum(self._layout, self._dtype)
                local.planes = np.zeros((6, self._layout.size), self._dtype)
            block = np.ascontiguousarray(planes[start : start + _AT_ONCE], self._dtype)
            for plane, filtered in zip(block, result[start:], strict=False):
                self._filter(plane, filtered, local.sums, local.planes)

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, start) for start in range(0, len(planes), _AT_ONCE)]:
                done.result()
        return result

    def _filter(self, plane: np.ndarray, filtered: np.ndarray, window: _WindowSum, memory: np.ndarray) -> None:
        """Filter one (h, w) plane; `memory` has room for six flat ones."""
        p, *totals, b, term = memory
        level = plane.mean()  # without it, the sums below have more digits
        np.subtract(plane, level, out=self._layout.pixels(p))
        for guide, total in zip(self._guide, totals, strict=True):
            np.multiply(guide, p, out=window.plane)
            window(total)
        self._layout.pixels(window.plane)[...] = self._layout.pixels(p)
        window(b)
        for mean, total in zip(self._mean, totals, strict=True):  # the covariance, times the pixels of the window
            total -= np.multiply(mean, b, out=term)
        b *= self._share
        result = p  # no longer needed
        for i in range(3):
            a = window.plane
            np.multiply(self._inverse[_SYMMETRIC[i][0]], totals[0], out=a)  # Eq. (14)
            for j in (1, 2):
                a += np.multiply(self._inverse[_SYMMETRIC[i][j]], totals[j], out=term)
            b -= np.multiply(a, self._mean[i], out=term)  # Eq. (15)
            window(term)
            np.multiply(term, self._weighted_guide[i], out=term if i else result)  # Eq. (16), as below
            if i:
                result += term
        window.plane[...] = b
        window(term)
        result += np.multiply(term, self._share, out=term)
        np.add(self._layout.pixels(result), level, out=filtered)


def _guide_statistics(
    colors: np.ndarray, share: np.ndarray, window: _WindowSum, regularization: float
) -> tuple[np.ndarray, np.ndarray]:
    """(3, n) mean colour, 0 in the margins, and (6, n) entries of (Sigma + regularization Id)^-1, finite there."""
    mean, inverse, moments = np.empty_like(colors), np.empty((6, len(share))), np.empty((6, len(share)))
    for color, total in zip(colors, mean, strict=True):
        window.plane[...] = color
        window(total)
    mean *= share
    term, other = np.empty((2, len(share)))
    for (i, j), moment in zip(_PAIRS, moments, strict=True):
        np.multiply(colors[i], colors[j], out=window.plane)
        window(moment)
        moment *= share
        moment -= np.multiply(mean[i], mean[j], out=term)
        if i == j:
            moment += regularization
    for cofactor, (a, b, c, d) in zip(inverse, _COFACTORS, strict=True):
        np.multiply(moments[a], moments[b], out=cofactor)
        cofactor -= np.multiply(moments[c], moments[d], out=term)
    determinant = np.multiply(moments[0], inverse[0], out=other)
    for k in (1, 2):
        determinant += np.multiply(moments[k], inverse[k], out=term)
    inverse /= determinant
    return mean, inverse


def _inside(length: int, radius: int) -> np.ndarray:
    """How many of the 2 radius + 1 neighbours of each position lie inside a line of that length."""
    position = np.arange(length)
    return np.minimum(position, radius) + np.minimum(position[::-1], radius) + 1.0
