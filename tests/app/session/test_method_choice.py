"""The choice of the merge method: how it uses the sliders, and what it refuses."""

from typing import Any

import pytest

from components.session.method_choice import (
    MethodChoice,
    catalogue,
    method_from_json,
    method_json,
)
from components.session.session import ModelChoice, Session
from components.work.figures import choices_json, merge_label, settings_json
from dppa_core.errors import DppaError, InvalidRecipe
from dppa_core.methods.registry import METHODS, method_names
from dppa_core.recipes.yaml_text import recipe_hash

MATH, LAW = ModelChoice("zoo:math"), ModelChoice("zoo:law", coefficient=0.5)
PAIR = (MATH, ModelChoice("zoo:law"))


DPPA = MethodChoice()


def session(method: MethodChoice = DPPA, **changes: Any) -> Session:
    return Session(**({"models": PAIR, "method": method} | changes))


@pytest.mark.parametrize("name", method_names())
def test_every_method_makes_a_recipe(name: str) -> None:
    models = PAIR[:1] if name == "passthrough" else PAIR
    recipe = session(MethodChoice(name), models=models).recipe()
    assert recipe.method == name and recipe.prune is None


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_form_of_every_method_holds_its_settings_with_their_words(method: Any) -> None:
    row = next(row for row in catalogue() if row["name"] == method.name)
    shown = [item for item in row["parameters"] if not item["elsewhere"]]
    assert [item["name"] for item in shown] == list(MethodChoice(method.name).parameters(()))
    for item in shown:
        assert item["title"] and item["help"]
        assert "choices" in item or "model" in item or item["min"] <= item["default"] <= item["max"]
    assert row["address"].startswith("https://arxiv.org/abs/") or not method.paper


def test_what_is_known_before_a_merge() -> None:
    shows = {row["name"]: row["shows"] for row in catalogue()}
    assert [name for name in shows if shows[name] == "plan"] == ["dppa", "magnitude", "owl"]
    assert [name for name in shows if shows[name] == "random"] == ["dare", "darex_q"]
    assert shows["ties"] == shows["task_arithmetic"] == "whole"
    assert MethodChoice("ties", prune_first=True).shows == "plan"


def test_dppa_stays_what_it_was() -> None:
    recipe = session(strength=0.1).recipe()
    assert recipe.method == "dppa" and recipe.parameters["strength"] == 0.1
    assert recipe.models[0].levels == (0.9, 0.8)


def test_levels_are_what_the_method_takes() -> None:
    assert session(MethodChoice("magnitude")).levels == (0.9, 0.8)
    assert session(MethodChoice("dare")).levels == (0.8,)
    assert session(MethodChoice("ties")).levels == (0.0,)
    assert session(MethodChoice("ties")).bands == (0.9, 0.8)
    assert session(MethodChoice("ties"), factors=(2.0, 1.0)).factors_of("zoo:math") == (1.0,)
    assert session(MethodChoice("dare"), factors=(2.0, 3.0)).factors_of("zoo:math") == (2.0,)


def test_dppa_comes_first_where_a_method_combines() -> None:
    staged = session(MethodChoice("ties", prune_first=True), strength=0.2, factors=(1.5, 1.0))
    recipe = staged.recipe()
    assert recipe.prune is not None and recipe.prune.method == "dppa"
    assert recipe.prune.parameters["strength"] == 0.2
    assert recipe.models[0].levels == (0.9, 0.8) and recipe.models[0].amplification == (1.5, 1.0)
    alone = session(MethodChoice("magnitude", prune_first=True)).recipe()
    assert alone.prune is None, "a method that prunes has nothing before it"


def test_settings_reach_the_recipe_and_change_its_hash() -> None:
    plain, dense = session(MethodChoice("ties")), MethodChoice("ties", (("density", 0.5),))
    assert session(dense).recipe().parameters["density"] == 0.5
    assert recipe_hash(session(dense).recipe()) != recipe_hash(plain.recipe())
    assert choices_json(session(dense)) != choices_json(plain)
    assert settings_json(plain)["pruning"] == []


def test_sliders_that_mean_nothing_to_a_method_do_not_change_its_merge() -> None:
    moved = session(MethodChoice("ties"), rate=0.5, strength=0.2, factors=(3.0, 2.0))
    assert choices_json(moved) == choices_json(session(MethodChoice("ties")))
    assert recipe_hash(moved.recipe()) == recipe_hash(session(MethodChoice("ties")).recipe())


def test_a_merge_for_one_domain_takes_the_first_that_takes_part() -> None:
    emr = MethodChoice("emr")
    assert session(emr).recipe().parameters["domain"] == "zoo:math"
    off = (ModelChoice("zoo:math", on=False), LAW)
    assert session(emr, models=off).recipe().parameters["domain"] == "zoo:law"
    zero = (ModelChoice("zoo:math", coefficient=0.0), LAW)
    assert session(emr, models=zero).recipe().parameters["domain"] == "zoo:law"
    chosen = MethodChoice("emr", (("domain", "zoo:law"),))
    assert session(chosen).recipe().parameters["domain"] == "zoo:law"
    assert merge_label(session(chosen)) == "merged for law"
    assert merge_label(session()) == "merged"


def test_each_domain_is_asked_its_own_merge_where_there_is_one() -> None:
    emr = session(MethodChoice("emr"))
    assert emr.asked_about("law").recipe().parameters["domain"] == "zoo:law"
    assert emr.asked_about("finance") == emr, "no such model in this merge"
    assert session().asked_about("law") == session()


def test_models_that_do_not_suit_a_method_are_told() -> None:
    three = (*PAIR, ModelChoice("zoo:finance"))
    with pytest.raises(InvalidRecipe, match="slerp goes from one model"):
        session(MethodChoice("slerp"), models=three).recipe()


def test_what_the_form_shows_reads_back_the_same() -> None:
    for choice in (MethodChoice(), MethodChoice("ties", (("density", 0.5),), prune_first=True)):
        assert method_from_json(method_json(choice)) == choice


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "ties",
        {},
        {"method": None},
        {"method": "tiess"},
        {"method": ["ties"]},
        {"method": "ties", "values": [1]},
        {"method": "ties", "values": {"density": 2}},
        {"method": "ties", "values": {"density": "0.5"}},
        {"method": "ties", "values": {"density": True}},
        {"method": "ties", "values": {"density": float("nan")}},
        {"method": "ties", "values": {"density": [0.5]}},
        {"method": "ties", "values": {"semantics": "mine"}},
        {"method": "ties", "values": {"nothing": 1}},
        {"method": "ties", "values": {str(n): 1 for n in range(40)}},
        {"method": "consensus", "values": {"agreement": 1.5}},
        {"method": "emr", "values": {"domain": "x" * 5000}},
        {"method": "emr", "values": {"domain": "a\nb"}},
    ],
)
def test_a_method_the_page_would_not_send_is_refused(value: object) -> None:
    with pytest.raises(DppaError):
        method_from_json(value)
