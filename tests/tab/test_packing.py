"""Weights packed for a browser come back bit by bit."""

import gzip

import numpy as np
import pytest

from dppa_core.tab.packing import Bits, pack_base, pack_steps

EVERY: Bits = np.arange(1 << 16, dtype=np.uint16)
"""All bfloat16 values: both zeros, infinities, NaN."""


def planes(pack: bytes) -> Bits:
    """The numbers in a pack: upper bytes, then lower bytes."""
    upper, lower = np.frombuffer(gzip.decompress(pack), np.uint8).reshape(2, -1)
    return upper.astype(np.uint16) << 8 | lower


def climbed(steps: Bits, base: Bits) -> Bits:
    """Weights from steps, number by number, as assets/js/tab/files.js does it."""
    weights = []
    for step, start in zip(steps.tolist(), base.tolist(), strict=True):
        place = start ^ (0xFFFF if start & 0x8000 else 0x8000)
        end = (place + ((step >> 1) ^ -(step & 1))) & 0xFFFF
        weights.append(end ^ (0x8000 if end & 0x8000 else 0xFFFF))
    return np.array(weights, np.uint16)


def test_the_base_s_bits_lie_in_two_planes() -> None:
    assert (planes(pack_base(EVERY)) == EVERY).all()


@pytest.mark.parametrize("shift", [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_steps_lead_from_every_base_to_every_weight(shift: int) -> None:
    tuned = (EVERY + np.uint16(shift)).astype(np.uint16)
    assert (climbed(planes(pack_steps(tuned, EVERY)), EVERY) == tuned).all()


def test_a_step_counts_values_and_small_ones_are_small_numbers() -> None:
    one, next_one, before, minus, zero, tiny = 0x3F80, 0x3F81, 0x3F7F, 0xBF80, 0x8000, 0x0001
    base = np.array([one, one, one, minus, zero], np.uint16)
    tuned = np.array([one, next_one, before, minus + 1, tiny], np.uint16)
    assert planes(pack_steps(tuned, base)).tolist() == [0, 2, 1, 1, 4]


def test_equal_weights_give_an_equal_pack() -> None:
    assert pack_base(EVERY) == pack_base(EVERY.copy())
