"""Prefetches memory that a compiled loop reads next.

The processor does not predict the next block of a loop over blocks, so it is fetched during the
work on the current one.
"""

from __future__ import annotations

from typing import no_type_check

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
@no_type_check
def fetch(context, array, index):
    """Prefetch the cache line of an element; the index may be beyond the end."""

    def generate(target, builder, signature, arguments):
        data = target.make_array(signature.args[0])(target, builder, arguments[0]).data
        number, place = cgutils.int32_t, builder.gep(data, [arguments[1]])
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [place.type, number, number, number])
        asked = builder.module.declare_intrinsic("llvm.prefetch", [place.type], fnty=kind)
        builder.call(asked, [place, number(0), number(3), number(1)])  # read, all caches, data
        return target.get_dummy_value()

    return types.void(array, types.int64), generate
