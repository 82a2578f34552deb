"""Other significances on the page: progress, tables for the plots, refusals."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.session.presets import first_session
from components.session.session import ModelChoice
from components.views.controls.prune import measuring
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.calibration import Calibration, calibration_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def studio(zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))

    def short(model: str, *calibrations: Calibration | None) -> Calibration:
        return replace(calibration_of(model, *calibrations), tokens=300)

    monkeypatch.setattr("dppa_core.profiling.calibration.statistics.calibration_of", short)
    return Studio(public=True)


def choose(page: gr.Blocks, **values: Any) -> Iterator[dict[str, Any]]:
    """The page's updates after choosing a significance; by elem_id."""
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_significance"]
    inputs = {block: values.get(block.elem_id or "", block.value) for block in event.inputs}
    for step in event.fn(inputs):
        yield {block.elem_id: value for block, value in step.items()}


def test_what_is_measured_is_told_and_then_drawn(studio: Studio) -> None:
    *steps, last = list(choose(build_page(studio), significance="fisher"))
    notes = [json.loads(step["exact"])["measuring"] for step in steps]
    assert any(notes)  # how many are seen depends on the machine
    plots, exact = json.loads(last["plots"]), json.loads(last["exact"])
    assert plots["settings"]["significance"] == "fisher" and exact["measuring"] == ""
    assert exact["choices"]["parameters"][-1] == "fisher"
    session = first_session()
    profile = ranked_profile("zoo:base", "zoo:math", "fisher")
    plan = plan_pruning(profile, session.levels, replace(session, significance="fisher").parameters)
    assert exact["plans"]["zoo:math"]["kept"] == plan.kept


def test_a_random_one_needs_no_measuring_and_known_ones_none_again(studio: Studio) -> None:
    session = replace(first_session(), significance="activation")
    assert list(measuring(session, studio))
    assert not list(measuring(session, studio))
    plain = replace(session, significance="random")
    assert not [note for note in measuring(plain, studio) if "text" in note]


def test_a_model_without_a_text_goes_back_to_magnitude(zoo_env: Path, tiny_zoo: Path) -> None:
    local = Studio(public=False)
    models = json.dumps(
        {
            "base": "zoo:base",
            "models": [{"ref": str(tiny_zoo / "law"), "on": True, "coefficient": 1.0}],
        }
    )
    steps = choose(build_page(local), significance="activation", models=models)
    updates = next(steps)
    while "significance" not in updates:
        updates = next(steps)
    assert updates["significance"] == "magnitude"
    assert json.loads(updates["plots"])["settings"]["significance"] == "magnitude"
    with pytest.raises(gr.Error, match="needs calibration text"):
        next(steps)


def test_a_significance_nobody_offers_is_refused() -> None:
    with pytest.raises(InvalidValue, match="significance must be one of magnitude, fisher"):
        replace(first_session(), significance="size")


def test_the_recipe_says_what_ranks() -> None:
    session = replace(first_session(), models=(ModelChoice("zoo:math"),))
    assert session.recipe().significance == "magnitude"
    assert replace(session, significance="fisher").recipe().significance == "fisher"
