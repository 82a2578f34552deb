"""Methods that weigh by calibration text, with the statistics given."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.methods.fisher import fisher
from dppa_core.methods.regmean import regmean
from tests.reference.stacks import stack_of


def test_fisher_weighs_by_importance() -> None:
    merged = fisher(stack_of([[1.0], [2.0]]), np.array([[[1.0]], [[3.0]]], np.float32))
    assert merged.tolist() == [[1.75]]


def test_fisher_without_any_importance_is_the_mean() -> None:
    merged = fisher(stack_of([[1.0], [2.0]]), np.zeros((2, 1, 1), np.float32))
    assert merged.tolist() == [[1.5]]


def test_fisher_of_equal_importance_is_the_weighted_mean() -> None:
    stack = stack_of(np.random.default_rng(0).normal(size=(3, 2, 4)), [1.0, 2.0, 1.0])
    merged = fisher(stack, np.ones_like(stack.deltas))
    expected = (stack.deltas * np.array([0.25, 0.5, 0.25])[:, None, None]).sum(axis=0)
    np.testing.assert_allclose(merged, expected, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 5))
def test_regmean_is_the_least_squares_answer(seed: int, models: int, columns: int) -> None:
    """No other matrix comes closer to the outputs of all models on their own inputs."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(models, 12, columns))
    stack = stack_of(rng.normal(size=(models, 3, columns)))
    merged = regmean(stack, np.einsum("kni,knj->kij", inputs, inputs), 1.0)
    rows = np.concatenate(list(inputs))
    outputs = np.concatenate([x @ d.T for x, d in zip(inputs, stack.deltas, strict=True)])
    best = np.linalg.lstsq(rows, outputs, rcond=None)[0].T
    np.testing.assert_allclose(merged, best, rtol=1e-4, atol=1e-5)


def test_regmean_of_diagonals_is_fishers_mean_by_column() -> None:
    rng = np.random.default_rng(1)
    stack, powers = stack_of(rng.normal(size=(2, 3, 4))), rng.random((2, 4)) + 0.1
    grams = np.stack([np.diag(power) for power in powers]) + 0.05
    diagonal = np.stack([np.diag(np.diagonal(gram)) for gram in grams])
    expected = fisher(
        stack,
        np.stack([np.broadcast_to(np.diagonal(g), (3, 4)) for g in grams]).astype(np.float32),
    )
    np.testing.assert_allclose(regmean(stack, grams, 0.0), expected, rtol=1e-5)
    np.testing.assert_allclose(regmean(stack, diagonal, 0.9), expected, rtol=1e-5)


def test_an_input_no_text_used_keeps_the_base() -> None:
    stack = stack_of(np.ones((2, 2, 3)))
    grams = np.stack([np.diag([1.0, 0.0, 2.0])] * 2)
    np.testing.assert_allclose(regmean(stack, grams), [[1, 0, 1]] * 2, rtol=1e-6)
