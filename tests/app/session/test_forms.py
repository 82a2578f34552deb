"""Forms that keep a delta: from a recipe to the page's controls, and back."""

from pathlib import Path

import pytest

from components.session.forms import FORM_CONTROLS, on_base
from components.session.from_recipe import session_from_recipe
from components.session.nearest import nearest_session, within_controls
from components.session.session import ModelChoice, Session
from components.session.state import session_from_state, state_of
from components.widgets.theme import COLOURS_OF_MODELS, model_colours
from components.work.studio import Studio
from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.forms.registry import FORMS
from dppa_core.forms.store import parse_store_text
from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe

LAYERS = 6
HEAD = "dppa: 1\nmethod: task_arithmetic\n"
KEPT = "kept:low_rank(rank=16) of zoo:math on zoo:base"


def recipe(store: str) -> str:
    return f"{HEAD}base: zoo:base\nmodels: [{{model: zoo:math, store: {store}}}]\n"


@pytest.mark.parametrize("control", FORM_CONTROLS, ids=lambda control: control.form)
def test_the_usual_setting_of_every_control_is_a_store_with_a_control(control) -> None:
    store = f"{control.form}({control.setting}={control.usual})"
    kept = f"kept:{store} of zoo:math on zoo:base"
    assert str(parse_store_text(store)) == store
    assert parse_store_text(store).parts[0].form.title.lower() == control.title
    session = Session(models=(ModelChoice(kept),))
    text = dump_recipe(session.recipe())
    assert f"form: {control.form}" in text and "kept:" not in text
    assert session_from_recipe(parse_recipe(text), LAYERS).models[0].reference == kept
    assert session_from_state(state_of(session)) == session


@pytest.mark.parametrize(
    ("store", "kept"),
    [
        ("[{form: low_rank, rank: 8}, {form: bits}]", "low_rank(rank=8)+bits(bits=1)"),
        ("{form: bits, bits: 4, block: block}", "bits(bits=4,block=block)"),
        ("{form: sparse, rate: 0.9, strength: 0.08}", "sparse(rate=0.9,strength=0.08)"),
    ],
)
def test_a_store_without_a_slider_stays_as_the_recipe_has_it(store: str, kept: str) -> None:
    whole = parse_recipe(recipe(store))
    session, beyond = nearest_session(whole, within_controls(whole), LAYERS)
    assert beyond == ""
    assert session.models[0].reference == f"kept:{kept} of zoo:math on zoo:base"


def test_every_form_has_a_control() -> None:
    assert sorted(row.form for row in FORM_CONTROLS) == sorted(form.name for form in FORMS)


def test_a_delta_from_another_base_than_the_recipes_is_named() -> None:
    whole = parse_recipe(f"{HEAD}base: zoo:law\nmodels: [{{model: '{KEPT}'}}]\n")
    session, beyond = nearest_session(whole, within_controls(whole), LAYERS)
    assert "a delta from zoo:base, and here from zoo:law" in beyond
    moved = KEPT.replace("on zoo:base", "on zoo:law")
    assert session.models[0].reference == on_base(KEPT, "zoo:law") == moved


def test_a_kept_model_is_its_model_to_the_page() -> None:
    assert whole_model(KEPT) == whole_model("zoo:math") == "zoo:math"
    assert zoo_domain(KEPT) == "math"
    assert model_colours((KEPT,)) == {KEPT: COLOURS_OF_MODELS["zoo:math"]}
    with pytest.raises(InvalidValue, match="already"):
        Session(models=(ModelChoice(KEPT), ModelChoice("zoo:math")))
    row = {"ref": "kept:low_rank(rank=16)", "coefficient": 1.0}
    with pytest.raises(DppaError, match="is written as"):
        session_from_state({"v": 1, "base": "zoo:base", "models": [row]})


def test_a_moving_slider_never_measures_a_form_on_a_public_page(zoo_env: Path) -> None:
    studio = Studio(public=True)
    studio.check_at_hand("zoo:base", ("zoo:math",), "magnitude")
    for name in (KEPT, "kept:bits(bits=1) of ./own on zoo:base"):
        with pytest.raises(DppaError, match="not measured yet|are not offered"):
            studio.check_at_hand("zoo:base", (name,), "magnitude")
    studio.profile("zoo:base", KEPT)
    Studio(public=True).check_at_hand("zoo:base", (KEPT,), "magnitude")  # from the disk
