"""The model card: front matter the Hub reads, licences, the recipe."""

import yaml

from dppa_core.card import model_card
from dppa_core.provenance import Parent
from dppa_core.recipe import DomainModel, MergeRecipe

PINNED = "hub:owner/base@" + "a" * 40


def front(card: str) -> dict[str, object]:
    values = yaml.safe_load(card.split("---")[1])
    assert isinstance(values, dict)
    return values


def recipe(base: str = "zoo:base", model: str = "zoo:math") -> MergeRecipe:
    return MergeRecipe(base, (DomainModel(model, (0.9, 0.8), (1.5, 1.0), 0.7),))


def test_models_of_the_hub_are_listed_as_parents_without_their_revision() -> None:
    values = front(model_card(recipe(PINNED, "hub:other/law@main")))
    assert values["base_model"] == ["owner/base", "other/law"]
    assert values["base_model_relation"] == "merge"


def test_models_the_hub_does_not_know_are_no_parents_there() -> None:
    values = front(model_card(recipe()))
    assert "base_model" not in values and "base_model_relation" not in values


def test_adapters_are_named_and_are_parents_too() -> None:
    adapted = f"{PINNED}+hub:some/math-lora@{'b' * 40}"
    card = model_card(recipe(PINNED, adapted))
    assert front(card)["base_model"] == ["owner/base", "some/math-lora"]
    assert "# base merged with base+math-lora\n" in card


def test_a_licence_of_its_own_keeps_its_name() -> None:
    values = front(model_card(recipe(), parents=(Parent("zoo:base", "other (tiny-1.0)"),)))
    assert (values["license"], values["license_name"]) == ("other", "tiny-1.0")


def test_the_licence_is_the_parents() -> None:
    parents = (Parent("zoo:base", "apache-2.0"), Parent("zoo:math", "mit"))
    card = model_card(recipe(), parents=parents)
    assert front(card)["license"] == "apache-2.0"
    assert "| `zoo:math` | mit |" in card


def test_a_conflict_of_licences_is_said_in_bold() -> None:
    parents = (Parent("zoo:base", "llama2"), Parent("zoo:math", "gpl-3.0"))
    card = model_card(recipe(), parents=parents)
    assert front(card)["license"] == "other"
    assert "**The parents' licences differ" in card


def test_a_parent_without_a_licence_is_shown_as_such() -> None:
    card = model_card(recipe(), parents=(Parent("zoo:base", "mit"), Parent("zoo:math", None)))
    assert "license" not in front(card)
    assert "| `zoo:math` | not stated |" in card and "Ask the authors" in card


def test_the_table_shows_what_was_set() -> None:
    assert "| `zoo:math` | 0.9, 0.8 | 1.5, 1 | 0.7 | - | - |" in model_card(recipe())


def test_a_reference_cannot_break_the_table() -> None:
    card = model_card(recipe(model="a|b`c"))
    assert "| `a\\|b'c` |" in card
