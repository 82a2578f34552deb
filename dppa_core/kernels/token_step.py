"""The compiled step of a language model: one more token of some texts, from embedding to logits.

The layers are those of Llama, Mistral, Qwen2 and Qwen3 in float32; `models/own_step.py` computes
the same in torch. Sums are reordered to be vectorised, so results differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, no_type_check

import numpy as np
from numba import njit, types
from numba.np.numpy_support import carray

# numba does not recompile this file when these change; they never change.
from dppa_core.kernels.paired import _inlined, _pointer, fetch
from dppa_core.kernels.ready import Readiness, read_at_once

_ZERO, _ONE_F32 = np.float32(0), np.float32(1)
_AHEAD = 4
"""Rows of a matrix between those that are used and those that are fetched."""
_LOG2E, _LN2_HIGH, _LN2_LOW = np.array([1.44269504, 0.693359375, -2.12194440e-4], np.float32)
_ROUNDING, _SHIFT = np.float32(12582912), np.int32(0x4B400000 - 127)
_P0, _P1, _P2, _P3, _P4, _P5 = np.array(
    [
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ],
    np.float32,
)


FAST = {"reassoc", "contract", "nsz"}
"""Sums in any order; NaN and infinity stay what they are."""
_summing = njit(nogil=True, fastmath=FAST, error_model="numpy")


# Else numba would hand it the caller's flags, and the rounding would be reordered away.
@njit(nogil=True, forceinline=True, fastmath={"contract"})
@no_type_check
def _exp(x):
    x = min(max(x, np.float32(-87)), np.float32(88))
    shifted = x * _LOG2E + _ROUNDING
    n = shifted - _ROUNDING
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    power = np.int32((np.float32(shifted).view(np.int32) - _SHIFT) << np.int32(23)).view(np.float32)
    return (p * r * r + r + _ONE_F32) * power


@_inlined
@no_type_check
def _matrix(address, rows, columns):
    return carray(_pointer(address), 2 * rows * columns).view(np.float32).reshape(rows, columns)


@_inlined
@no_type_check
def _vector(address, size):
    return carray(_pointer(address), 2 * size).view(np.float32)


@_summing
@no_type_check
def _norm(x, weight, eps, out):
    total = _ZERO
    for i in range(x.size):
        total += x[i] * x[i]
    factor = _ONE_F32 / np.sqrt(total / np.float32(x.size) + eps)
    for i in range(x.size):
        out[i] = x[i] * factor * weight[i]


@_summing
@no_type_check
def _norms(x, address, eps, out):
    weight = _vector(address, x.shape[1])
    for t in range(x.shape[0]):
        _norm(x[t], weight, eps, out[t])


@_summing
@no_type_check
def _times(x, w, out, add):
    # Two rows by four texts: eight sums stay in registers, and each row is read once.
    columns, fours = w.shape[1], x.shape[0] - x.shape[0] % 4
    for r in range(0, w.shape[0] - 1, 2):
        w0, w1 = w[r], w[r + 1]
        for i in range((r + _AHEAD) * columns, (r + _AHEAD + 2) * columns, 16):
            fetch(w, i)
        # Four texts at a time.
        for t in range(0, fours, 4):
            x0, x1, x2, x3 = x[t], x[t + 1], x[t + 2], x[t + 3]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = _ZERO
            for i in range(columns):
                p, q = w0[i], w1[i]
                a0, a1, a2, a3 = a0 + p * x0[i], a1 + p * x1[i], a2 + p * x2[i], a3 + p * x3[i]
                b0, b1, b2, b3 = b0 + q * x0[i], b1 + q * x1[i], b2 + q * x2[i], b3 + q * x3[i]
            _put(out[t, r : r + 2], a0, b0, add)
            _put(out[t + 1, r : r + 2], a1, b1, add)
            _put(out[t + 2, r : r + 2], a2, b2, add)
            _put(out[t + 3, r : r + 2], a3, b3, add)
        # The remaining texts.
        for t in range(fours, x.shape[0]):
            a0, b0 = _ZERO, _ZERO
            for i in range(columns):
                a0, b0 = a0 + w0[i] * x[t, i], b0 + w1[i] * x[t, i]
            _put(out[t, r : r + 2], a0, b0, add)
    # The last of an odd number of rows.
    if w.shape[0] & 1:
        last = w.shape[0] - 1
        for t in range(x.shape[0]):
            total = out[t, last] if add else _ZERO
            for i in range(columns):
                total += x[t, i] * w[last, i]
            out[t, last] = total


@_inlined
@no_type_check
def _put(out, a, b, add):
    if add:
        a, b = a + out[0], b + out[1]
    out[0], out[1] = a, b


@_summing
@no_type_check
def _turn(z, norms, cos, sin, heads, eps):
    size = cos.size
    half = size // 2
    for h in range(z.shape[0]):
        head = z[h]
        if norms[0]:
            _norm(head, _vector(norms[0] if h < heads else norms[1], size), eps, head)
        for i in range(half):
            a, b = head[i], head[i + half]
            head[i] = a * cos[i] + b * sin[i]
            head[i + half] = b * cos[i + half] + a * sin[i + half]


@_summing
@no_type_check
def _look(q, keys, values, scores, out):
    _times(q, keys, scores, False)
    shares = scores[0]
    scale, top = _ONE_F32 / np.sqrt(np.float32(q.shape[1])), shares[0]
    for i in range(shares.size):
        top = max(top, shares[i])
    # The softmax of the scores, not yet divided by its sum.
    total, out[:] = _ZERO, _ZERO
    for i in range(shares.size):
        shares[i] = _exp((shares[i] - top) * scale)
        total += shares[i]
    # The sum of the values, weighted with it, four positions at a time.
    for i in range(0, shares.size - 3, 4):
        v0, v1, v2, v3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        a, b, c, e = shares[i], shares[i + 1], shares[i + 2], shares[i + 3]
        for d in range(out.size):
            out[d] += a * v0[d] + b * v1[d] + c * v2[d] + e * v3[d]
    for i in range(shares.size - shares.size % 4, shares.size):
        share, value = shares[i], values[i]
        for d in range(out.size):
            out[d] += share * value[d]
    for d in range(out.size):
        out[d] /= total


@_summing
@no_type_check
def _attend(z, norms, past, lengths, cos, sin, heads, eps, scores, attended):
    kv, size = past.shape[1] // 2, past.shape[3]
    for t in range(z.shape[0]):
        at = lengths[t]
        rows = z[t].reshape(heads + 2 * kv, size)
        _turn(rows[: heads + kv], norms, cos[at], sin[at], heads, eps)
        for h in range(2 * kv):
            past[t, h, at] = rows[heads + h]
        for h in range(heads):
            k = h // (heads // kv)
            keys, values = past[t, k, : at + 1], past[t, kv + k, : at + 1]
            _look(
                rows[h : h + 1],
                keys,
                values,
                scores[:, : at + 1],
                attended[t, h * size : (h + 1) * size],
            )


@_summing
@no_type_check
def _gated(wide, out):
    inner = out.shape[1]
    for t in range(out.shape[0]):
        gate, up, row = wide[t, :inner], wide[t, inner:], out[t]
        for i in range(inner):
            row[i] = gate[i] / (_ONE_F32 + _exp(-gate[i])) * up[i]


@no_type_check
def _step(weights, sizes, eps, ids, lengths, past, cos, sin, logits):
    """See `SIGNATURE`."""
    heads, hidden, inner, rows = sizes
    texts, kv, size = ids.size, past.shape[2] // 2, past.shape[4]
    z = np.empty((texts, (heads + 2 * kv) * size), np.float32)
    attended = np.empty((texts, heads * size), np.float32)
    x, y = np.empty((texts, hidden), np.float32), np.empty((texts, hidden), np.float32)
    wide, gate = np.empty((texts, 2 * inner), np.float32), np.empty((texts, inner), np.float32)
    scores, last = np.empty((1, past.shape[3]), np.float32), weights[weights.shape[0] - 1]
    # 1. The embedding of every text's token.
    for t in range(texts):
        if ids[t] < 0 or ids[t] >= rows:
            raise IndexError("the model has no such token")
        x[t] = _vector(last[0] + np.uint64(4 * ids[t] * hidden), hidden)
    # 2. The layers: attention is added to `x`, then the MLP.
    for index in range(weights.shape[0] - 1):
        layer = weights[index]
        _norms(x, layer[0], eps, y)
        _times(y, _matrix(layer[1], z.shape[1], hidden), z, False)
        if layer[2]:
            z += _vector(layer[2], z.shape[1])
        _attend(z, layer[3:5], past[index], lengths, cos, sin, heads, eps, scores, attended)
        _times(attended, _matrix(layer[5], hidden, attended.shape[1]), x, True)
        _norms(x, layer[6], eps, y)
        _times(y, _matrix(layer[7], 2 * inner, hidden), wide, False)
        _gated(wide, gate)
        _times(gate, _matrix(layer[8], hidden, inner), x, True)
    # 3. The logits.
    _norms(x, last[1], eps, y)
    _times(y, _matrix(last[2], logits.shape[1], hidden), logits, False)


_ROW, _TABLE = types.int64[::1], types.float32[:, ::1]
SIGNATURE = (
    types.uint64[:, ::1],
    _ROW,
    types.float32,
    _ROW,
    _ROW,
    types.float32[:, :, :, :, ::1],
    _TABLE,
    _TABLE,
    _TABLE,
)
"""Arguments of the step, for float32 tensors without gaps:

weights    Addresses, 9 for each layer: norm before attention, queries, keys and values in one,
           their bias, norms of the heads of queries and of keys, output, norm before the MLP, gate
           and up in one, down; 0 if there is none. Last those of embedding, norm, head, and zeros.
sizes      Heads, width, inner width, tokens of the vocabulary.
eps        Of the norms.
ids        The token that each text reads.
lengths    How many each has read before; below the positions of `past`, `cos` and `sin`.
past       (layers, at least as many texts, keys then values of all heads, positions, head size);
           keys and values of the new token are written into it.
cos, sin   (positions, head size); the first half of the sine is negated.
logits     (texts, vocabulary): the result.
"""
_compiled: Any = None
"""None without a folder for the cache: nobody waits, so it is never compiled."""
with suppress(RuntimeError):
    _compiled = njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")(_step)
    read_at_once(_compiled)


_is_ready = Readiness(_compiled, SIGNATURE)


def token_step() -> Callable[..., None] | None:
    """The step, see `SIGNATURE`; None if it was not compiled yet. Reads it from disk, once."""
    return _compiled if _is_ready() else None


def compile_now() -> None:
    """Compile the step and keep it on disk: ten seconds."""
    if _compiled is not None:
        _compiled.compile(SIGNATURE)
