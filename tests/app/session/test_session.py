"""A visitor's choices: the recipe they make, and refusals."""

from dataclasses import replace

import pytest

from components.session.json_form import (
    factors_from_json,
    factors_json,
    models_from_json,
    models_json,
    parsed,
    shares_from_text,
)
from components.session.link import session_from_link
from components.session.presets import all_presets, first_session
from components.session.session import ModelChoice, Session
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipes.yaml_text import recipe_hash
from tests.helpers.links import link_of

MATH, LAW = ModelChoice("zoo:math"), ModelChoice("zoo:law", coefficient=0.5)


def session(**changes: object) -> Session:
    return Session(**({"models": (MATH, LAW)} | changes))  # type: ignore[arg-type]


def test_eighty_percent_in_two_partitions_is_ninety_and_eighty() -> None:
    assert session().levels == (0.9, 0.8)


def test_shares_of_the_kept_part_follow_the_rate() -> None:
    assert session(shares=(0.25,)).levels == (0.95, 0.8)
    assert session(rate=0.6, shares=(0.25,)).levels == (0.9, 0.6)


def test_levels_as_people_write_them() -> None:
    assert shares_from_text("95 %, 80%") == (0.8, (0.25,))
    assert shares_from_text("80") == (0.8, ())


@pytest.mark.parametrize("text", ["80, 95", "80, 80", "120, 50", "abc", "99.9", "", "9,8,7,6,5"])
def test_impossible_levels_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        shares_from_text(text)


def test_levels_written_as_shares_are_told_from_percentages() -> None:
    with pytest.raises(InvalidValue, match="per cent"):
        shares_from_text("0.9, 0.8")
    assert shares_from_text("0") == (0.0, ())


def test_a_model_that_is_off_is_not_in_the_recipe() -> None:
    recipe = session(models=(MATH, ModelChoice("zoo:law", on=False))).recipe()
    assert [model.model for model in recipe.models] == ["zoo:math"]


def test_with_every_model_off_there_is_nothing_to_merge() -> None:
    with pytest.raises(InvalidValue, match="switched on"):
        session(models=(ModelChoice("zoo:law", on=False),)).recipe()


def test_factors_are_shared_until_they_are_not() -> None:
    own = (("zoo:law", (3.0, 2.0)),)
    linked = session(factors=(1.5, 1.0), own_factors=own)
    assert linked.factors_of("zoo:law") == (1.5, 1.0)
    apart = session(linked=False, factors=(1.5, 1.0), own_factors=own)
    assert apart.factors_of("zoo:law") == (3.0, 2.0)
    assert apart.factors_of("zoo:math") == (1.5, 1.0)


def test_a_new_partition_starts_at_one() -> None:
    assert session(partitions=3, factors=(2.0,)).factors_of("zoo:math") == (2.0, 1.0, 1.0)


def test_what_the_page_shows_reads_back_the_same() -> None:
    own = (("zoo:math", (2.0, 1.0)),)
    before = session(linked=False, own_factors=own, chat_template="zoo:math")
    after = session(
        **models_from_json(models_json(before)) | factors_from_json(factors_json(before))
    )
    assert after == before
    assert recipe_hash(after.recipe()) == recipe_hash(before.recipe())


def test_the_recipe_names_the_chosen_chat_template_while_its_model_takes_part() -> None:
    chosen = session(chat_template="zoo:law")
    assert chosen.recipe().chat_template == "zoo:law"
    assert session(chat_template="base").recipe().chat_template == "base"
    off = tuple(replace(model, on=model.reference != "zoo:law") for model in chosen.models)
    assert replace(chosen, models=off).recipe().chat_template == "auto"


def test_number_format_and_heads_reach_the_recipe_and_come_back() -> None:
    before = session(dtype="float32", heads="base")
    assert (before.recipe().dtype, before.recipe().heads) == ("float32", "base")
    assert session_from_link(link_of(before)) == before
    usual = models_json(session())
    assert "dtype" not in usual and "heads" not in usual
    with pytest.raises(InvalidValue, match="heads must be one of match, base, got 'drop'"):
        session(heads="drop")


@pytest.mark.parametrize("template", ["zoo:finance", 3, None, ["base"]])
def test_a_chat_template_of_no_listed_model_becomes_automatic(template: object) -> None:
    listed = [{"ref": "zoo:math", "coefficient": 1}]
    value = {"base": "zoo:base", "models": listed, "template": template}
    assert models_from_json(value)["chat_template"] == "auto"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"base": "zoo:base", "models": "all"},
        {"base": "", "models": []},
        {"base": "zoo:base", "models": [{"ref": "zoo:math", "coefficient": 7}]},
        {"base": "zoo:base", "models": [{"ref": "zoo:math", "coefficient": "1"}]},
        {"base": "zoo:base", "models": [{"ref": "a\nb", "coefficient": 1}]},
        {"base": "zoo:base", "models": [{"ref": "x", "coefficient": 1}] * 6},
    ],
)
def test_a_list_of_models_the_page_would_not_send_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        models_from_json(value)


@pytest.mark.parametrize("factors", [None, "11", [9.0], [-1.0], [True], [1.0] * 5, [float("nan")]])
def test_factors_the_page_would_not_send_are_refused(factors: object) -> None:
    with pytest.raises(InvalidValue):
        factors_from_json({"linked": True, "factors": factors})


@pytest.mark.parametrize("value", [None, 3, "{", "x" * 200_000, "[" * 90_000])
def test_text_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue):
        parsed(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 1.0},
        {"rate": -0.1},
        {"partitions": 0},
        {"partitions": 9},
        {"strength": 0.9},
        {"models": ()},
        {"models": (MATH, MATH)},
    ],
)
def test_a_session_outside_its_ranges_cannot_exist(changes: dict[str, object]) -> None:
    with pytest.raises(DppaError):
        session(**changes)


def test_every_preset_is_a_merge_and_the_first_shows_the_whole_zoo() -> None:
    for title, preset in all_presets().items():
        assert title and recipe_hash(preset.recipe())
    first = first_session()
    assert [model.reference for model in first.models] == ["zoo:math", "zoo:finance", "zoo:law"]
    assert first.active == first.models
    assert first.rate == 0.8
