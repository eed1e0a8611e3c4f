"""Rows of 32 numbers as vector instructions, for what the compiler does not make vectors of by itself.

Kernels that the compiler has kept are made anew when their own file changes, not when this one does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from softseg.compiled import cgutils, intrinsic, ir, types
from softseg.graph.stencil import COLUMNS
from softseg.vectors import Vectors

_LANES = 16  # single precision; the compiler splits them where registers are shorter
_AHEAD = 12  # pixels: what is read so far ahead has come from memory when it is needed; 40 is as good, none is slower


def _sparse_row_type(context: Any, entries: Any, columns: Any, entry: Any, end: Any, x: Any, y: Any, out: Any) -> Any:
    """y[out] <- sum of entries[e] x[columns[e]] from `entry` to before `end`, a row of a CSR matrix."""
    count = types.int64
    return types.void(entries, columns, count, count, x, y, count), _sparse_row_code


sparse_row: Any = intrinsic(_sparse_row_type)


def _sparse_row_code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    entries, columns, x, y = _pointers(context, builder, signature, arguments, (0, 1, 4, 5))
    entry, end, out = arguments[2], arguments[3], arguments[6]
    code = _Rows(builder)
    keep = cgutils.alloca_once_value
    sums = [[keep(builder, zero) for zero in code.zeros()] for _ in range(2)]  # type: ignore[no-untyped-call]

    def add(place: Any, sums: list[Any]) -> None:
        weight = code.spread(builder.load(builder.gep(entries, [place])))
        column = builder.sext(builder.load(builder.gep(columns, [place])), ir.IntType(64))
        for value, total in zip(code.row(x, builder.mul(column, code.number(COLUMNS))), sums, strict=True):
            builder.store(code.multiply_add(weight, value, builder.load(total)), total)

    two = code.number(2)  # at a time, as an addition has to wait for the one before it
    pairs = builder.sdiv(builder.sub(end, entry), two)
    with cgutils.for_range(builder, pairs) as loop:
        place = builder.add(entry, builder.mul(loop.index, two))
        add(place, sums[0])
        add(builder.add(place, code.number(1)), sums[1])
    last = builder.add(entry, builder.mul(pairs, two))
    with builder.if_then(builder.icmp_signed("<", last, end)):
        add(last, sums[0])
    totals = [builder.fadd(builder.load(a), builder.load(b)) for a, b in zip(*sums, strict=True)]
    code.store(totals, y, builder.mul(out, code.number(COLUMNS)))
    return context.get_dummy_value()


def _near_type(count: int) -> Callable[..., Any]:
    """y[out + j] <- keep y[out + j] + stay z[at + j] + gain scale[i + j] sum_o near[i + j, o] x[o] + shift x[center].

    For `count` pixels from j on; the five `rows` are the places in x of the pixel i two rows above to two below. Pixels
    side by side share most of their neighbours, so that two take fewer loads than one after the other. Written as
    vector instructions, because the loop over 25 neighbours and 32 columns is not one that the compiler makes vectors
    of. With `keep` and `stay` known to be None, y is only written.
    """

    def typed(
        context: Any,
        x: Any,
        rows: Any,
        near: Any,
        scale: Any,
        i: Any,
        j: Any,
        gain: Any,
        shift: Any,
        y: Any,
        out: Any,
        keep: Any,
        stay: Any,
        z: Any,
        at: Any,
    ) -> Any:
        place, number = types.int64, types.float32
        five = types.UniTuple(place, 5)  # type: ignore[no-untyped-call]
        factors = (keep, stay) if isinstance(keep, types.NoneType) else (number, number)
        signature = types.void(x, five, near, scale, place, place, number, number, y, place, *factors, z, place)
        return signature, partial(_near_code, count)

    return typed


near_two: Any = intrinsic(_near_type(2))
near_one: Any = intrinsic(_near_type(1))


def _near_code(count: int, context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
    x, near, scale, y, z = _pointers(context, builder, signature, arguments, (0, 2, 3, 8, 12))
    _, rows, _, _, i, j, gain, shift, _, out, keep, stay, _, at = arguments
    code, add, columns = _Rows(builder), builder.add, _Rows(builder).number(COLUMNS)
    pixel = add(i, j)
    first, place = builder.mul(pixel, code.number(25)), builder.mul(add(out, j), columns)
    starts = [builder.mul(add(builder.extract_value(rows, dy), j), columns) for dy in range(5)]
    for p in range(count):
        code.fetch(x, add(starts[4], code.number((_AHEAD + 2 + p) * COLUMNS)))
        code.fetch(near, add(first, code.number((_AHEAD + p) * 25)))
        code.fetch(y, add(place, code.number((_AHEAD + p) * COLUMNS)), to_write=True)
    sums, centers = _neighbour_sums(code, x, starts, near, first, count)
    for p in range(count):
        gained = code.spread(builder.fmul(gain, builder.load(builder.gep(scale, [add(pixel, code.number(p))]))))
        target = add(place, code.number(p * COLUMNS))
        results = [builder.fmul(code.spread(shift), value) for value in centers[p]]
        if not isinstance(signature.args[10], types.NoneType):
            other = builder.mul(add(add(at, j), code.number(p)), columns)
            for factor, pointer, origin in ((keep, y, target), (stay, z, other)):
                values = code.row(pointer, origin)
                results = [code.multiply_add(code.spread(factor), *pair) for pair in zip(values, results, strict=True)]
        results = [code.multiply_add(gained, *pair) for pair in zip(sums[p], results, strict=True)]
        code.store(results, y, target)
    return context.get_dummy_value()


def _neighbour_sums(
    code: _Rows, x: Any, starts: list[Any], near: Any, first: Any, count: int
) -> tuple[list[Any], list[Any]]:
    """Of each pixel, the sum over its neighbours, in the same order whatever the count; and its own row."""
    add, load = code.builder.add, code.builder.load
    sums = [code.zeros() for _ in range(count)]
    centers = [code.zeros() for _ in range(count)]
    for dy in range(5):
        for dx in range(-2, count + 2):
            values = code.row(x, add(starts[dy], code.number(dx * COLUMNS)))
            for p in range(max(0, dx - 2), min(count, dx + 3)):
                entry = add(first, code.number(p * 25 + dy * 5 + dx - p + 2))
                weight = code.spread(load(code.builder.gep(near, [entry])))
                sums[p] = [
                    code.multiply_add(weight, value, total) for value, total in zip(values, sums[p], strict=True)
                ]
                if dy == 2 and dx == p:
                    centers[p] = values
    return sums, centers


def _pointers(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, places: tuple[int, ...]
) -> list[Any]:
    """To the first numbers of the arrays among the arguments."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in places]


class _Rows(Vectors):
    """Rows of a block as vectors of `_LANES` numbers."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        super().__init__(builder, _LANES)

    def zeros(self) -> list[Any]:
        return [self.zero()] * (COLUMNS // _LANES)

    def row(self, pointer: Any, place: Any) -> list[Any]:
        return self.load(pointer, place, COLUMNS // _LANES)

    def fetch(self, pointer: Any, place: Any, *, to_write: bool = False) -> None:
        """Have the numbers of a row, 128 bytes, brought into the cache; no place is too far away to be asked for."""
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(self.builder.module, function, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        for address in self.addresses(pointer, place, COLUMNS // _LANES):
            options = [ir.Constant(flag, option) for option in (int(to_write), 3, 1)]  # nearest cache, data
            self.builder.call(prefetch, [self.builder.bitcast(address, byte), *options])
