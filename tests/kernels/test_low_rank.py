"""The compiled sum of a weight and a low-rank product: the bits of NumPy's."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.forms.products import add_product
from dppa_core.kernels import fused


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    code = "from dppa_core.kernels.fused import compile_now; compile_now()"
    subprocess.run([sys.executable, "-c", code], check=True)
    fused._is_ready._next = 0.0
    assert fused.add_product() is not None


@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_a_weight_with_an_adapter_has_numpys_bits(
    rows: int, columns: int, rank: int, seed: int, swapped: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, columns), np.float32)
    left = rng.standard_normal((rows, rank), np.float32)
    right = rng.standard_normal((rank, columns), np.float32)
    if swapped:  # as views of transposed parts, which adapters of GPT-2 are
        left, right = np.asfortranarray(left), np.asfortranarray(right)
    weight.setflags(write=seed % 2 == 0)  # as mapped from a file
    fast = add_product(weight, left, right, 1.7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "_is_ready", lambda: False)
        slow = add_product(weight, left, right, 1.7)
    assert np.array_equal(fast.view(np.uint32), slow.view(np.uint32))


def test_infinity_and_nothing_at_all_are_as_in_numpy() -> None:
    weight = np.array([[np.inf, -0.0, 1.0]], np.float32)
    left, right = np.zeros((1, 2), np.float32), np.array([[1, -1, np.nan]] * 2, np.float32)
    fast = add_product(weight, left, right, 2.0)
    assert np.isinf(fast[0, 0]) and np.isnan(fast[0, 2])
