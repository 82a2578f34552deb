"""Plans: budget, nesting, overrides, exported form."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import UnknownName
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.recipes.yaml_text import DomainModel
from tests.helpers.random_profiles import DELTA_LISTS, LEVELS, pair, profile_of


@given(DELTA_LISTS, LEVELS, st.sampled_from(["exact", "prune"]))
def test_levels_of_every_module_nest(
    tensors: list[np.ndarray], levels: tuple[float, ...], ties: str
) -> None:
    for module in plan_pruning(pair(tensors), levels, PruningParameters(ties=ties)).modules:
        kept = [level.kept for level in module.levels]
        thresholds = [level.threshold for level in module.levels]
        assert kept == sorted(kept) and thresholds == sorted(thresholds, reverse=True)
        assert sum(module.partitions) == module.kept


@given(DELTA_LISTS, st.floats(0, 0.99))
def test_the_budget_is_met_up_to_rounding_and_zeros(tensors: list[np.ndarray], rate: float) -> None:
    plan = plan_pruning(pair(tensors), (rate,))
    planned = sum(module.density * module.numel for module in plan.modules)
    assert planned == pytest.approx((1 - rate) * plan.numel, rel=1e-9, abs=1e-9)
    for module, item in zip(plan.modules, pair(tensors).modules, strict=True):
        assert module.kept == min(round(module.density * module.numel), item.nonzero)
    assert 0 <= plan.energy <= 1 and 0 <= plan.density <= 1


@given(DELTA_LISTS, st.floats(0, 0.99))
def test_a_plan_does_not_depend_on_the_order_of_modules(
    tensors: list[np.ndarray], rate: float
) -> None:
    turned = DeltaProfile("base", "tuned", pair(tensors).modules[::-1], 0)
    densities = {m.name: m.density for m in plan_pruning(pair(tensors), (rate,)).modules}
    theirs = {m.name: m.density for m in plan_pruning(turned, (rate,)).modules}
    assert densities == pytest.approx(theirs, abs=1e-9)


def two_modules() -> DeltaProfile:
    rng = np.random.default_rng(0)
    tensors = [rng.normal(size=1000).astype(np.float32) for _ in range(2)]
    return DeltaProfile("b", "t", tuple(profile_of(d, i) for i, d in enumerate(tensors)), 0)


def test_an_override_holds_and_the_rest_makes_up_for_it() -> None:
    name = two_modules().modules[0].module.name
    plan = plan_pruning(two_modules(), (0.9, 0.8), overrides={name: Override(0.7)})
    assert [level.kept for level in plan.modules[0].levels] == [150, 300]
    assert [level.kept for level in plan.modules[1].levels] == [50, 100]


def test_an_override_for_no_module_is_refused() -> None:
    with pytest.raises(UnknownName, match="layers.0.up_porj.*Did you mean 'layers.0.up_proj'"):
        plan_pruning(two_modules(), (0.5,), overrides={"layers.0.up_porj": Override(0.5)})


def test_the_form_others_build_on() -> None:
    value = plan_pruning(two_modules(), (0.8,)).to_json()
    module = value["modules"][0]
    keys = "name layer kind numel significance density rate threshold kept".split()
    assert set(keys) <= set(module)
    assert value["density"] == 0.2 and isinstance(module["kept"], int)
    assert module["rate"] == pytest.approx(1 - module["density"])


def test_levels_are_checked_once_from_recipe_to_plan() -> None:
    model = DomainModel("zoo:math", (0.9, 0.8))
    again = replace(model, model="zoo:law")  # as when a recipe is pinned
    tensors = [np.arange(10, dtype=np.float32)]
    assert plan_pruning(pair(tensors), again.levels).levels is again.levels is model.levels
