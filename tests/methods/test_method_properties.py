"""Properties of every method: by blocks, in any order of models, in simple cases."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings

from dppa_core.methods import breadcrumbs, dare_ties, della, pcb, sce, ties
from dppa_core.methods.cabs import CabsParameters
from dppa_core.methods.consensus import ConsensusParameters
from dppa_core.methods.della_linear import DellaLinearParameters
from dppa_core.methods.emr import EmrParameters
from dppa_core.methods.karcher import KarcherParameters
from dppa_core.methods.linear import LinearParameters
from dppa_core.methods.lines import LinesParameters
from dppa_core.methods.localize_and_stitch import LocalizeAndStitchParameters
from dppa_core.methods.magmax import MagmaxParameters
from dppa_core.methods.model_stock import ModelStockParameters
from dppa_core.methods.multislerp import MultislerpParameters
from dppa_core.methods.nuslerp import NuslerpParameters
from dppa_core.methods.ram import RamParameters
from dppa_core.methods.ramplus_tl import RamplusTlParameters
from dppa_core.methods.shared.stack import Stack
from dppa_core.methods.slerp import SlerpParameters
from tests.reference.method_cases import COMBINATIONS, EVERY, ORDERED, PAIRS
from tests.reference.random_stacks import Spec, specs
from tests.reference.stacks import merge_model, stack_of

UNORDERED = [case for case in EVERY if case[0] not in ORDERED]

IDENTITIES = [
    ("linear", LinearParameters()),
    ("slerp", SlerpParameters(1.0)),
    ("ties", ties.TiesParameters(1.0)),
    ("ties", ties.TiesParameters(1.0, "tensor", semantics="mergekit")),
    ("dare_ties", dare_ties.DareTiesParameters(0.0, 1.0)),
    ("dare_ties", dare_ties.DareTiesParameters(0.0, semantics="mergekit")),
    ("breadcrumbs", breadcrumbs.BreadcrumbsParameters(0.0, 0.0, scale=1.0)),
    ("breadcrumbs", breadcrumbs.BreadcrumbsParameters(0.0, 0.0, "row", 1.0)),
    ("della", della.DellaParameters(0.0, 0.0, 1.0)),
    ("della", della.DellaParameters(0.0, 0.0, 1.0, "mergekit")),
    ("sce", sce.SceParameters(1.0)),
    ("sce", sce.SceParameters(0.1)),
    ("consensus", ConsensusParameters(agreement=1, scale=1.0)),
    ("emr", EmrParameters("a")),
    ("emr", EmrParameters("a", "reference")),
    ("model_stock", ModelStockParameters()),
    ("nuslerp", NuslerpParameters("models")),
    ("multislerp", MultislerpParameters()),
    ("karcher", KarcherParameters()),
    ("della_linear", DellaLinearParameters(0.0, 0.0)),
    ("magmax", MagmaxParameters()),
    ("cabs", CabsParameters(1, 1)),
    ("localize_and_stitch", LocalizeAndStitchParameters(1.0)),
    ("lines", LinesParameters(1.0, 0.3)),
    ("ram", RamParameters(0.0)),
    ("ramplus_tl", RamplusTlParameters(epsilon=0.0)),
]


def _lone(spec: Spec) -> list[Stack]:
    return replace(spec, coefficients=(1.0,)).stacks()


def _two(name: str, stacks: list[Stack]) -> list[Stack]:
    return (
        [_some(stack, [0, 1][: len(stack.models)]) for stack in stacks]
        if name in PAIRS
        else (stacks)
    )


def _some(stack: Stack, models: list[int]) -> Stack:
    return replace(
        stack,
        deltas=stack.deltas[models],
        coefficients=tuple(stack.coefficients[i] for i in models),
        models=tuple(stack.models[i] for i in models),
    )


def _close(first: dict[str, np.ndarray], second: dict[str, np.ndarray], rtol: float = 1e-5) -> None:
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=rtol, atol=1e-6)


@pytest.mark.cases(8)
@pytest.mark.parametrize(("name", "parameters"), EVERY, ids=str)
@given(spec=specs())
@settings(max_examples=15)
def test_rows_in_any_portion_give_the_same(name: str, parameters: object, spec: Spec) -> None:
    stacks = _two(name, spec.stacks())
    whole = merge_model(COMBINATIONS[name], stacks, parameters)
    for rows in (1, 2):
        _close(merge_model(COMBINATIONS[name], stacks, parameters, rows), whole)


@pytest.mark.cases(8)
@pytest.mark.parametrize(("name", "parameters"), UNORDERED, ids=str)
@given(spec=specs())
@settings(max_examples=15)
def test_the_order_of_models_does_not_matter(name: str, parameters: object, spec: Spec) -> None:
    stacks = _two(name, spec.stacks())
    turned = [_some(stack, list(range(len(stack.models)))[::-1]) for stack in stacks]
    merged = merge_model(COMBINATIONS[name], stacks, parameters)
    _close(merge_model(COMBINATIONS[name], turned, parameters), merged, rtol=1e-4)


@pytest.mark.cases(8)
@pytest.mark.parametrize(("name", "parameters"), UNORDERED, ids=str)
@given(spec=specs())
@settings(max_examples=10)
def test_the_order_of_tensors_does_not_matter(name: str, parameters: object, spec: Spec) -> None:
    stacks = _two(name, spec.stacks())
    merged = merge_model(COMBINATIONS[name], stacks, parameters)
    _close(merge_model(COMBINATIONS[name], stacks[::-1], parameters), merged)


@pytest.mark.parametrize(("name", "parameters"), IDENTITIES, ids=str)
@given(spec=specs())
@settings(max_examples=15)
def test_one_whole_delta_stays_itself(name: str, parameters: object, spec: Spec) -> None:
    stacks = _lone(spec)
    for tensor, values in merge_model(COMBINATIONS[name], stacks, parameters).items():
        delta = next(stack.deltas[0] for stack in stacks if stack.name == tensor)
        np.testing.assert_allclose(values, delta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "parameters"), UNORDERED, ids=str)
@given(spec=specs(most=3))
@settings(max_examples=10)
def test_zero_deltas_leave_the_base(name: str, parameters: object, spec: Spec) -> None:
    stacks = [replace(s, deltas=0 * s.deltas, base=0 * s.base) for s in _two(name, spec.stacks())]
    for values in merge_model(COMBINATIONS[name], stacks, parameters).values():
        assert not values.any()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [case for case in EVERY if case[0] in ("ties", "dare_ties")],
    ids=str,
)
@given(spec=specs(most=3))
@settings(max_examples=10)
def test_a_coefficient_of_zero_neither_votes_nor_counts(
    name: str, parameters: object, spec: Spec
) -> None:
    """Surveys of the whole model include models with coefficient 0 at a tensor."""
    stacks = spec.stacks()
    rng = np.random.default_rng(spec.seed)
    joined = [
        replace(
            stack,
            deltas=np.concatenate(
                [stack.deltas, rng.normal(size=(1, *stack.base.shape)).astype(np.float32)]
            ),
            coefficients=(*stack.coefficients, 0.0),
            models=(*stack.models, "idle"),
        )
        for stack in stacks
    ]
    merged = merge_model(COMBINATIONS[name], stacks, parameters)
    _close(merge_model(COMBINATIONS[name], joined, parameters), merged)


@pytest.mark.parametrize("name", sorted(COMBINATIONS))
def test_settings_describe_themselves(name: str) -> None:
    parameters = next(case for method, case in EVERY if method == name)
    for field in fields(parameters):
        assert field.metadata["title"] and field.metadata["help"]
        assert {"choices", "min", "text"} & set(field.metadata), field.name


@given(spec=specs())
def test_exactly_as_many_as_asked_are_kept(spec: Spec) -> None:
    """Also if most magnitudes are equal, or zero."""
    for stack in _lone(spec):
        for share in (0.0, 0.2, 0.5, 0.77):
            parameters = ties.TiesParameters(share, "tensor", divide="number")
            kept = np.count_nonzero(
                merge_model(COMBINATIONS["ties"], [stack], parameters)[stack.name]
            )
            count = round(share * stack.base.size)
            assert kept == min(count, np.count_nonzero(stack.deltas))


@given(spec=specs())
def test_a_higher_density_keeps_what_a_lower_one_keeps(spec: Spec) -> None:
    for stack in _lone(spec):
        masks = [
            merge_model(COMBINATIONS["ties"], [stack], ties.TiesParameters(share))[stack.name] != 0
            for share in (0.1, 0.3, 0.6, 1.0)
        ]
        for inner, outer in zip(masks, masks[1:], strict=False):
            assert not (inner & ~outer).any()


def test_pcb_over_the_model_and_over_its_only_tensor_is_the_same() -> None:
    stack = stack_of(np.random.default_rng(0).normal(size=(3, 4, 8)))
    both = [
        merge_model(COMBINATIONS["pcb"], [stack], pcb.PcbParameters(0.3, over))[stack.name]
        for over in ("model", "tensor")
    ]
    np.testing.assert_array_equal(*both)
