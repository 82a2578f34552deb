"""Densities: inside the box, on budget, nested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import DppaError, InvalidValue
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import densities_at, significance
from dppa_core.pruning.pruning_parameters import PruningParameters
from tests.helpers.random_profiles import FOUND, pair, profile_of

rates = st.floats(0, 1)
weighted = st.lists(
    st.tuples(st.floats(-1, 1), st.integers(1, 10**6)), min_size=1, max_size=30
).map(lambda found: (np.array([a for a, _ in found]), np.array([n for _, n in found])))


def densities(
    adjustment: np.ndarray, numel: np.ndarray, rate: float, fixed: dict[int, float] | None = None
) -> np.ndarray:
    return densities_at(adjustment, numel, np.array([float(rate)]), fixed)[0]


@given(weighted, rates)
def test_densities_stay_in_the_box_and_on_budget(
    given_modules: tuple[np.ndarray, np.ndarray], rate: float
) -> None:
    adjustment, numel = given_modules
    density = densities(adjustment, numel, rate)
    assert (density >= 0).all() and (density <= 1).all()
    assert (density * numel).sum() / numel.sum() == pytest.approx(1 - rate, abs=1e-9)


@given(weighted, rates, rates)
def test_densities_fall_with_the_rate(
    given_modules: tuple[np.ndarray, np.ndarray], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert (densities(*given_modules, high) <= densities(*given_modules, low) + 1e-12).all()


@given(weighted, rates)
def test_densities_do_not_depend_on_the_order_of_modules(
    given_modules: tuple[np.ndarray, np.ndarray], rate: float
) -> None:
    adjustment, numel = given_modules
    turned = densities(adjustment[::-1], numel[::-1], rate)[::-1]
    np.testing.assert_allclose(densities(adjustment, numel, rate), turned, atol=1e-12)


def test_without_clipping_equal_modules_keep_their_adjustments() -> None:
    adjustment = np.array([0.08, 0.02, -0.1])
    density = densities(adjustment, np.array([10, 10, 10]), 0.5)
    np.testing.assert_allclose(density, 0.5 + adjustment, atol=1e-15)


def test_clipped_mass_goes_to_modules_that_have_room() -> None:
    density = densities(np.array([-0.16, 0.0, 0.16]), np.array([10, 10, 10]), 0.9)
    np.testing.assert_allclose(density, [0, 0.07, 0.23], atol=1e-12)


def test_a_fixed_density_is_made_up_for() -> None:
    density = densities(np.zeros(3), np.array([10, 10, 20]), 0.8, {0: 0.5})
    np.testing.assert_allclose(density, [0.5, 0.1, 0.1], atol=1e-12)


def test_a_fixed_density_beyond_the_budget_leaves_nothing_to_the_others() -> None:
    density = densities(np.zeros(2), np.array([10, 10]), 0.9, {0: 1.0})
    np.testing.assert_allclose(density, [1, 0], atol=1e-12)


@given(FOUND)
def test_adjustments_are_bounded_by_twice_the_strength(found: list[np.ndarray]) -> None:
    score = significance(pair(found), PruningParameters(strength=0.1))
    assert (np.abs(score.adjustment) <= 0.2 + 1e-12).all()


@given(FOUND)
def test_strength_zero_moves_nothing(found: list[np.ndarray]) -> None:
    assert not significance(pair(found), PruningParameters(strength=0.0)).adjustment.any()


def test_modules_alike_get_no_adjustment() -> None:
    delta = np.array([1, -1, 1, 1, 1, 1, 1, -9], np.float32)
    modules = tuple(profile_of(delta, index) for index in range(4))
    score = significance(DeltaProfile("b", "t", modules, 0), PruningParameters())
    np.testing.assert_array_equal(score.layer, [1 / 8, 1 / 8])
    assert not score.adjustment.any()


def test_an_unchanged_model_gets_no_adjustment() -> None:
    modules = (profile_of(np.zeros(8, np.float32)), profile_of(np.zeros(4, np.float32), 3))
    assert not significance(
        DeltaProfile("b", "t", modules, 0), PruningParameters()
    ).adjustment.any()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("strength", 0.6, "strength must be a number from 0 to 0.5, got 0.6"),
        ("strength", float("nan"), "strength must be a number"),
        ("ties", "exakt", "Did you mean 'exact'"),
        ("other_tensors", "none", "must be one of keep, prune, drop"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        PruningParameters(**{field: value})  # type: ignore[arg-type]


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(DppaError, match=r"\[0, 1\]"):
        densities(np.zeros(1), np.array([1]), 1.5)
