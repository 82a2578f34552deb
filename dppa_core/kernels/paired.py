"""Blocks of bfloat16 weights of three models, merged two elements at a time.

A shift and a mask split two neighbours in a 32-bit word, and join them again: widening and
narrowing single elements was half of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

# numba does not recompile this file when these change; they never change.
from dppa_core.kernels.loops import _FIRST, _S27, _S30, _SECOND, _ZERO, _compiled, _mix, _value

_HIGH, _HALF, _ODD = np.uint32(0xFFFF0000), np.uint32(0x7FFF), np.uint32(1)
_UPPER, _TOP, _WORD = np.uint32(16), np.uint32(31), np.uint64(32)
_MAGNITUDE, _SIGN = np.uint16(0x7FFF), np.uint16(0x8000)


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled into its caller, so that the surrounding loop is vectorised."""
    return njit(nogil=True, forceinline=True)(function)


@intrinsic
@no_type_check
def _pointer(context, address):
    def generate(target, builder, signature, arguments):
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(types.uint16)(types.uint64), generate


@intrinsic
@no_type_check
def fetch(context, array, index):
    """Prefetch the cache line of an element, for a loop over blocks; it may be beyond the end."""

    def generate(target, builder, signature, arguments):
        data = target.make_array(signature.args[0])(target, builder, arguments[0]).data
        number, place = cgutils.int32_t, builder.gep(data, [arguments[1]])
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [place.type, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], fnty=kind)
        builder.call(prefetch, [place, number(0), number(3), number(1)])  # read, all caches, data
        return target.get_dummy_value()

    return types.void(array, types.int64), generate


@_compiled
@no_type_check
def weights_at(addresses, size):
    """Arrays of the base and three models; made from addresses they all have the same type."""
    return (
        carray(_pointer(addresses[0]), size),
        carray(_pointer(addresses[1]), size),
        carray(_pointer(addresses[2]), size),
        carray(_pointer(addresses[3]), size),
    )


@_compiled
@no_type_check
def rows(table):
    """(3, 2) numbers as tuples, which stay in registers; an array is read for every element."""
    return (table[0, 0], table[0, 1]), (table[1, 0], table[1, 1]), (table[2, 0], table[2, 1])


@_compiled
@no_type_check
def extent(out):
    """Bits of the smallest and largest magnitude; from 0x7F80 on a value is not finite."""
    least, most = _MAGNITUDE, np.uint16(0)
    for i in range(out.size):
        size = np.uint16(out[i] & _MAGNITUDE)
        least, most = min(least, size), max(most, size)
    return least, most


@_compiled
@no_type_check
def signed_zero(old):
    """Return True if there is a -0; it must stay -0 if nothing is added, which a sum loses."""
    present = False
    for i in range(old.size):
        present |= old[i] == _SIGN
    return present


@_inlined
@no_type_check
def _low(word):
    return np.uint32(word << _UPPER).view(np.float32)


@_inlined
@no_type_check
def _high(word):
    return np.uint32(word & _HIGH).view(np.float32)


@_inlined
@no_type_check
def rounded(bits):
    """Bits whose upper half is a float32 rounded to bfloat16, to nearest, ties to even."""
    return np.uint32(bits + _HALF + ((bits >> _UPPER) & _ODD))


@_inlined
@no_type_check
def _together(even, odd):
    low, high = np.float32(even).view(np.uint32), np.float32(odd).view(np.uint32)
    return (rounded(low) >> _UPPER) | (rounded(high) & _HIGH)


@_inlined
@no_type_check
def _loose(delta, edges, weights):
    size = abs(delta)
    return (weights[0] if size > edges[0] else weights[1] if size > edges[1] else _ZERO) * delta


@_compiled
@no_type_check
def blend(words, edges, weights, out):
    """Merge pairs of a block without -0; magnitudes equal to a threshold are outside.

    Args:
        words: Pairs of the base and three models, uint32.
        edges: Thresholds, as `rows`.
        out: uint32.
    """
    old, new1, new2, new3 = words
    for i in range(out.size):
        w, x, y, z = old[i], new1[i], new2[i], new3[i]
        base = _low(w)
        even = base + _loose(_low(x) - base, edges[0], weights[0])
        even = even + _loose(_low(y) - base, edges[1], weights[1])
        even = even + _loose(_low(z) - base, edges[2], weights[2])
        base = _high(w)
        odd = base + _loose(_high(x) - base, edges[0], weights[0])
        odd = odd + _loose(_high(y) - base, edges[1], weights[1])
        odd = odd + _loose(_high(z) - base, edges[2], weights[2])
        out[i] = _together(even, odd)


@_compiled
@no_type_check
def rank(origin, seed, even, odd):
    """The upper halves of the hashes of a block, nearly always enough to compare with a cut."""
    for i in range(even.size):
        even[i] = _half_mix(origin + seed + np.uint64(2 * i))
    for i in range(odd.size):
        odd[i] = _half_mix(origin + seed + np.uint64(2 * i + 1))


@_inlined
@no_type_check
def _half_mix(z):
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    half = np.uint32(z >> _WORD)
    return half ^ (half >> _TOP)


@_compiled
@no_type_check
def unsure(ranks, halves):
    """Return True if half a hash is not enough for some element."""
    (a, b), (c, d), (e, f) = halves
    unclear = False
    for i in range(ranks.size):
        upper = ranks[i]
        unclear |= (upper == a) | (upper == b) | (upper == c)
        unclear |= (upper == d) | (upper == e) | (upper == f)
    return unclear


@_inlined
@no_type_check
def _tied(delta, position, edges, cuts, weights):
    # Bits of magnitudes are in the order of magnitudes; add 1 if the position is below the cut.
    bits = np.int32(np.float32(abs(delta)).view(np.int32))
    weight = weights[1] if np.int32(bits + np.int32(position < cuts[1])) > edges[1] else _ZERO
    weight = weights[0] if np.int32(bits + np.int32(position < cuts[0])) > edges[0] else weight
    return weight * delta


@_compiled
@no_type_check
def blend_tied(words, ranks, edges, cuts, weights, out):
    """As `blend`; a magnitude equal to a threshold is inside if its rank is below the cut.

    Args:
        ranks: Ranks of the first and the second elements of the pairs.
        edges: Bits of the thresholds as int32, as `rows`; none of them -0.
        cuts: Upper halves of the cuts, as `rows`.
    """
    old, new1, new2, new3 = words
    evens, odds = ranks
    for i in range(out.size):
        w, x, y, z = old[i], new1[i], new2[i], new3[i]
        # The first element of the pair: the deltas of three models, added in turn.
        base, element_rank = _low(w), evens[i]
        even = base + _tied(_low(x) - base, element_rank, edges[0], cuts[0], weights[0])
        even = even + _tied(_low(y) - base, element_rank, edges[1], cuts[1], weights[1])
        even = even + _tied(_low(z) - base, element_rank, edges[2], cuts[2], weights[2])
        # The second element.
        base, element_rank = _high(w), odds[i]
        odd = base + _tied(_high(x) - base, element_rank, edges[0], cuts[0], weights[0])
        odd = odd + _tied(_high(y) - base, element_rank, edges[1], cuts[1], weights[1])
        odd = odd + _tied(_high(z) - base, element_rank, edges[2], cuts[2], weights[2])
        out[i] = _together(even, odd)


@_compiled
@no_type_check
def blend_singly(old, new, origin, seed, bands, out):
    """Merge a block of any size with rare cases: -0, and hashes equal to a cut in the upper half.

    Args:
        old: uint16, the base.
        new: Three arrays of the same kind.
        origin: Flat index of the first element.
        bands: Bits of the thresholds, cuts and weights, each as `rows`; see `blend_tied`.
        out: uint16.
    """
    edges, cuts, weights = bands
    for i in range(old.size):
        base, element_hash = _value(old[i]), _mix(origin + np.uint64(i), seed)
        term1 = _tied(_value(new[0][i]) - base, element_hash, edges[0], cuts[0], weights[0])
        term2 = _tied(_value(new[1][i]) - base, element_hash, edges[1], cuts[1], weights[1])
        term3 = _tied(_value(new[2][i]) - base, element_hash, edges[2], cuts[2], weights[2])
        total = base + term1 if term1 != _ZERO else base
        total = total + term2 if term2 != _ZERO else total
        total = total + term3 if term3 != _ZERO else total
        out[i] = rounded(np.float32(total).view(np.uint32)) >> _UPPER


@_inlined
@no_type_check
def _equal(delta, ties):
    size = abs(delta)
    return (size == ties[0]) | (size == ties[1])


@_compiled
@no_type_check
def blend_and_flag(words, edges, ties, weights, flags, out):
    """As `blend`; also writes the flag 1 if a model's |d| equals one of its `ties`, else 0.

    Args:
        ties: Magnitudes, as `rows`.
        flags: uint32, two flags of 16 bits each.
    """
    old, new1, new2, new3 = words
    for i in range(out.size):
        w, x, y, z = old[i], new1[i], new2[i], new3[i]
        # The first element of the pair: its flag, and the deltas of three models, added in turn.
        base = _low(w)
        a, b, c = _low(x) - base, _low(y) - base, _low(z) - base
        first = _equal(a, ties[0]) | _equal(b, ties[1]) | _equal(c, ties[2])
        even = base + _loose(a, edges[0], weights[0])
        even = even + _loose(b, edges[1], weights[1])
        even = even + _loose(c, edges[2], weights[2])
        # The second element.
        base = _high(w)
        a, b, c = _high(x) - base, _high(y) - base, _high(z) - base
        second = _equal(a, ties[0]) | _equal(b, ties[1]) | _equal(c, ties[2])
        odd = base + _loose(a, edges[0], weights[0])
        odd = odd + _loose(b, edges[1], weights[1])
        odd = odd + _loose(c, edges[2], weights[2])
        out[i] = _together(even, odd)
        flags[i] = np.uint32(first) | (np.uint32(second) << _UPPER)
