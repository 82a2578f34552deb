"""Bits: hand numbers, a search of all scales as the slow reference, and exact bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import InvalidValue
from dppa_core.forms.bits import BLOCK, BitsParameters, decode, encode
from dppa_core.forms.contract import Delta, Place, code_bytes, kept_energy

PLACE = Place("layers.0.mlp.up_proj.weight", "zoo:math")


def kept(delta: Delta, bits: int, block: str = "row") -> Delta:
    parameters = BitsParameters(bits, block)
    return decode(encode(delta, parameters, PLACE), delta.shape, parameters, PLACE)


def best_of_all_scales(row: np.ndarray, bits: int) -> float:
    """The least squared error of steps at ±1/2, ±3/2 … over many scales."""
    top, largest = 2 ** (bits - 1), float(np.abs(row).max())
    errors = []
    for step in np.linspace(largest / top / 4, 3 * largest, 4000):
        levels = np.clip(np.floor(np.abs(row) / step), 0, top - 1) + 0.5
        errors.append(float(np.square(np.abs(row) - levels * step).sum()))
    return min(errors)


def test_one_bit_is_the_sign_times_the_mean_of_the_block() -> None:
    delta = np.array([[1, -3], [0.5, 0.5]], np.float32)
    assert np.array_equal(kept(delta, 1), np.array([[2, -2], [0.5, 0.5]], np.float32))
    mean = np.array([[1.25, -1.25], [1.25, 1.25]], np.float32)
    assert np.array_equal(kept(delta, 1, "matrix"), mean)


def test_two_bits_are_four_steps() -> None:
    delta = np.array([[-3, -1, 1, 3]], np.float32)
    assert np.array_equal(kept(delta, 2), delta)


@given(st.sampled_from([1, 2, 4]), st.integers(8, 80), st.integers(0, 60))
def test_the_scale_is_nearly_the_best_of_all(bits: int, size: int, seed: int) -> None:
    row = np.random.default_rng(seed).standard_normal((1, size), np.float32)
    error = float(np.square(row - kept(row, bits)).sum())
    assert error <= 1.2 * best_of_all_scales(row[0], bits) + 2e-3 * float(np.square(row).sum())


def test_more_bits_and_smaller_blocks_keep_more() -> None:
    delta = np.random.default_rng(0).standard_normal((20, 200), np.float32)
    delta *= np.geomspace(0.1, 3, 20, dtype=np.float32)[:, None]
    by_bits = [kept_energy(delta, kept(delta, bits)) for bits in (1, 2, 4, 8)]
    by_block = [kept_energy(delta, kept(delta, 1, block)) for block in ("matrix", "row", "block")]
    assert by_bits == sorted(by_bits) and by_block == sorted(by_block)
    assert by_bits[0] == pytest.approx(2 / np.pi, abs=0.02)  # of Gaussian values
    assert by_bits[3] > 0.9998


@pytest.mark.parametrize(
    ("block", "scales"), [("matrix", 1), ("row", 3), ("block", 3 * -(-(BLOCK + 6) // BLOCK))]
)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_file_holds_the_bits_and_two_bytes_a_scale(bits: int, block: str, scales: int) -> None:
    delta = np.random.default_rng(0).standard_normal((3, BLOCK + 6), np.float32)
    codes = encode(delta, BitsParameters(bits, block), PLACE)
    assert code_bytes(codes) == -(-delta.size * bits // 8) + 2 * scales
    assert np.array_equal(np.sign(kept(delta, bits, block)), np.sign(delta))


def test_rows_without_changes_stay_unchanged() -> None:
    delta = np.array([[0, 0, 0], [1, -1, 1]], np.float32)
    assert np.array_equal(kept(delta, 4)[0], [0, 0, 0])
    assert np.allclose(kept(delta, 8), delta, rtol=0.01)


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(InvalidValue, match="bits must be 1, 2, 4 or 8, got 3"):
        BitsParameters(3)
