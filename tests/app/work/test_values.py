"""Values sent to the browser: plans, conversations, scores."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.session.presets import first_session
from components.views.score.score_values import (
    ScoreProgress,
    retention_sentence,
    score_value,
)
from components.views.see.see import exact_payload, plots_payload
from components.widgets.browser_parts import pack
from components.widgets.header import status_value
from components.widgets.scripts import script_tags, sources
from components.widgets.theme import model_colours, page_head
from components.work.figures import exact_value, plan_value, short_name
from components.work.studio import Studio
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks import items


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=False)


def test_the_exact_numbers_are_those_of_the_plans(studio: Studio) -> None:
    session = first_session()
    value = json.loads(pack(exact_payload(session, studio)))
    plans = [
        studio.plan(session.base, m.reference, session.levels, session.pruning)
        for m in session.active
    ]
    assert value["kept"] == sum(plan.kept for plan in plans)
    assert value["numel"] == sum(plan.numel for plan in plans)
    assert value["recipe"] == recipe_hash(session.recipe())
    cells = {(layer, kind): kept for layer, kind, kept, _ in value["plans"]["zoo:math"]["cells"]}
    for module in plans[0].modules:
        expected = module.kept / module.numel
        assert cells[module.layer, module.kind] == pytest.approx(expected, rel=1e-4)


def test_the_head_tells_models_from_merges_in_memory() -> None:
    memory = (("zoo:base", "44cb05a1" * 8, "/models/my-law"), 3_000_000)
    loaded = status_value(ready=True, memory=memory)["loaded"]
    assert loaded == {"models": ["zoo:base", "/models/my-law"], "merges": 1, "bytes": 3_000_000}
    assert "loaded" not in status_value(ready=True)


def test_levels_nest_in_every_layer(studio: Studio) -> None:
    session = first_session()
    levels = (0.95, 0.9, 0.8)
    plan = studio.plan(session.base, "zoo:law", levels, session.pruning)
    bands = plan_value(plan)["bands"]
    assert len(bands) == 3
    for inner, outer in zip(bands, bands[1:], strict=False):
        assert all(a <= b for a, b in zip(inner, outer, strict=True))


def test_nothing_to_merge_is_said_and_still_drawn(studio: Studio) -> None:
    session = first_session()
    plans = {
        m.reference: studio.plan("zoo:base", m.reference, (0.8,), session.pruning)
        for m in session.models
    }
    sizes = {name: {m.name: m.numel for m in plan.modules} for name, plan in plans.items()}
    drawn = {name: plan_value(plan) for name, plan in plans.items()}
    value = exact_value(session, sizes, drawn, "", "No domain model is switched on.")
    assert value["recipe"] == "" and value["problem"] and value["kept"] > 0


def test_the_tables_of_all_models_are_small_enough_to_send(studio: Studio) -> None:
    text = pack(plots_payload(first_session(), studio))
    assert set(json.loads(text)["tables"]) == {"zoo:math", "zoo:finance", "zoo:law"}
    assert len(text) < 100_000


def test_a_model_is_called_by_its_last_name() -> None:
    assert short_name("zoo:math") == "math"
    assert short_name("/models/my-law/") == "my-law"
    assert short_name("/") == "/"


@pytest.mark.parametrize("name", ["merged", "base", "math"])
def test_a_folder_whose_name_is_taken_is_called_by_two_folders(name: str) -> None:
    assert short_name(f"/models/mine/{name}") == f"mine/{name}"
    assert short_name(f"hub:acme/{name}@{'a' * 40}") == f"acme/{name}"


def test_an_embedded_model_keeps_its_colour_whoever_stands_beside_it() -> None:
    alone = model_colours(("zoo:law",))
    among = model_colours(("/a", "zoo:law", "/b"))
    assert alone["zoo:law"] == among["zoo:law"]
    assert len(set(among.values())) == 3


def test_nothing_is_loaded_from_elsewhere() -> None:
    ours = [text for name, text in sources().items() if not name.startswith("learn/")]
    text = page_head() + script_tags() + "".join(ours)
    text = text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text and "https://" not in text
    assert "innerHTML" not in text and "insertAdjacentHTML" not in text


def test_a_row_has_a_mean_once_all_its_cells_are_there() -> None:
    recipe, questions = first_session().recipe(), {d: items(d, "test", 4) for d in ("math", "law")}
    rows = (Entrant("recipe", "merged", recipe), Entrant("zoo:math", "math", "zoo:math"))
    half, whole = (Marks(hits, (1.0,) * 4, (1,) * 4) for hits in ((True, False) * 2, (True,) * 4))
    marks = {("recipe", "math"): half, ("recipe", "law"): whole}
    value = score_value(SideBySide("test", rows, questions, marks), "running", 4)
    merged, math = value["rows"]
    assert (merged["target"], merged["recipe"]) == ("merged", recipe_hash(recipe))
    assert merged["mean"] == 0.75 and [cell["n"] for cell in merged["cells"]] == [4, 4]
    assert math["cells"] == [None, None] and math["mean"] is None and math["recipe"] == ""


def test_retention_is_told_with_its_interval_and_the_worst_domain() -> None:
    math = {"value": 0.8, "ci95": [0.7, 0.9]}
    law = {"value": 0.5, "ci95": [0.4, 0.6]}
    row = {
        "domains": {
            "math": {"retention": math},
            "law": {"retention": law},
            "art": {"retention": None},
        },
        "mean_retention": {"value": 0.632, "ci95": [0.55, 0.71]},
    }
    sentence = retention_sentence(row)
    assert sentence == (
        "Retention: this merge keeps 63\u202f% (55–71) of its models' own accuracy; "
        "least in law, 50\u202f% (40–60)."
    )
    assert retention_sentence({**row, "mean_retention": None}) == ""
    assert retention_sentence({**row, "domains": {"art": {"retention": None}}}) == ""


def test_the_time_left_follows_the_pace_measured_so_far() -> None:
    begun = ScoreProgress("scoring", left=60)
    assert begun.seconds_left() is None
    assert begun.after(4, 0.4).seconds_left() is None  # too little to go by
    assert begun.after(10, 5.0).seconds_left() == pytest.approx(25)
    assert begun.after(60, 30.0).seconds_left() == 0
