"""Densities: inside the box, on budget, nested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import DppaError, InvalidValue
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import densities_at, significance
from dppa_core.pruning.pruning_parameters import PruningParameters
from tests.helpers.random_profiles import DELTA_LISTS, pair, profile_of

rates = st.floats(0, 1)
weighted = st.lists(
    st.tuples(st.floats(-1, 1), st.integers(1, 10**6)), min_size=1, max_size=30
).map(lambda rows: (np.array([a for a, _ in rows]), np.array([n for _, n in rows])))


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
    given_modules: tuple[np.ndarray, np.ndarray], first: float, second: float
) -> None:
    low, high = sorted((first, second))
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


@given(DELTA_LISTS)
def test_adjustments_are_bounded_by_twice_the_strength(tensors: list[np.ndarray]) -> None:
    score = significance(pair(tensors), PruningParameters(strength=0.1))
    assert (np.abs(score.adjustment) <= 0.2 + 1e-12).all()


@given(DELTA_LISTS)
def test_strength_zero_moves_nothing(tensors: list[np.ndarray]) -> None:
    assert not significance(pair(tensors), PruningParameters(strength=0.0)).adjustment.any()


def with_outliers(*counts: int) -> DeltaProfile:
    """Modules of 100 ones, so many of them 100; two modules a layer."""
    deltas = [np.where(np.arange(100) < count, 100, 1).astype(np.float32) for count in counts]
    return pair(deltas)


@pytest.mark.parametrize(
    ("scaling", "counts", "expected"),
    [
        # S and s are 0.03, 0.03, 0.05, 0.05 around 0.04: a quarter of the mean away.
        ("largest", (3, 3, 5, 5), [-0.2, -0.2, 0.2, 0.2]),
        ("reversed", (3, 3, 5, 5), [0.2, 0.2, -0.2, -0.2]),
        ("mean", (3, 3, 5, 5), [-0.05, -0.05, 0.05, 0.05]),
        # S 0.03 and 0.05; s 0.02, 0.04, 0.04, 0.06 around 0.04.
        ("largest", (2, 4, 4, 6), [-0.2, -0.1, 0.1, 0.2]),
        ("mean", (2, 4, 4, 6), [-0.075, -0.025, 0.025, 0.075]),
        ("mean", (4, 4, 4, 4), [0, 0, 0, 0]),
        ("mean", (0, 0, 0, 0), [0, 0, 0, 0]),
    ],
)
def test_a_distance_from_the_mean_is_scaled_by_the_largest_or_by_the_mean(
    scaling: str, counts: tuple[int, ...], expected: list[float]
) -> None:
    """By hand, at strength 0.1 for the layer and as much for the module."""
    score = significance(with_outliers(*counts), PruningParameters(strength=0.1, scaling=scaling))
    np.testing.assert_allclose(score.adjustment, expected, atol=1e-12)


def test_almost_equal_layers_move_fully_by_the_largest_and_hardly_by_the_mean() -> None:
    """52 and 50 outliers of 1000 elements; the paper's DP moves them by the whole strength."""
    near = pair(
        [np.where(np.arange(1000) < n, 100, 1).astype(np.float32) for n in (50, 50, 52, 52)]
    )
    moved = {
        scaling: significance(near, PruningParameters(strength=0.1, scaling=scaling)).by_layer[-1]
        for scaling in ("largest", "mean")
    }
    assert moved["largest"] == pytest.approx(0.1)
    assert moved["mean"] == pytest.approx(0.1 / 51)


@given(DELTA_LISTS, rates)
def test_shifts_scaled_by_the_mean_stay_in_the_box_and_on_budget(
    tensors: list[np.ndarray], rate: float
) -> None:
    profile = pair(tensors)
    numel = np.array([item.numel for item in profile.modules])
    score = significance(profile, PruningParameters(strength=0.5, scaling="mean"))
    density = densities(score.adjustment, numel, rate)
    assert (density >= 0).all() and (density <= 1).all()
    assert (density * numel).sum() / numel.sum() == pytest.approx(1 - rate, abs=1e-9)


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
