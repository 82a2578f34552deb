"""Numeric errors of other tools: ties, zeros, tiny tensors, sums beyond their dtype."""

import numpy as np
import pytest

from dppa_core.errors import InvalidValue
from dppa_core.methods import breadcrumbs, consensus, dare_ties, della, sce, ties
from dppa_core.methods.shared.ranking import inside
from dppa_core.parameter_fields import from_mapping
from tests.reference.method_cases import COMBINATIONS, EVERY
from tests.reference.stacks import merge_model, merge_one, stack_of, streamed


def test_a_delta_that_is_mostly_zero_keeps_no_zeros() -> None:
    """If 80 % never changed, the k-th largest is 0 and a threshold would keep everything."""
    delta = np.zeros(1000, np.float32)
    delta[:150] = np.linspace(1, 2, 150)
    stack = stack_of([delta])
    cuts = ties.find_trim((streamed(stack),), ties.TiesParameters(0.2), "model")[stack.name]
    assert np.count_nonzero(inside(np.abs(stack.deltas[0]), cuts[0], stack)) == 150


def test_equal_magnitudes_neither_all_stay_nor_all_go() -> None:
    stack = stack_of(np.ones((1, 40, 25)))
    merged = merge_one(COMBINATIONS["ties"], stack, ties.TiesParameters(0.2))
    assert np.count_nonzero(merged) == 200


def test_sums_beyond_float16_stay_finite() -> None:
    """Half a million elements of 1 add up to more than 65504."""
    stack = stack_of(np.ones((1, 500, 1000)))
    parameters = dare_ties.DareTiesParameters(0.5, semantics="mergekit", scale=1.0)
    merged = merge_one(COMBINATIONS["dare_ties"], stack, parameters)
    assert np.isfinite(merged).all()
    assert merged.sum(dtype=np.float64) == pytest.approx(500_000, rel=1e-5)


@pytest.mark.parametrize(("name", "parameters"), EVERY, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 2)])
def test_tiny_and_one_column_tensors_are_merged(
    name: str, parameters: object, shape: tuple[int, int]
) -> None:
    stack = stack_of(np.random.default_rng(1).normal(size=(2, *shape)))
    assert np.isfinite(merge_one(COMBINATIONS[name], stack, parameters)).all()


def test_no_outlier_to_remove_removes_nothing() -> None:
    """mergekit before 0.1.5 lost the whole delta if its share of outliers was no element."""
    stack = stack_of(np.arange(1, 11, dtype=np.float32)[None])
    merged = merge_one(
        COMBINATIONS["breadcrumbs"], stack, breadcrumbs.BreadcrumbsParameters(0.5, 0.01, scale=1.0)
    )
    assert merged.ravel().tolist() == [0, 0, 0, 0, 0, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("rate", [0.999, 1.0])
def test_a_drop_rate_that_leaves_nothing_is_refused(rate: float) -> None:
    if rate < 1:
        stack = stack_of(np.ones((1, 2, 2)))
        for semantics in ("paper", "mergekit"):
            parameters = dare_ties.DareTiesParameters(rate, semantics=semantics)
            assert np.isfinite(merge_one(COMBINATIONS["dare_ties"], stack, parameters)).all()
        return
    with pytest.raises(InvalidValue, match="drop must be a number from 0 to 0.999"):
        dare_ties.DareTiesParameters(rate)


def test_density_zero_leaves_the_base() -> None:
    stack = stack_of(np.ones((2, 3, 4)))
    assert not merge_one(COMBINATIONS["ties"], stack, ties.TiesParameters(0.0)).any()
    assert not merge_one(COMBINATIONS["sce"], stack, sce.SceParameters(0.0)).any()


def test_light_deltas_are_weighed_unless_mergekits_floor_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    for size, floored in ((6e-4, True), (1e-3, False)):
        deltas = [rng.normal(0, size, 20_000), rng.normal(0, 3e-4, 20_000)]
        tensor = streamed(stack_of(deltas))
        paper = sce.survey_sce((tensor,), sce.SceParameters(1.0))[tensor.name].weights
        assert paper[0] == pytest.approx(size**2 / (size**2 + 9e-8), abs=0.02)
        named = sce.survey_sce((tensor,), sce.SceParameters(1.0, "mergekit"))[tensor.name].weights
        assert named == ((0.5, 0.5) if floored else paper)


def test_a_model_that_weighs_next_to_nothing_is_heard_where_it_is_alone() -> None:
    """If only it has the elected sign, the mean of agreeing models is its own delta."""
    light = np.array([3e-5, 0.0, -2e-5], np.float32)
    heavy = np.array([0.0, 5.0, 0.0], np.float32)
    merged = merge_one(COMBINATIONS["sce"], stack_of([light, heavy]), sce.SceParameters(1.0))
    np.testing.assert_allclose(merged.ravel(), [3e-5, 5.0, -2e-5], rtol=1e-5)
    small = stack_of([[1.0], [0.0]], [1e-9, 1.0])
    assert merge_one(COMBINATIONS["ties"], small, ties.TiesParameters(1.0)) == 1.0


def test_weights_that_cancel_have_no_mean() -> None:
    stack = stack_of([[1.0], [-1.0], [-1.0]], [0.3, -0.1, -0.2])
    parameters = ties.TiesParameters(1.0, "tensor", semantics="mergekit")
    assert merge_one(COMBINATIONS["ties"], stack, parameters) == pytest.approx(0.6)


def test_mergekit_selects_a_position_less_where_the_share_is_no_whole_number() -> None:
    stack = stack_of([[1.0, 2.0, 3.0, 4.0], [0.0] * 4])
    for semantics, kept in (("paper", 2), ("mergekit", 1)):
        parameters = sce.SceParameters(0.45, semantics)
        assert np.count_nonzero(merge_one(COMBINATIONS["sce"], stack, parameters)) == kept


def test_mergekits_rescaling_of_small_tensors_is_noisy_and_the_papers_is_not() -> None:
    def factors(semantics: str) -> np.ndarray:
        results = []
        for seed in range(20):
            deltas = np.random.default_rng(seed).standard_t(3, (1, 1, 200))
            stack = stack_of(deltas, seed=seed)
            parameters = dare_ties.DareTiesParameters(0.9, 1.0, semantics=semantics)
            merged = merge_one(COMBINATIONS["dare_ties"], stack, parameters)
            kept = merged != 0
            results.append(float((merged[kept] / stack.deltas[0][kept])[0]))
        return np.array(results)

    np.testing.assert_allclose(factors("paper"), 10, rtol=1e-5)
    assert np.ptp(factors("mergekit")) > 2


@pytest.mark.parametrize(("drop", "window"), [(0.3, 0.7), (0.9, 0.2), (0.5, 1.0)])
def test_drop_rates_outside_the_unit_interval_are_refused(drop: float, window: float) -> None:
    with pytest.raises(InvalidValue, match="window must be at most"):
        della.DellaParameters(drop, window)


def test_a_whole_number_is_asked_for() -> None:
    from_recipe = from_mapping(consensus.ConsensusParameters, {"agreement": 2.0}, "parameters")
    assert type(from_recipe.agreement) is int
    with pytest.raises(InvalidValue, match="agreement must be a whole number, got 1.5"):
        from_mapping(consensus.ConsensusParameters, {"agreement": 1.5}, "parameters")


def test_denormal_and_huge_deltas_are_ranked_by_size() -> None:
    values = np.array([1e-40, 3e38, 1e-30, 2e-45, 1.0], np.float32)
    stack = stack_of([values])
    for keep, expected in ((1, [1]), (3, [1, 2, 4]), (5, [0, 1, 2, 3, 4])):
        merged = merge_model(COMBINATIONS["ties"], [stack], ties.TiesParameters(keep / 5))
        assert np.flatnonzero(merged[stack.name]).tolist() == expected
