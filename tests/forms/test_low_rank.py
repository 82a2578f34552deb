"""Low rank: hand numbers, numpy's decomposition as the slow reference, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.forms.contract import Delta, Place, code_bytes, kept_energy
from dppa_core.forms.low_rank import LowRankParameters, decode, encode, kept_rank
from dppa_core.forms.spectra import spectrum_of

PLACE = Place("layers.0.mlp.up_proj.weight", "zoo:math")
ROUNDING = 0.01  # both factors are bfloat16: 2**-8 each


def kept(delta: Delta, **settings: float) -> Delta:
    parameters = LowRankParameters(**settings)  # type: ignore[arg-type]
    return decode(encode(delta, parameters, PLACE), delta.shape, parameters, PLACE)


def reference(delta: Delta, rank: int) -> Delta:
    left, values, right = np.linalg.svd(delta.astype(np.float64), full_matrices=False)
    return np.asarray((left[:, :rank] * values[:rank]) @ right[:rank], np.float32)


def test_a_diagonal_matrix_keeps_its_largest_entries() -> None:
    delta = np.diag([4, -16, 1]).astype(np.float32)  # roots are exact in bfloat16
    assert np.array_equal(kept(delta, rank=2), np.diag([4, -16, 0]).astype(np.float32))
    assert kept_energy(delta, kept(delta, rank=2)) == pytest.approx((16 + 256) / (16 + 256 + 1))


@pytest.mark.parametrize(("energy", "rank"), [(0.93, 1), (0.95, 2), (0.999, 3), (1.0, 3)])
def test_a_share_of_energy_takes_as_many_directions_as_it_needs(energy: float, rank: int) -> None:
    spectrum = spectrum_of(np.diag([4, -16, 1]).astype(np.float32))  # 0.938, 0.996, 1
    assert kept_rank(spectrum, LowRankParameters(rank=3, energy=energy)) == rank


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8), st.integers(0, 99))
def test_it_is_numpys_truncated_decomposition(
    rows: int, columns: int, rank: int, seed: int
) -> None:
    delta = np.random.default_rng(seed).standard_normal((rows, columns), np.float32)
    difference = kept(delta, rank=rank) - reference(delta, rank)
    assert np.linalg.norm(difference) <= ROUNDING * np.linalg.norm(delta)


def test_a_file_holds_two_bytes_for_each_row_and_column_of_a_direction() -> None:
    delta = np.random.default_rng(0).standard_normal((30, 50), np.float32)
    assert code_bytes(encode(delta, LowRankParameters(rank=7), PLACE)) == 2 * 7 * (30 + 50)


def test_what_has_few_directions_takes_no_more() -> None:
    rng = np.random.default_rng(1)
    delta = rng.standard_normal((30, 2), np.float32) @ rng.standard_normal((2, 50), np.float32)
    codes = encode(delta, LowRankParameters(rank=16), PLACE)
    assert codes["left"].shape == (30, 2)
    assert np.allclose(kept(delta, rank=16), delta, atol=0.05)


def test_no_change_takes_no_bytes_and_stays_none() -> None:
    nothing = np.zeros((4, 6), np.float32)
    assert code_bytes(encode(nothing, LowRankParameters(), PLACE)) == 0
    assert not kept(nothing).any()


def test_a_wide_matrix_is_decomposed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    delta = np.random.default_rng(2).standard_normal((9, 100), np.float32)
    monkeypatch.setattr("dppa_core.methods.shared.singular.COLUMNS", 16)
    difference = kept(delta, rank=4) - reference(delta, 4)
    assert np.linalg.norm(difference) <= ROUNDING * np.linalg.norm(delta)
