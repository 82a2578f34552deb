"""A whole session as a value: round trips, and refusals of invalid values."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.session.method_choice import MethodChoice
from components.session.presets import all_presets, first_session
from components.session.session import MOST_OVERRIDES, ModelChoice, Session
from components.session.state import session_from_state, state_of
from components.views.see.see import exact_payload
from components.work.figures import choices_json, exact_value, settings_json
from components.work.studio import Studio
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.yaml_text import Override, dump_recipe, parse_recipe, recipe_hash

DOWN = "layers.3.mlp.down_proj"
RICH = Session(
    models=(
        ModelChoice("zoo:math", curve=((0, 1.0), (2, 0.5), (5, 0.8))),
        ModelChoice("zoo:law", on=False, coefficient=-0.5),
    ),
    rate=0.855,
    partitions=3,
    shares=(0.25, 0.6),
    strength=0.2,
    k_layer=4.5,
    significance="random",
    linked=False,
    factors=(1.5, 1.0, 1.0),
    own_factors=(("zoo:law", (3.0, 2.0, 1.0)),),
    method=MethodChoice("ties", (("density", 0.3),), prune_first=True),
    overrides=((DOWN, 0.5), ("layers.0.mlp.up_proj", 1.0)),
)


def through_text(session: Session) -> Session:
    return session_from_state(json.loads(json.dumps(state_of(session))))


def test_everything_a_session_says_comes_back() -> None:
    after = through_text(RICH)
    assert after == RICH
    assert recipe_hash(after.recipe()) == recipe_hash(RICH.recipe())


@pytest.mark.parametrize("title", all_presets())
def test_every_preset_comes_back(title: str) -> None:
    assert through_text(all_presets()[title]) == all_presets()[title]


def test_a_plain_session_is_a_few_hundred_characters() -> None:
    assert len(json.dumps(state_of(first_session()), separators=(",", ":"))) < 600


def test_factors_of_models_that_are_gone_stay_behind() -> None:
    own = (("zoo:math", (2.0, 1.0)), ("zoo:law", (3.0, 1.0)))
    session = Session(models=(ModelChoice("zoo:math"),), linked=False, own_factors=own)
    assert list(state_of(session)["amplify"]["own"]) == ["zoo:math"]


MATH = {"ref": "zoo:math", "on": True, "coefficient": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 2}, "version 2"),
        ({"v": True}, "version True"),
        ({"v": "1"}, "version"),
        ({"rates": 0.8}, "no key"),
        ({"rate": 80}, "rate must be"),
        ({"rate": float("nan")}, "rate must be"),
        ({"rate": "0.8"}, "rate must be"),
        ({"partitions": 2.5}, "whole number"),
        ({"partitions": 9}, "partitions must be"),
        ({"shares": 0.5}, "shares"),
        ({"shares": [0.5, 0.5]}, "rising"),
        ({"shares": [0.2, 0.4, 0.6, 0.8]}, "up to 3"),
        ({"shares": [True]}, "share"),
        ({"strength": 0.9}, "strength"),
        ({"k_layer": 50}, "k_layer"),
        ({"significance": "size"}, "significance"),
        ({"significance": ["magnitude"]}, "significance"),
        ({"models": []}, "1 to 5"),
        ({"models": [MATH] * 2}, "already"),
        ({"models": [MATH | {"coefficient": 7}]}, "Coefficient of zoo:math"),
        ({"models": [MATH | {"coefficient": None}]}, "Coefficient of zoo:math"),
        ({"models": [MATH | {"curve": [[0, 1]]}]}, "2 to"),
        ({"models": [MATH | {"curve": [[1, 1], [5, 1]]}]}, "rise from 0"),
        ({"models": [MATH | {"curve": [[0, 1], [5, 1], [5, 0]]}]}, "rise from 0"),
        ({"models": [MATH | {"curve": [[0, 1], [2.5, 1]]}]}, "counted from 0"),
        ({"models": [MATH | {"curve": [[0, 1], [5, 9]]}]}, "at layer 5"),
        ({"models": [MATH | {"curve": ["ab", "cd"]}]}, "a point"),
        ({"models": [MATH | {"curve": "0101"}]}, "list of up to"),
        ({"base": "zoo:math"}, "base and a domain model"),
        ({"amplify": {"factors": [9]}}, "Amplification"),
        ({"amplify": None}, "unreadable"),
        ({"method": {"method": "tyes"}}, "tyes"),
        ({"method": {"method": "ties", "values": {"density": 7}}}, "density"),
        ({"overrides": {DOWN: 1.5}}, DOWN),
        ({"overrides": {DOWN: None}}, DOWN),
        ({"overrides": {"": 0.5}}, "A module is a name"),
        ({"overrides": {f"m{i}": 0.5 for i in range(MOST_OVERRIDES + 1)}}, "At most"),
        ({"overrides": [DOWN]}, "unreadable"),
    ],
)
def test_a_state_nobody_would_write_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DppaError, match=words):
        session_from_state(state_of(first_session()) | change)


@pytest.mark.parametrize("value", [None, [], "v1", 3, {}])
def test_what_is_no_state_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        session_from_state(value)


# overrides


def test_an_override_is_in_the_recipe_as_recipes_have_it() -> None:
    session = Session(models=(ModelChoice("zoo:math"),), overrides=((DOWN, 0.5),))
    recipe = session.recipe()
    assert recipe.overrides == {DOWN: Override(0.5)}
    assert parse_recipe(dump_recipe(recipe)) == recipe


def test_an_override_waits_where_the_method_prunes_nothing() -> None:
    plain = Session(
        models=(ModelChoice("zoo:math"),),
        overrides=((DOWN, 0.5),),
        method=MethodChoice("task_arithmetic"),
    )
    assert plain.recipe().overrides == {} and plain.overrides == ((DOWN, 0.5),)
    assert choices_json(plain)["overrides"] == []


@pytest.fixture
def studio(zoo_env: Path) -> Studio:
    return Studio(public=False)


def test_the_exact_numbers_know_the_override(studio: Studio) -> None:
    session = Session(models=(ModelChoice("zoo:math"),))
    name = studio.profile("zoo:base", "zoo:math").modules[0].module.name
    held = Session(models=session.models, overrides=((name, 0.1),))
    value = exact_payload(held, studio)
    plan = plan_pruning(
        studio.profile("zoo:base", "zoo:math"), held.levels, held.parameters, {name: Override(0.1)}
    )
    assert value["kept"] == plan.kept and plan.modules[0].rate == pytest.approx(0.1)
    assert value["plans"] != exact_payload(session, studio)["plans"]
    assert settings_json(held)["overrides"] == [[name, 0.1]]
    assert value["recipe"] == recipe_hash(held.recipe())


def test_an_override_of_no_module_is_told_and_the_rest_still_drawn(studio: Studio) -> None:
    session = Session(models=(ModelChoice("zoo:math"),), overrides=(("layers.99.nothing", 0.1),))
    value = exact_payload(session, studio)
    assert "layers.99.nothing" in value["problem"] and value["recipe"] == ""


def test_what_is_drawn_at_random_keeps_the_share_of_its_own_rate() -> None:
    session = Session(
        models=(ModelChoice("zoo:math"),),
        method=MethodChoice("dare"),
        overrides=(("a", 0.25),),
    )
    value = exact_value(session, {"zoo:math": {"a": 100, "b": 200}}, {}, "")
    assert value["kept"] == 75 + 40 and value["numel"] == 300


# coefficients by layer


def test_a_curve_is_in_the_recipe_layer_by_layer() -> None:
    (model,) = RICH.recipe().models
    assert model.coefficient == {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.6, 4: 0.7, 5: 0.8}


def test_a_curve_at_zero_everywhere_takes_no_part() -> None:
    flat = ModelChoice("zoo:math", curve=((0, 0.0), (5, 0.0)))
    assert (
        not flat.decides and ModelChoice("zoo:math", coefficient=0, curve=((0, 0), (5, 1))).decides
    )


def test_a_flat_curve_is_its_number() -> None:
    curve = ((0, 0.5), (2, 0.5), (5, 0.5))
    assert ModelChoice("zoo:math", curve=curve) == ModelChoice("zoo:math", coefficient=0.5)


def test_the_browser_compares_the_points_and_the_number_beside_them_does_not_count() -> None:
    curve = ((0, 1.0), (5, 0.2))
    one = Session(models=(ModelChoice("zoo:math", coefficient=0.3, curve=curve),))
    other = Session(models=(ModelChoice("zoo:math", curve=curve),))
    assert choices_json(one) == choices_json(other)
    assert choices_json(one)["models"][0][1] == [[0, 1.0], [5, 0.2]]
