"""Weighted sums of the products of two columns, compiled: products are made in the cache, sums stay in registers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from softseg.compiled import cgutils, intrinsic, ir, kernel, part, types
from softseg.vectors import Vectors

LANES = 8  # single precision; a register of AVX2
PANEL = 2 * LANES  # products that are summed together
# Layers that are summed together: 6 x 2 sums, two vectors of products and a weight are what AVX2 has registers for.
MOST, LEAST = 6, 4
# Pixels; their products of a panel stay in the first cache. So many terms are added in single precision.
CHUNK = 256
_TOGETHER = 4  # heavy pixels, so that sums are not loaded and stored for each of them


@cache
def pack_kernel() -> Callable[..., None]:
    """`_pack`, compiled or from the compiler's cache."""
    return kernel(_pack, np.zeros((1, 1)), np.zeros(1), 1.0, _GROUPS, np.zeros(1, np.float32))


@cache
def sums_kernel() -> Callable[..., None]:
    """`_sums`, compiled or from the compiler's cache."""
    single = np.zeros((1, 1), np.float32)
    return kernel(_sums, single, single[0], _GROUPS, np.zeros((1, 2, 2), np.int64), np.zeros((1, 1, PANEL)), 0, 1)


@cache
def grams_kernel() -> Callable[..., None]:
    """`_grams`, compiled or from the compiler's cache."""
    double = np.zeros((1, 1))
    panels = np.zeros((1, 2, 2), np.int64), np.zeros((1, 1, PANEL))
    return kernel(_grams, double, double, np.zeros(1), 1.0, *panels, np.zeros((1, 1, 1)), 0, 1)


_GROUPS = np.zeros((1, 2), np.int64)  # for its type


def _pack(weights: np.ndarray, least: np.ndarray, heavy: float, groups: np.ndarray, packed: np.ndarray) -> None:
    """Weights (s, m) over the smallest of their layer, 0 for the heavy ones, in the order in which they are read.

    That is chunk of pixels, group of layers, pixel, layer. Layers of the last group that do not exist weigh nothing.
    """
    place = 0
    for first in range(0, len(weights), CHUNK):
        for g in range(len(groups)):
            for s in range(first, min(first + CHUNK, len(weights))):
                for k in range(groups[g, 0], groups[g, 0] + groups[g, 1]):
                    packed[place] = 0
                    if k < len(least) and weights[s, k] <= heavy * least[k]:
                        packed[place] = np.float32(weights[s, k] / least[k])
                    place += 1


def _sums(
    basis: np.ndarray,
    packed: np.ndarray,
    groups: np.ndarray,
    panels: np.ndarray,
    totals: np.ndarray,
    begin: int,
    end: int,
) -> None:
    """totals[p, k, c] = sum_s w[s, k] V[s, i] V[s, j] for the panels from `begin` to before `end`.

    Parameters
    ----------
    basis : (s, n + LANES) float32, V and columns of zeros.
    packed, groups : the weights, as `_pack` leaves them; the first layer and the number of layers of every group.
    panels : (P, 2, 2) i and the first of 8 columns j, for both halves of a panel.
    totals : (P, layers, PANEL) float64, written.
    """
    products, sums = np.empty((CHUNK, PANEL), np.float32), np.empty((MOST, PANEL), np.float32)
    width, layers = basis.shape[1], totals.shape[1]
    totals[begin:end] = 0
    for first in range(0, len(basis), CHUNK):
        pixels = min(CHUNK, len(basis) - first)
        for p in range(begin, end):
            i0, j0, i1, j1 = panels[p, 0, 0], panels[p, 0, 1], panels[p, 1, 0], panels[p, 1, 1]
            _multiply(basis, first * width, width, i0, j0, i1, j1, products, pixels)
            for g in range(len(groups)):
                layer, count = groups[g, 0], groups[g, 1]
                place = first * layers + layer * pixels
                if count == 6:
                    _sum_six(packed, place, products, pixels, sums)
                elif count == 5:
                    _sum_five(packed, place, products, pixels, sums)
                else:
                    _sum_four(packed, place, products, pixels, sums)
                for k in range(count):
                    for c in range(PANEL):
                        totals[p, layer + k, c] += sums[k, c]


def _grams(
    basis: np.ndarray,
    weights: np.ndarray,
    least: np.ndarray,
    heavy: float,
    panels: np.ndarray,
    totals: np.ndarray,
    grams: np.ndarray,
    begin: int,
    end: int,
) -> None:
    """Put the totals of the layers from `begin` to before `end` into (m, n, n) matrices; add the heavy pixels."""
    n = basis.shape[1]
    rows, factors = np.zeros((_TOGETHER, n)), np.zeros(_TOGETHER)
    for k in range(begin, end):
        gram = grams[k]
        for p in range(len(panels)):
            for half in range(2):
                i, j = panels[p, half]
                for c in range(min(LANES, n - j)):
                    gram[i, j + c] = least[k] * totals[p, k, half * LANES + c]
        found = 0
        for s in range(len(weights)):
            if weights[s, k] > heavy * least[k]:
                rows[found], factors[found] = basis[s], weights[s, k]
                found += 1
            if found == _TOGETHER or (found and s + 1 == len(weights)):
                factors[found:] = 0
                _add_pixels(gram, rows, factors)
                found = 0
        for i in range(n):
            for j in range(i):
                gram[i, j] = gram[j, i]


@part
def _add_pixels(gram: np.ndarray, rows: np.ndarray, factors: np.ndarray) -> None:
    """The upper triangle of sum_s f_s row_s row_s^T."""
    n = rows.shape[1]
    one, two, three, four = rows[0], rows[1], rows[2], rows[3]
    for i in range(n):
        a, b, c, d = factors[0] * one[i], factors[1] * two[i], factors[2] * three[i], factors[3] * four[i]
        target = gram[i]
        for j in range(i, n):
            target[j] += (a * one[j] + b * two[j]) + (c * three[j] + d * four[j])


def _multiply_type(
    context: Any, basis: Any, first: Any, width: Any, i0: Any, j0: Any, i1: Any, j1: Any, products: Any, pixels: Any
) -> Any:
    """products[s] <- V[s, i] V[s, j : j + 8] for both halves; `first` is where the first pixel's row begins."""
    return types.void(basis, *[types.int64] * 6, products, types.int64), _multiply_code


_multiply: Any = intrinsic(_multiply_type)


def _multiply_code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    basis, first, width, i0, j0, i1, j1, products, pixels = arguments
    source, target = _pointers(context, builder, signature, {0: basis, 7: products})
    code = Vectors(builder, LANES)
    with cgutils.for_range(builder, pixels) as loop:
        row = builder.add(first, builder.mul(loop.index, width))
        halves = []
        for i, j in ((i0, j0), (i1, j1)):
            factor = code.spread(builder.load(builder.gep(source, [builder.add(row, i)])))
            halves.append(builder.fmul(factor, code.load(source, builder.add(row, j), 1)[0]))
        code.store(halves, target, builder.mul(loop.index, code.number(PANEL)))
    return context.get_dummy_value()


def _sum(count: int) -> Any:
    """sums[k] <- sum_s weights[first + count s + k] products[s] for `count` layers k."""

    def sum_type(context: Any, weights: Any, first: Any, products: Any, pixels: Any, sums: Any) -> Any:
        return types.void(weights, types.int64, products, types.int64, sums), sum_code

    def sum_code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        weights, first, products, pixels, sums = arguments
        factors, terms, target = _pointers(context, builder, signature, {0: weights, 2: products, 4: sums})
        code = Vectors(builder, LANES)
        totals = [cgutils.alloca_once_value(builder, code.zero()) for _ in range(2 * count)]  # type: ignore[no-untyped-call]
        with cgutils.for_range(builder, pixels) as loop:
            halves = code.load(terms, builder.mul(loop.index, code.number(PANEL)), 2)
            place = builder.add(first, builder.mul(loop.index, code.number(count)))
            for k in range(count):
                factor = code.spread(builder.load(builder.gep(factors, [builder.add(place, code.number(k))])))
                for total, half in zip(totals[2 * k : 2 * k + 2], halves, strict=True):
                    builder.store(code.multiply_add(factor, half, builder.load(total)), total)
        code.store([builder.load(total) for total in totals], target, code.number(0))
        return context.get_dummy_value()

    return intrinsic(sum_type)


_sum_six, _sum_five, _sum_four = (_sum(count) for count in (MOST, 5, LEAST))


def _pointers(context: Any, builder: ir.IRBuilder, signature: Any, arrays: dict[int, Any]) -> list[Any]:
    """Where the numbers of the arrays begin that are arguments at these places."""
    return [context.make_array(signature.args[place])(context, builder, array).data for place, array in arrays.items()]
