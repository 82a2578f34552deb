"""Rates of single modules and coefficients by layer, in store, plan and recipe."""

import pytest

from components.session.presets import first_session
from components.session.state import session_from_state, state_of
from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.yaml_text import Override, recipe_hash
from tests.e2e.page_driver import Studio

DOWN = "layers.3.mlp.down_proj"


def wait_recipe(studio: Studio, recipe: str) -> None:
    studio.page.locator(f'#status [data-recipe="{recipe}"]').wait_for(state="attached")
    studio.wait_exact()


@pytest.mark.long
def test_a_rate_of_its_own_is_in_the_plan_and_one_click_takes_it_away(studio: Studio) -> None:
    studio.wait_exact(80)
    before = studio.recipe
    studio.choose("focus", "zoo:math")
    studio.choose("quantity", "density")
    studio.page.evaluate("name => window.dppa.override(name, 0.25)", DOWN)
    held = session_from_state(state_of(first_session()) | {"overrides": {DOWN: 0.25}})
    wait_recipe(studio, recipe_hash(held.recipe()))
    overrides = {DOWN: Override(0.25)}
    profile = ranked_profile("zoo:base", "zoo:math", "magnitude")
    plan = plan_pruning(profile, held.levels, held.parameters, overrides)
    cells = studio.cells()
    assert cells[(3, "down")] == pytest.approx(0.75, abs=1e-3)
    for module in plan.modules:
        shown = cells[(module.layer, module.kind)]
        assert shown == pytest.approx(module.kept / module.numel, abs=1e-3), module.name
    line = studio.page.locator("#overrides")
    assert "1 matrix has a rate of its own" in line.inner_text()
    studio.page.locator("#overrides-clear").click()
    wait_recipe(studio, before)
    assert not line.locator(".overrides-line").is_visible()
