"""Methods weighted by calibration statistics, with given statistics."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dppa_core.methods.fisher import FisherParameters, fisher
from dppa_core.methods.regmean import RegmeanParameters, regmean
from dppa_core.methods.shared.stack import Stack
from tests.reference import slow_calibrated
from tests.reference.random_stacks import Spec, specs
from tests.reference.stacks import stack_of

AS_MEASURED = FisherParameters("nothing")


def weighed(stack: Stack, importance: object, norms: Sequence[float] = ()) -> Stack:
    arrays = np.array(importance, np.float32).reshape(stack.deltas.shape)
    return replace(stack, statistics=tuple(arrays), norms=tuple(norms) or (1.0,) * len(arrays))


def with_grams(stack: Stack, grams: object, inputs: int = 1) -> Stack:
    return replace(stack, statistics=tuple(np.array(grams, np.float32)), inputs=inputs)


def random_importance(spec: Spec, stack: Stack) -> np.ndarray:
    rng = np.random.default_rng(spec.seed + 1)
    return rng.standard_t(2, stack.deltas.shape) ** 2 * (rng.random(stack.deltas.shape) < 0.8)


def random_grams(spec: Spec, stack: Stack, texts: int = 12) -> np.ndarray:
    rng = np.random.default_rng(spec.seed + 2)
    inputs = rng.normal(size=(len(stack.models), texts, stack.base.shape[1]))
    return np.einsum("kni,knj->kij", inputs, inputs)


def test_the_golden_number_of_fisher() -> None:
    merged = fisher(weighed(stack_of([[1.0], [2.0]]), [1.0, 3.0]), AS_MEASURED)
    assert merged.tolist() == [[1.75]]


def test_divided_by_its_norm_a_model_of_large_gradients_counts_no_more() -> None:
    stack = weighed(stack_of([[1.0], [2.0]]), [1.0, 300.0], [2.0, 600.0])
    assert fisher(stack, FisherParameters()).tolist() == [[1.5]]
    assert fisher(stack, AS_MEASURED)[0, 0] == pytest.approx((1 + 600) / 301)


def test_fisher_without_any_importance_is_the_mean() -> None:
    stack = weighed(stack_of([[1.0], [2.0]]), [0.0, 0.0])
    assert fisher(stack, FisherParameters()).tolist() == [[1.5]]
    unknown = replace(stack, statistics=(None, None))
    assert fisher(unknown, FisherParameters()).tolist() == [[1.5]]


def test_fisher_of_equal_importance_is_the_weighted_mean() -> None:
    stack = stack_of(np.random.default_rng(0).normal(size=(3, 2, 4)), [1.0, 2.0, 1.0])
    merged = fisher(weighed(stack, np.ones_like(stack.deltas)), FisherParameters())
    expected = (stack.deltas * np.array([0.25, 0.5, 0.25])[:, None, None]).sum(axis=0)
    np.testing.assert_allclose(merged, expected, rtol=1e-6)


def test_weights_that_cancel_leave_the_base() -> None:
    stack = weighed(stack_of([[1.0, 1.0], [2.0, 2.0]], [1.0, -1.0]), [[0.3, 1], [0.3, 2]])
    assert fisher(stack, AS_MEASURED).tolist() == [[0.0, 3.0]]


def test_regmean_by_hand() -> None:
    """Inputs of A: (1, 0) twice. Of B: (0, 1) and (1, 1)."""
    grams = [[[2, 0], [0, 0]], [[1, 1], [1, 2]]]
    stack = with_grams(stack_of([[3.0, 9.0], [0.0, 6.0]]), grams)
    # (3, 9) G_A + (0, 6) G_B = (12, 12); G_A + G_B = (3, 1; 1, 2), its inverse (2, -1; -1, 3) / 5.
    np.testing.assert_allclose(regmean(stack, RegmeanParameters(1.0)), [[2.4, 4.8]], rtol=1e-6)
    # With the diagonal only, each input is a mean: 3 * 2/3, and 6 of B alone.
    np.testing.assert_allclose(regmean(stack, RegmeanParameters(0.0)), [[2.0, 6.0]], rtol=1e-6)
    turned = replace(stack, deltas=np.swapaxes(stack.deltas, 1, 2), base=stack.base.T, inputs=0)
    merged = regmean(turned, RegmeanParameters(1.0))
    np.testing.assert_allclose(merged, [[2.4], [4.8]], rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5))
def test_regmean_is_the_least_squares_answer(seed: int, models: int, columns: int) -> None:
    """No other matrix comes closer to the outputs of all models on their own inputs."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(models, 12, columns))
    stack = stack_of(rng.normal(size=(models, 3, columns)))
    grams = np.einsum("kni,knj->kij", inputs, inputs)
    merged = regmean(with_grams(stack, grams), RegmeanParameters(1.0))
    rows = np.concatenate(list(inputs))
    outputs = np.concatenate([x @ d.T for x, d in zip(inputs, stack.deltas, strict=True)])
    best = np.linalg.lstsq(rows, outputs, rcond=None)[0].T
    np.testing.assert_allclose(merged, best, rtol=1e-3, atol=1e-4)


def test_more_inputs_than_texts_leave_what_no_text_tells() -> None:
    """At 1 nothing can be inverted: the smallest answer is taken, not one of noise."""
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(2, 3, 40)).astype(np.float32)
    stack = stack_of(rng.normal(size=(2, 5, 40)))
    grams = np.einsum("kni,knj->kij", inputs, inputs)
    merged = regmean(with_grams(stack, grams), RegmeanParameters(1.0))
    rows = np.concatenate(list(inputs))
    outputs = np.concatenate([x @ d.T for x, d in zip(inputs, stack.deltas, strict=True)])
    np.testing.assert_allclose(merged @ rows.T, outputs.T, rtol=1e-3, atol=1e-3)
    assert np.linalg.norm(merged) <= np.linalg.norm(stack.deltas)


def test_regmean_of_diagonals_is_fishers_mean_by_column() -> None:
    rng = np.random.default_rng(1)
    stack, powers = stack_of(rng.normal(size=(2, 3, 4))), rng.random((2, 4)) + 0.1
    grams = np.stack([np.diag(power) for power in powers]) + 0.05
    importance = [np.broadcast_to(np.diagonal(gram), (3, 4)) for gram in grams]
    expected = fisher(weighed(stack, importance), AS_MEASURED)
    merged = regmean(with_grams(stack, grams), RegmeanParameters(0.0))
    np.testing.assert_allclose(merged, expected, rtol=1e-5)


def test_an_input_no_text_used_keeps_the_base() -> None:
    grams = np.stack([np.diag([1.0, 0.0, 2.0])] * 2)
    stack = with_grams(stack_of(np.ones((2, 2, 3))), grams)
    np.testing.assert_allclose(regmean(stack, RegmeanParameters()), [[1, 0, 1]] * 2, rtol=1e-6)


def test_regmean_averages_what_is_no_module() -> None:
    stack = replace(stack_of([[1.0], [4.0]], [2.0, 1.0]), statistics=(None, None))
    assert regmean(stack, RegmeanParameters()).tolist() == [[2.0]]


@pytest.mark.parametrize("scale", [-0.5, 2.5])
@given(spec=specs())
@settings(max_examples=10)
def test_a_scale_multiplies_what_the_papers_merge(scale: float, spec: Spec) -> None:
    for stack in spec.stacks():
        weighted = weighed(stack, random_importance(spec, stack))
        for merged, once in (
            (fisher(weighted, FisherParameters(scale=scale)), fisher(weighted, FisherParameters())),
            (regmean(stack, RegmeanParameters(scale=scale)), regmean(stack, RegmeanParameters())),
        ):
            np.testing.assert_allclose(merged, scale * once, rtol=1e-6, atol=1e-9)
    grams = [np.eye(2), 3 * np.eye(2)]
    stack = with_grams(stack_of([[1.0, 4.0], [5.0, 8.0]]), grams)
    merged = regmean(stack, RegmeanParameters(scale=scale))
    np.testing.assert_allclose(merged, [[4.0 * scale, 7.0 * scale]], rtol=1e-6)


@pytest.mark.parametrize("divide", ["norm", "nothing"])
@given(spec=specs())
@settings(max_examples=25)
def test_fisher_is_what_its_paper_says(divide: str, spec: Spec) -> None:
    for stack in spec.stacks():
        norms = [2.5 + model for model in range(len(stack.models))]
        given_stack = weighed(stack, random_importance(spec, stack), norms)
        expected = slow_calibrated.fisher(given_stack, norms if divide == "norm" else None)
        merged = fisher(given_stack, FisherParameters(divide))
        np.testing.assert_allclose(merged, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("off_diagonal", [0.0, 0.5, 0.9])
@given(spec=specs())
@settings(max_examples=25)
def test_regmean_is_what_its_paper_says(off_diagonal: float, spec: Spec) -> None:
    positive = tuple(abs(c) for c in spec.coefficients)
    for stack in replace(spec, coefficients=positive).stacks():
        given_stack = with_grams(stack, random_grams(spec, stack))
        expected = slow_calibrated.regmean(given_stack, off_diagonal)
        merged = regmean(given_stack, RegmeanParameters(off_diagonal))
        np.testing.assert_allclose(merged, expected, rtol=5e-3, atol=5e-4)


@given(spec=specs())
@settings(max_examples=25)
def test_the_order_of_models_does_not_matter(spec: Spec) -> None:
    for stack in spec.stacks():
        importance, grams = random_importance(spec, stack), random_grams(spec, stack)
        turned = replace(
            stack, deltas=stack.deltas[::-1].copy(), coefficients=stack.coefficients[::-1]
        )
        np.testing.assert_allclose(
            fisher(weighed(stack, importance), AS_MEASURED),
            fisher(weighed(turned, importance[::-1]), AS_MEASURED),
            rtol=1e-4,
            atol=1e-5,
        )
        straight = regmean(with_grams(stack, grams), RegmeanParameters(0.5))
        reversed_result = regmean(with_grams(turned, grams[::-1]), RegmeanParameters(0.5))
        if min(stack.coefficients) > 0:
            np.testing.assert_allclose(straight, reversed_result, rtol=1e-3, atol=1e-4)


@given(spec=specs(most=1))
@settings(max_examples=25)
def test_one_delta_stays_itself(spec: Spec) -> None:
    for stack in replace(spec, coefficients=(1.0,)).stacks():
        merged = fisher(weighed(stack, random_importance(spec, stack)), FisherParameters())
        np.testing.assert_allclose(merged, stack.deltas[0], rtol=1e-5, atol=1e-6)
        alone = with_grams(stack, random_grams(spec, stack))
        for off_diagonal in (0.5, 1.0):
            merged = regmean(alone, RegmeanParameters(off_diagonal))
            np.testing.assert_allclose(merged, stack.deltas[0], rtol=1e-3, atol=1e-3)
