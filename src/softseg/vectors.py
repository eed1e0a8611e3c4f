"""Vector instructions written out, for loops that the compiler does not make them of by itself."""

from __future__ import annotations

from typing import Any

from softseg.compiled import cgutils, ir


class Vectors:
    """Instructions on vectors of single-precision numbers, for the code of an `intrinsic`.

    The compiler splits vectors that are longer than the registers. Places count single numbers from where a pointer
    points to.
    """

    def __init__(self, builder: ir.IRBuilder, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.type = ir.VectorType(ir.FloatType(), lanes)
        function = ir.FunctionType(self.type, [self.type] * 3)
        self.fma = cgutils.get_or_insert_function(builder.module, function, f"llvm.fma.v{lanes}f32")  # type: ignore[no-untyped-call]

    def number(self, value: int) -> ir.Constant:
        return ir.Constant(ir.IntType(64), value)

    def zero(self) -> ir.Constant:
        return ir.Constant(self.type, [0.0] * self.lanes)

    def spread(self, value: Any) -> Any:
        """The same number in every lane."""
        empty = ir.Constant(self.type, ir.Undefined)
        single = self.builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(
            single, empty, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        )

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self.fma, [a, b, c])

    def load(self, pointer: Any, place: Any, count: int) -> list[Any]:
        """`count` vectors that lie side by side."""
        vectors = []
        for address in self.addresses(pointer, place, count):
            vector = self.builder.load(address)
            vector.align = 4  # bytes
            vectors.append(vector)
        return vectors

    def store(self, vectors: list[Any], pointer: Any, place: Any) -> None:
        for vector, address in zip(vectors, self.addresses(pointer, place, len(vectors)), strict=True):
            self.builder.store(vector, address).align = 4

    def addresses(self, pointer: Any, place: Any, count: int) -> list[Any]:
        """Of `count` vectors that lie side by side."""
        add, cast = self.builder.add, self.builder.bitcast
        return [
            cast(self.builder.gep(pointer, [add(place, self.number(c * self.lanes))]), self.type.as_pointer())
            for c in range(count)
        ]
