"""The guided filter on the processor, compiled: row after row, so that every intermediate plane is only a few rows.

A row enters. Its products with the colours are summed across, over the columns of each window, and kept with the rows
before it; the sums down, over the rows of each window, give a_k and b_k of the row `radius` higher. Those are summed in
the same way and give the result another `radius` higher. What is kept of four channels with windows of 11 x 11 is about
a megabyte, which stays in the cache of one core; a channel is read from memory once and written once.

No sum is the difference of longer ones, so none loses digits: across they grow by doubling; down, the rows come in
blocks as high as a window, and a window is the end of one block and the beginning of the next, as van Herk (1992) has
it for maxima.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from softseg.compiled import kernel, part

Type: TypeAlias = "np.dtype[np.floating[Any]]"
Array: TypeAlias = np.ndarray


class Rows(NamedTuple):
    """The memory of one call; zeros wherever it reaches outside the photo.

    A ring holds, for every row of a window, what has been summed across: first the present block's rows as they are, in
    place of rows of the block before that have left the window; then the others of that block, each as the sum from
    there to the end; then zeros; then the sum of the present block's rows.
    """

    entering: Array  # (3, columns + 2 radius) colours of the row that enters
    products: Array  # (m, columns + 2 radius) what is to be summed of that row
    spare: Array  # (2, columns + 2 radius) for partial sums
    inner: Array  # (channels, rows of a window + 2, m, columns) ring of the products
    model: Array  # (10, columns) of the middle row's windows: mean colour, inverse, share
    fits: Array  # (4, columns) a_k and b_k of the middle row
    outer: Array  # (channels, rows of a window + 2, 4, columns - 2 radius) ring of the fits
    leaving: Array  # (4, columns - 2 radius) colours and share of the row that leaves

    @classmethod
    def zeros(cls, channels: int, products: int, columns: int, radii: tuple[int, int], dtype: Type) -> Rows:
        slots, wide, narrow = 2 * radii[0] + 3, columns + 2 * radii[1], max(0, columns - 2 * radii[1])
        within = ((3, wide), (products, wide), (2, wide), (channels, slots, products, columns), (10, columns))
        after = ((4, columns), (channels, slots, 4, narrow), (4, narrow))
        return cls(*(np.zeros(shape, dtype) for shape in (*within, *after)))


@cache
def model_kernel() -> Callable[..., None]:
    """`_model_of_strip`, compiled or from the compiler's cache."""
    planes, shares = np.zeros((1, 1, 1)), (np.zeros(1), np.zeros(1))
    return kernel(_model_of_strip, planes, *shares, 1, 1, 1.0, 0, Rows.zeros(1, 9, 1, (1, 1), planes.dtype), planes)


@cache
def filter_kernel(dtype: Type) -> Callable[..., None]:
    """`_filter_strip` that computes in that type, compiled or from the compiler's cache."""
    guide = np.zeros((1, 1, 1))
    out, model, levels = np.zeros((2, 2, 2), np.float32), guide.astype(dtype), np.zeros(1, dtype)
    planes = out[:, ::2, ::2]  # in any order in memory
    rows = Rows.zeros(1, 4, 1, (1, 1), dtype)
    return kernel(_filter_strip, planes, levels, guide, model, 1, 1, 0, 0, rows, out)


def _model_of_strip(
    guide: Array,
    share_y: Array,
    share_x: Array,
    radius_y: int,
    radius_x: int,
    regularization: float,
    left: int,
    rows: Rows,
    model: Array,
) -> None:
    """Write what the filter needs to know about the windows centred in some columns of the photo.

    Parameters
    ----------
    guide : (3, h, w) float64 colours.
    share_y, share_x : (h,) and (w,) float64; their product is 1 / (pixels of the window).
    radius_y, radius_x : of the windows; below h and w.
    regularization : added to the variances.
    left : the first column; `rows` has the number of columns.
    model : (10, h, w), written: the mean colour; six entries of (Sigma_k + regularization Id)^-1, times the share; the
        share.
    """
    height, terms = guide.shape[1], 2 * radius_y + 1
    right, ring = left + rows.model.shape[1], rows.inner[0]
    for time in range(height + radius_y):
        middle, slot = time - radius_y, time % terms
        if time < height:
            _load(guide, time, left - radius_x, rows.entering)
            _square(rows.entering, rows.products)
        elif time == height:
            _clear(rows.products)
        _enter(rows.products, 2 * radius_x + 1, rows.spare, ring, slot)
        if middle >= 0:
            _invert(ring[-1], ring[slot + 1], share_y[middle], share_x[left:right], regularization, rows.model)
            for k in range(10):
                _copy(rows.model[k], model[k, middle, left:right])
        if slot == terms - 1:
            _finish_block(ring)


def _filter_strip(
    planes: Array,
    levels: Array,
    guide: Array,
    model: Array,
    radius_y: int,
    radius_x: int,
    left: int,
    first: int,
    rows: Rows,
    out: Array,
) -> None:
    """Filter some columns of some channels.

    Parameters
    ----------
    planes : (D, h, w) float32.
    levels : (D,) to be subtracted from the planes and added to the result: without them the sums have more digits.
    guide, model, radius_y, radius_x : as for `_model_of_strip`.
    left, first : the first column and channel; `rows` has their numbers.
    out : (D, h, w) float32, written.
    """
    height, width = guide.shape[1:]
    terms, across = 2 * radius_y + 1, 2 * radius_x + 1
    right = left + rows.leaving.shape[1]
    begin, end = max(0, left - 2 * radius_x), min(width, right + 2 * radius_x)
    margin = begin - (left - 2 * radius_x)
    for time in range(height + 2 * radius_y):
        middle, top = time - radius_y, time - 2 * radius_y
        slot, later = time % terms, middle % terms
        if time < height:
            _load(guide, time, left - 2 * radius_x, rows.entering)
        elif time == height:
            _clear(rows.products)
        if 0 <= middle < height:
            _load(model, middle, left - radius_x, rows.model)
        elif middle == height:
            _clear(rows.fits)
        if top >= 0:
            _load(guide, top, left, rows.leaving)
            _copy(model[9, top, left:right], rows.leaving[3])
        for c in range(len(rows.inner)):
            inner, outer, level = rows.inner[c], rows.outer[c], levels[first + c]
            if time < height:
                _subtract(planes[first + c, time, begin:end], level, rows.products[3, margin : margin + end - begin])
                _weigh(rows.entering, rows.products)
            _enter(rows.products, across, rows.spare, inner, slot)
            if middle >= 0:
                if middle < height:
                    _fit(inner[-1], inner[slot + 1], rows.model, rows.fits)
                _enter(rows.fits, across, rows.spare, outer, later)
                if top >= 0:
                    _apply(outer[-1], outer[later + 1], rows.leaving, level, out[first + c, top, left:right])
                if later == terms - 1:
                    _finish_block(outer)
            if slot == terms - 1:
                _finish_block(inner)


# What follows takes whole rows, so that each loop becomes vector instructions.


@part
def _weigh(guide: Array, out: Array) -> None:
    """out[:3] = guide p, with p = out[3]."""
    for i in range(guide.shape[1]):
        out[0, i] = guide[0, i] * out[3, i]
        out[1, i] = guide[1, i] * out[3, i]
        out[2, i] = guide[2, i] * out[3, i]


@part
def _fit(total: Array, rest: Array, model: Array, out: Array) -> None:
    """The linear functions a_k, b_k of a row of windows, from the sums of I p and p."""
    for i in range(model.shape[1]):
        p = total[3, i] + rest[3, i]
        c0 = total[0, i] + rest[0, i] - model[0, i] * p  # the covariance, times the pixels of the window
        c1 = total[1, i] + rest[1, i] - model[1, i] * p
        c2 = total[2, i] + rest[2, i] - model[2, i] * p
        a0 = model[3, i] * c0 + model[4, i] * c1 + model[5, i] * c2  # Eq. (14)
        a1 = model[4, i] * c0 + model[6, i] * c1 + model[7, i] * c2
        a2 = model[5, i] * c0 + model[7, i] * c1 + model[8, i] * c2
        out[0, i] = a0
        out[1, i] = a1
        out[2, i] = a2
        out[3, i] = p * model[9, i] - a0 * model[0, i] - a1 * model[1, i] - a2 * model[2, i]  # Eq. (15)


@part
def _apply(total: Array, rest: Array, leaving: Array, level: float, out: Array) -> None:
    """The result, from the sums of a_k and b_k."""
    for i in range(len(out)):
        q = leaving[0, i] * (total[0, i] + rest[0, i]) + leaving[1, i] * (total[1, i] + rest[1, i])
        q += leaving[2, i] * (total[2, i] + rest[2, i]) + (total[3, i] + rest[3, i])
        out[i] = q * leaving[3, i] + level  # Eq. (16)


@part
def _square(colors: Array, out: Array) -> None:
    """The colours and the six products of two of them."""
    for i in range(colors.shape[1]):
        r, g, b = colors[0, i], colors[1, i], colors[2, i]
        out[0, i], out[1, i], out[2, i] = r, g, b
        out[3, i], out[4, i], out[5, i] = r * r, r * g, r * b
        out[6, i], out[7, i], out[8, i] = g * g, g * b, b * b


@part
def _invert(total: Array, rest: Array, share_y: float, share_x: Array, regularization: float, model: Array) -> None:
    """What is to be known about each window, from the sums of `_square`; by cofactors."""
    for i in range(model.shape[1]):
        share = share_y * share_x[i]
        r = (total[0, i] + rest[0, i]) * share
        g = (total[1, i] + rest[1, i]) * share
        b = (total[2, i] + rest[2, i]) * share
        rr = (total[3, i] + rest[3, i]) * share - r * r + regularization
        rg = (total[4, i] + rest[4, i]) * share - r * g
        rb = (total[5, i] + rest[5, i]) * share - r * b
        gg = (total[6, i] + rest[6, i]) * share - g * g + regularization
        gb = (total[7, i] + rest[7, i]) * share - g * b
        bb = (total[8, i] + rest[8, i]) * share - b * b + regularization
        c0, c1, c2 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
        factor = share / (rr * c0 + rg * c1 + rb * c2)  # over the determinant
        model[0, i], model[1, i], model[2, i], model[9, i] = r, g, b, share
        model[3, i], model[4, i], model[5, i] = c0 * factor, c1 * factor, c2 * factor
        model[6, i], model[7, i] = (rr * bb - rb * rb) * factor, (rg * rb - rr * gb) * factor
        model[8, i] = (rr * gg - rg * rg) * factor


@part
def _enter(values: Array, terms: int, spare: Array, ring: Array, slot: int) -> None:
    """Sum rows across and put them into the ring; then window = ring[-1] + ring[slot + 1]."""
    for k in range(len(values)):
        _sum_across(values[k], terms, spare, ring[slot, k])
        if slot == 0:
            _copy(ring[slot, k], ring[-1, k])
        else:
            _add(ring[slot, k], ring[-1, k])


@part
def _finish_block(ring: Array) -> None:
    """Each row of the block becomes the sum from there to the end."""
    for slot in range(len(ring) - 4, -1, -1):
        for k in range(ring.shape[1]):
            _add(ring[slot + 1, k], ring[slot, k])


@part
def _sum_across(x: Array, terms: int, spare: Array, out: Array) -> None:
    """out[i] = x[i] + ... of `terms` terms, an odd number: 11 = 2 * 5 + 1 by way of 5 = 2 * 2 + 1 and 2 = 2 * 1."""
    if terms == 1:
        _copy(x, out)
        return
    length, step, divisor = 1, 0, 1
    while 4 * divisor <= terms:
        divisor *= 2
    sums = x
    while length < terms:
        longer = terms // divisor
        n = len(out) + terms - longer
        target = out if longer == terms else spare[step % 2, :n]
        if longer == 2 * length:
            _join(sums, sums[length:], target)
        else:
            _join_three(sums, sums[length:], x[2 * length :], target)
        sums, length, step, divisor = target, longer, step + 1, divisor // 2


@part
def _join(left: Array, right: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = left[i] + right[i]


@part
def _join_three(left: Array, right: Array, last: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = left[i] + right[i] + last[i]


@part
def _add(x: Array, total: Array) -> None:
    for i in range(len(total)):
        total[i] += x[i]


@part
def _subtract(x: Array, level: float, out: Array) -> None:
    for i in range(len(out)):
        out[i] = x[i] - level


@part
def _copy(x: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = x[i]


@part
def _clear(rows: Array) -> None:
    for k in range(len(rows)):
        for i in range(rows.shape[1]):
            rows[k, i] = 0


@part
def _load(planes: Array, y: int, first: int, out: Array) -> None:
    """Row y of the planes from column `first` on, as far as it is inside the photo."""
    begin, end = max(0, -first), min(out.shape[1], planes.shape[2] - first)
    for k in range(len(planes)):
        _copy(planes[k, y, first + begin : first + end], out[k, begin:end])
