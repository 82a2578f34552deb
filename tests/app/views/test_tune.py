"""Restoring a whole session from the bar, a link or a recipe; handlers only."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.session.presets import first_session
from components.session.session import ModelChoice, Session
from components.session.state import session_from_state, state_of
from components.views.controls.models import with_pins
from components.views.controls.whole_states import MAX_RECIPE_CHARACTERS
from components.work.studio import Studio
from dppa_core.errors import NotAllowed, UnknownName
from dppa_core.models.reply import MAX_PROMPT_CHARS
from dppa_core.recipes.yaml_text import dump_recipe, recipe_hash
from tests.app.page.test_handlers import events, press
from tests.helpers.links import link_of

CHANGED = replace(
    first_session(),
    rate=0.6,
    shares=(0.25,),
    strength=0.2,
    models=(*first_session().models[:2], ModelChoice("zoo:law", on=False)),
    overrides=(("layers.0.mlp.down_proj", 0.5),),
)


def restore(page: gr.Blocks, session: Session, number: int = 1) -> dict[str, Any]:
    return press(page, "on_restore", tune=json.dumps({"id": number, "state": state_of(session)}))


def open_at(page: gr.Blocks, link: str, **beside: str) -> dict[str, Any]:
    (event,) = events(page, "on_open")
    parameters = {"c": link, **beside} if link else beside
    result = event.fn(SimpleNamespace(query_params=parameters))
    read = {}
    for block, value in result.items():
        text = isinstance(value, str) and value.startswith(("{", "["))
        read[block.elem_id] = json.loads(value) if text else value
    return read


def test_every_control_follows_a_state(page: gr.Blocks) -> None:
    after = restore(page, CHANGED, 7)
    assert after["rate"] == 60 and after["strength"] == 0.2 and after["partitions"] == 2
    assert [row["on"] for row in after["models"]["models"]] == [True, True, False]
    assert after["overrides"] == {"layers.0.mlp.down_proj": 0.5}
    assert after["exact"]["recipe"] == recipe_hash(CHANGED.recipe())
    assert after["tune"] == {"done": 7}


@pytest.mark.parametrize("link", ["", link_of(CHANGED)])
def test_a_link_opens_a_question_a_tab_and_a_pane(page: gr.Blocks, link: str) -> None:
    question = "x" * MAX_PROMPT_CHARS
    opens = {"question": question, "tab": "sparsity", "pane": "score"}
    after = open_at(page, link, q=f" {question} ", tab="sparsity", pane="score")
    assert after["tune"] == {"opens": opens}
    assert after["exact"]["recipe"] == recipe_hash((CHANGED if link else first_session()).recipe())


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ({"tab": "nowhere"}, "modules, sparsity"),
        ({"pane": "<b>see</b>"}, "see, chat, score"),
        ({"q": "x" * (MAX_PROMPT_CHARS + 1)}, f"at most {MAX_PROMPT_CHARS} fit"),
        ({"q": " "}, "q= without a question"),
    ],
)
def test_what_no_link_of_the_page_opens_is_told(
    page: gr.Blocks, beside: dict[str, str], why: str
) -> None:
    after = open_at(page, link_of(CHANGED), **beside)
    assert why in after["tune"]["notice"] and "opens" not in after["tune"]
    assert after["exact"]["recipe"] == recipe_hash(first_session().recipe())


def test_who_is_asked_stays_when_one_comes_back(page: gr.Blocks) -> None:
    choices = restore(page, CHANGED)["answer-with"].constructor_args
    assert "choices" in choices and "value" not in choices


UNNUMBERED = ("{", "[]", '{"id": -1}', '{"id": true}')
EMPTY = (
    '{"id": 1}',
    '{"id": 1, "state": []}',
    '{"id": 1, "state": {"v": 1, "base": "zoo:base", "models": []}}',
)


@pytest.mark.parametrize("sent", [*UNNUMBERED, *EMPTY])
def test_what_the_bar_would_not_send_is_refused(page: gr.Blocks, sent: str) -> None:
    with pytest.raises(gr.Error):
        press(page, "on_restore", tune=sent)


def test_a_refused_recipe_names_its_request_so_that_a_late_refusal_is_known(
    page: gr.Blocks,
) -> None:
    for sent in UNNUMBERED:
        with pytest.raises(gr.Error):
            press(page, "on_read", tune=sent)
    for sent in EMPTY:
        reply = press(page, "on_read", tune=sent)["tune"]
        assert reply["id"] == 1 and "A recipe is a text" in reply["refused"]


def test_a_curve_for_another_number_of_layers_is_refused(page: gr.Blocks) -> None:
    long = replace(first_session(), models=(ModelChoice("zoo:math", curve=((0, 1.0), (99, 0.0))),))
    with pytest.raises(gr.Error, match="ends at layer 99"):
        restore(page, long)


# recipes


def test_a_recipe_goes_out_and_comes_back(page: gr.Blocks) -> None:
    saved = press(page, "on_write", tune='{"id": 3}')["tune"]["saved"]
    assert saved["text"] == dump_recipe(first_session().recipe()) and saved["name"] == "recipe.yaml"
    text = dump_recipe(CHANGED.recipe())
    after = press(page, "on_read", tune=json.dumps({"id": 4, "recipe": text}))
    assert after["exact"]["recipe"] == recipe_hash(CHANGED.recipe())
    assert after["tune"] == {"done": 4}


def test_numbers_by_layer_of_a_recipe_reach_the_list_of_models(page: gr.Blocks) -> None:
    text = "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math, coefficient: {0: 0.5}}]\n"
    after = press(page, "on_read", tune=json.dumps({"id": 4, "recipe": text}))
    (row,) = after["models"]["models"]
    assert row["curve"][0] == [0, 0.5] and row["curve"][-1][1] == 1.0


def test_a_recipe_of_mergekit_opens_with_its_differences(page: gr.Blocks) -> None:
    text = """merge_method: ties
base_model: zoo:base
models: [{model: zoo:math, parameters: {density: 0.3, weight: 0.6}}]
parameters: {normalize: true}
dtype: float32
"""
    after = press(page, "on_read", tune=json.dumps({"id": 4, "recipe": text}))
    (row,) = after["models"]["models"]
    assert after["method"]["method"] == "ties" and row["ref"] == "zoo:math"
    assert after["tune"]["done"] == 4 and after["models"]["dtype"] == "float32"
    far = text.replace("merge_method: ties", "merge_method: nosuch")
    after = press(page, "on_read", tune=json.dumps({"id": 5, "recipe": far}))
    assert after.keys() == {"tune"} and "no counterpart" in after["tune"]["refused"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list", "not a mapping"),
        ("x" * (MAX_RECIPE_CHARACTERS + 1), "up to 50000 characters"),
    ],
)
def test_a_recipe_that_cannot_be_shown_says_why(page: gr.Blocks, text: str, words: str) -> None:
    after = press(page, "on_read", tune=json.dumps({"id": 1, "recipe": text}))
    assert after.keys() == {"tune"} and words in after["tune"]["refused"]


def test_a_recipe_beyond_the_controls_is_shown_with_what_it_leaves_out(page: gr.Blocks) -> None:
    text = "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math}]\nseed: 7\n"
    after = press(page, "on_read", tune=json.dumps({"id": 1, "recipe": text}))
    assert "plots" in after and "seed is 7" in after["tune"]["beyond"]


def test_nothing_to_merge_is_no_file(page: gr.Blocks) -> None:
    off = [{"ref": "zoo:math", "on": False, "coefficient": 1}]
    models = json.dumps({"base": "zoo:base", "models": off})
    with pytest.raises(gr.Error, match="switched on"):
        press(page, "on_write", tune='{"id": 3}', models=models)


# addresses


def test_an_address_without_settings_opens_as_usual(page: gr.Blocks) -> None:
    assert set(open_at(page, "")) == {"plots", "exact"}


def test_a_link_opens_with_every_control_where_it_was(page: gr.Blocks) -> None:
    after = open_at(page, link_of(CHANGED))
    assert after["rate"] == 60 and after["exact"]["recipe"] == recipe_hash(CHANGED.recipe())
    assert "tune" not in after


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("abc", "cannot be read"),
        (link_of(replace(first_session(), base="zoo:nobody")), "nobody"),
        (link_of(replace(first_session(), models=(ModelChoice("/no/such/place"),))), "no/such"),
    ],
)
def test_a_bad_link_is_told_and_the_page_opens_as_usual(
    page: gr.Blocks, link: str, words: str
) -> None:
    after = open_at(page, link)
    if "open" in after["tune"]:  # a folder is checked once the page is open
        with pytest.raises(gr.Error, match=words):
            restore(page, session_from_state(after["tune"]["open"]))
    else:
        assert words in after["tune"]["notice"]
    assert after["exact"]["recipe"] == recipe_hash(first_session().recipe())
    assert set(after) == {"plots", "exact", "tune"}


def test_what_has_to_be_measured_waits_until_the_page_is_there(page: gr.Blocks) -> None:
    slow = replace(first_session(), significance="fisher")
    after = open_at(page, link_of(slow))
    assert session_from_state(after["tune"]["open"]) == slow


def test_a_public_page_opens_links_to_embedded_models_only(zoo_env: Path) -> None:
    public = Studio(public=True)
    folder = replace(first_session(), models=(ModelChoice(str(zoo_env / "law")),))
    with pytest.raises(NotAllowed):
        with_pins(folder, public)
    page = build_page(public)
    after = open_at(page, link_of(folder))
    assert after["tune"]["notice"] and after["exact"]["plans"].keys() >= {"zoo:math"}
    with pytest.raises(gr.Error):
        restore(page, folder)
    recipe = dump_recipe(folder.recipe())
    after = press(page, "on_read", tune=json.dumps({"id": 1, "recipe": recipe}))
    assert after["tune"]["refused"]


def test_an_unknown_embedded_model_is_named(studio: Studio) -> None:
    with pytest.raises(UnknownName, match="zoo:mathh"):
        with_pins(replace(first_session(), models=(ModelChoice("zoo:mathh"),)), studio)
