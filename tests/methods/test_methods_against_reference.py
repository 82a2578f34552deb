"""Every method against a slow reference written from its paper, on small random models."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings

from dppa_core.methods.shared.stack import Stack
from tests.reference import slow_methods, slow_of_mergekit
from tests.reference.method_cases import COMBINATIONS, EVERY, PAIRS
from tests.reference.random_stacks import Spec, specs
from tests.reference.stacks import merge_model, stack_of

METHODS = slow_methods.METHODS | slow_of_mergekit.METHODS


def reference(name: str, stacks: Sequence[Stack], parameters: object) -> dict[str, np.ndarray]:
    shapes = {stack.name: stack.base.shape for stack in stacks}
    base, deltas = {}, [{} for _ in stacks[0].models]
    for stack in stacks:
        for (row, column), value in np.ndenumerate(stack.base):
            base[stack.name, row, column] = float(value)
        for (model, row, column), value in np.ndenumerate(stack.deltas):
            deltas[model][stack.name, row, column] = float(value)
    layout = slow_methods.Layout(shapes, base, stacks[0].seed)
    listed = [
        slow_methods.Model(model, delta, coefficient)
        for model, delta, coefficient in zip(
            stacks[0].models, deltas, stacks[0].coefficients, strict=True
        )
    ]
    reference = METHODS[name](layout, listed, parameters)
    arrays = {stack.name: np.zeros(stack.base.shape) for stack in stacks}
    for (tensor, row, column), value in reference.items():
        arrays[tensor][row, column] = value
    return arrays


@pytest.mark.parametrize(("name", "parameters"), EVERY, ids=str)
@given(spec=specs())
@settings(max_examples=25)
def test_a_method_is_what_its_paper_says(name: str, parameters: object, spec: Spec) -> None:
    stacks = spec.stacks()
    if name in PAIRS:
        stacks = [_first(stack, 2) for stack in stacks]
    expected = reference(name, stacks, parameters)
    merged = merge_model(COMBINATIONS[name], stacks, parameters)
    for tensor, values in merged.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[tensor], rtol=2e-4, atol=2e-5)


def _first(stack: Stack, count: int) -> Stack:
    deltas, weights = stack.deltas[:count], stack.coefficients[:count]
    return stack_of(deltas, weights, stack.base, stack.name, stack.seed)
