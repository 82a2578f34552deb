"""Asks the processor for memory that a compiled loop reads next.

Knows an array and a place in it. Where a loop works in blocks, the processor has no time to notice
that another block follows: while one is worked on the next is fetched.
"""

from __future__ import annotations

from typing import no_type_check

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
@no_type_check
def fetch(context, array, index):
    """Fetch the line that holds an element; there need be none, as beyond the end."""

    def generate(target, builder, signature, arguments):
        data = target.make_array(signature.args[0])(target, builder, arguments[0]).data
        number, place = cgutils.int32_t, builder.gep(data, [arguments[1]])
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [place.type, number, number, number])
        asked = builder.module.declare_intrinsic("llvm.prefetch", [place.type], fnty=kind)
        builder.call(asked, [place, number(0), number(3), number(1)])  # to read, near, data
        return target.get_dummy_value()

    return types.void(array, types.int64), generate
