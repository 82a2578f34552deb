"""Weights as steps from a base: every bit comes back, in few bytes, and damage is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.compression import compress, decompress
from dppa_core.forms.values import (
    Raw,
    after_steps,
    byte_planes,
    decode_values,
    encode_values,
    from_byte_planes,
    steps,
)
from dppa_core.pruning.floats import from_float32, to_float32

TYPES = ("uint16", "float16", "float32")


def any_bits(rng: np.random.Generator, dtype: str, count: int) -> Raw:
    """Random bits: also infinities, NaN, and both zeros."""
    width = np.dtype(dtype).itemsize
    return rng.integers(0, 1 << 8 * width, count, f"u{width}").view(dtype)


@given(dtype=st.sampled_from(TYPES), count=st.integers(0, 300), seed=st.integers(0, 99))
def test_values_come_back_bit_for_bit(dtype: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, base = any_bits(rng, dtype, count), any_bits(rng, dtype, count)
    restored = decode_values(encode_values(values, base), base, "x")
    assert (restored.dtype, restored.tobytes()) == (values.dtype, values.tobytes())
    alone = decode_values(encode_values(values), base, "x", stepped=False)
    assert (alone.dtype, alone.tobytes()) == (values.dtype, values.tobytes())


def test_steps_by_hand() -> None:
    """1.0 is 0x3F80 in bfloat16; the next values are 0x3F81 and 0x3F7F."""
    base = np.array([0x3F80, 0x3F80, 0x3F80, 0x0000, 0x8000], np.uint16)
    values = np.array([0x3F80, 0x3F81, 0x3F7F, 0x8000, 0x0001], np.uint16)
    assert steps(values, base).tolist() == [0, 2, 1, 1, 4]
    assert after_steps(steps(values, base), base).tolist() == values.tolist()


def test_planes_by_hand() -> None:
    planes = byte_planes(np.array([0x0102, 0x0304], np.uint16))
    assert planes.tolist() == [1, 3, 2, 4]
    assert from_byte_planes(planes, 2).tolist() == [0x0102, 0x0304]


def test_steps_are_sorted_by_the_exponent_of_their_base() -> None:
    base = from_float32(np.array([4, -0.5, 5, 0.6], np.float32), "BF16")
    values = from_float32(np.array([4, -0.5, 5, 0.6], np.float32), "BF16") + np.uint16(1)
    values[0] += 1
    planes = decompress(encode_values(values, base), 8, "x")
    assert list(planes) == [0, 0, 0, 0, 1, 2, 4, 2]  # of -0.5, 0.6, 4 and 5


@pytest.mark.parametrize(("size", "most_bits"), [(0.0025, 3.5), (0.014, 5.2), (0.05, 7)])
def test_small_changes_take_a_fraction_of_16_bits(size: float, most_bits: float) -> None:
    rng = np.random.default_rng(0)
    weights, change = rng.standard_normal((2, 100_000), np.float32)
    base, values = (from_float32(w, "BF16") for w in (weights, weights + size * change))
    assert 8 * len(encode_values(values, base)) < most_bits * base.size
    assert to_float32(decode_values(encode_values(values, base), base, "x"), "BF16").any()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (compress(bytes(18)), "9 values, 10 places"),
        (compress(bytes(22)), "22 bytes, at most 20 fit"),
        (compress(bytes(20))[:-1], "cannot be decompressed"),
        (b"", "cannot be decompressed"),
    ],
)
def test_a_wrong_number_of_values_is_refused(code: bytes, message: str) -> None:
    with pytest.raises(DamagedCheckpoint, match=f"f: up_proj: .*{message}"):
        decode_values(code, np.zeros(10, np.uint16), "f: up_proj")
