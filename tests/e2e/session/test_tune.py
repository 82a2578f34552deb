"""Undo, redo, reset, two slots, presets, links and recipes; wide and on a phone."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Route

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.session import ModelChoice, Session
from components.session.state import state_of
from dppa_core.recipes.yaml_text import parse_recipe, recipe_hash
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio
from tests.e2e.tuning import DOWN, linked, press, session_of, wait_linked, wait_recipe, wait_rest
from tests.helpers.links import link_of

START = first_session()
RICH = Session(
    models=(
        ModelChoice("zoo:math", curve=((0, 1.0), (2, 0.5), (5, 0.8))),
        ModelChoice("zoo:finance", coefficient=0.7),
        ModelChoice("zoo:law", on=False),
    ),
    rate=0.7,
    shares=(0.25, 0.6),
    partitions=3,
    strength=0.2,
    linked=False,
    factors=(1.5, 1.0, 1.0),
    own_factors=(("zoo:math", (2.0, 1.0, 0.5)), ("zoo:finance", (1.5, 1.0, 1.0))),
    method=MethodChoice("ties", (("density", 0.3),), prune_first=True),
    overrides=((DOWN, 0.25),),
)


@pytest.fixture(params=[1440, 390], ids=["wide", "phone"])
def studio(visit: Visit, request: pytest.FixtureRequest) -> Studio:
    studio = visit(width=request.param)
    studio.wait_exact(80)
    wait_rest(studio)
    return studio


@pytest.mark.long
def test_undo_after_an_override_and_redo(studio: Studio) -> None:
    studio.page.evaluate("name => window.dppa.override(name, 0.25)", DOWN)
    held = replace(START, overrides=((DOWN, 0.25),))
    wait_recipe(studio, held)
    assert "single matrices" in (studio.page.locator("#undo").get_attribute("title") or "")
    press(studio, "undo")
    wait_recipe(studio, START)
    assert session_of(studio) == START
    assert studio.page.locator("#undo").get_attribute("aria-disabled") == "true"
    press(studio, "redo")
    wait_recipe(studio, held)
    assert studio.page.locator("#redo").get_attribute("aria-disabled") == "true"


@pytest.mark.long
def test_a_drag_is_one_step_and_keys_go_back(visit: Visit) -> None:
    studio = visit()
    studio.wait_exact(80)
    wait_rest(studio)
    studio.drag_rate(40)
    dragged = int(float(studio.rate.input_value()))
    studio.wait_exact(dragged)
    wait_rest(studio)
    studio.set_rate(50)
    wait_rest(studio)
    studio.page.keyboard.press("Control+z")
    studio.wait_exact(dragged)
    studio.page.keyboard.press("Control+z")
    studio.wait_exact(80)
    wait_rest(studio)
    assert studio.rate.input_value() == "80" and session_of(studio) == START
    studio.page.keyboard.press("Control+Shift+Z")
    studio.wait_exact(dragged)
    studio.page.keyboard.press("Control+y")
    studio.wait_exact(50)
    assert studio.rate.input_value() == "50"


@pytest.mark.long
def test_keys_in_a_box_of_text_are_the_boxes_own(visit: Visit) -> None:
    studio = visit()
    studio.set_rate(60)
    wait_rest(studio)
    studio.page.locator("#prompt textarea").press_sequentially("abc")
    studio.page.keyboard.press("Control+z")
    studio.page.wait_for_timeout(300)
    assert studio.rate.input_value() == "60" and studio.drawn("rate") == "60"


@pytest.mark.long
def test_several_steps_back_at_once_end_on_the_right_one(visit: Visit) -> None:
    studio = visit()
    studio.wait_exact(80)
    wait_rest(studio)
    for rate in (70, 60, 50):
        studio.set_rate(rate)
        wait_rest(studio)
    for _ in range(3):
        press(studio, "undo")
    studio.wait_exact(80)
    wait_rest(studio)
    assert studio.rate.input_value() == "80" and session_of(studio) == START
    studio.page.wait_for_timeout(800)  # answers to the steps between are ignored
    assert studio.page.locator("#undo").get_attribute("aria-disabled") == "true"
    assert studio.rate.input_value() == "80"


@pytest.mark.long
def test_reset_can_be_undone(studio: Studio) -> None:
    assert studio.page.locator("#reset").get_attribute("aria-disabled") == "true"
    studio.set_rate(55)
    wait_rest(studio)
    press(studio, "reset")
    wait_recipe(studio, START)
    press(studio, "undo")
    wait_recipe(studio, replace(START, rate=0.55))
    assert studio.rate.input_value() == "55"


@pytest.mark.long
def test_two_slots_hold_two_settings_and_say_which_is_shown(studio: Studio) -> None:
    pressed = "#slot-{}[aria-pressed='true']"
    assert studio.page.locator(pressed.format("A")).count() == 1
    press(studio, "slot-B")  # empty: it begins as A is
    wait_rest(studio)
    studio.set_rate(50)
    wait_rest(studio)
    press(studio, "slot-A")
    wait_recipe(studio, START)
    assert studio.page.locator(pressed.format("A")).count() == 1
    press(studio, "slot-B")
    wait_recipe(studio, replace(START, rate=0.5))
    assert studio.page.locator(pressed.format("B")).count() == 1
    studio.reload()  # this tab remembers both
    wait_recipe(studio, replace(START, rate=0.5))
    assert studio.page.locator(pressed.format("B")).count() == 1
    press(studio, "slot-A")
    wait_recipe(studio, START)


@pytest.mark.long
def test_going_back_over_a_switch_goes_back_to_its_slot(visit: Visit) -> None:
    studio = visit()
    studio.wait_exact(80)
    wait_rest(studio)
    press(studio, "slot-B")
    studio.set_rate(50)
    wait_rest(studio)
    press(studio, "slot-A")
    wait_recipe(studio, START)
    press(studio, "undo")
    wait_recipe(studio, replace(START, rate=0.5))
    assert studio.page.locator("#slot-B[aria-pressed='true']").count() == 1


@pytest.mark.long
def test_a_preset_of_ones_own_is_saved_applied_renamed_and_removed(studio: Studio) -> None:
    page, name = studio.page, "mine <img src=x onerror=boom()> ${1}"
    studio.set_rate(65)
    wait_rest(studio)
    press(studio, "keep")
    page.locator("#saved-name").fill(name)
    page.locator("#saved-add").click()
    page.locator("#saved-name").fill(name)
    page.locator("#saved-add").click()
    assert "already" in page.locator(".keep-told").inner_text()
    page.keyboard.press("Escape")
    press(studio, "reset")
    wait_recipe(studio, START)
    studio.reload()
    wait_recipe(studio, START)
    press(studio, "keep")
    row = page.locator("#saved-list .saved-name")
    assert row.all_inner_texts() == [name]
    row.click()
    wait_recipe(studio, replace(START, rate=0.65))
    press(studio, "undo")
    wait_recipe(studio, START)
    press(studio, "keep")
    page.get_by_role("button", name="Rename").click()
    page.locator("#saved-list input").fill("sixty-five")
    page.keyboard.press("Enter")
    assert row.all_inner_texts() == ["sixty-five"]
    page.get_by_role("button", name="Remove sixty-five").click()
    assert row.count() == 0
    page.keyboard.press("Escape")


def test_the_address_follows_and_a_reload_restores_everything(studio: Studio) -> None:
    assert linked(studio) is None
    studio.page.evaluate("state => window.dppa.goTo(state)", state_of(RICH))
    wait_recipe(studio, RICH)
    wait_linked(studio, RICH)
    studio.reload()
    wait_recipe(studio, RICH)
    assert session_of(studio) == RICH
    assert studio.rate.input_value() == "70"
    off = studio.page.locator('.model-row[data-model="zoo:law"] input[type=checkbox]')
    assert not off.is_checked()
    press(studio, "reset")
    wait_recipe(studio, START)
    wait_linked(studio, None)


@pytest.mark.long
def test_somebody_else_opens_the_same_from_a_link(visit: Visit) -> None:
    studio = visit(link=link_of(RICH))
    wait_recipe(studio, RICH)
    assert session_of(studio) == RICH
    assert studio.page.locator("#undo").get_attribute("aria-disabled") == "true"


@pytest.mark.long
def test_what_has_to_be_measured_is_opened_once_the_page_is_there(visit: Visit) -> None:
    slow = replace(START, significance="activation", rate=0.7)
    studio = visit(link=link_of(slow))
    wait_recipe(studio, slow)
    assert session_of(studio) == slow


@pytest.mark.long
@pytest.mark.parametrize("link", ["abc", "!", link_of(replace(START, base="zoo:nobody"))])
def test_a_bad_link_is_told_and_the_page_opens_as_usual(visit: Visit, link: str) -> None:
    studio = visit(link=link)
    wait_recipe(studio, START)
    told = studio.page.locator(".tune-line.wrong")
    told.wait_for()
    assert "could not be opened" in told.inner_text()
    studio.page.get_by_role("button", name="Put this message away").click()
    assert not told.is_visible()
    wait_linked(studio, None)


@pytest.mark.long
def test_share_copies_the_link_and_says_so(visit: Visit) -> None:
    studio = visit()
    studio.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    studio.set_rate(60)
    wait_rest(studio)
    press(studio, "share")
    studio.page.get_by_text("Link copied").wait_for()
    copied = studio.page.evaluate("() => navigator.clipboard.readText()")
    assert "__theme" not in copied
    other = visit(link=copied.split("c=")[1])
    wait_recipe(other, replace(START, rate=0.6))


@pytest.mark.long
def test_where_the_clipboard_is_closed_the_link_is_shown(studio: Studio) -> None:
    studio.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    press(studio, "share")
    box = studio.page.locator("#share-link")
    box.wait_for()
    assert "&c=" in box.input_value().replace("?", "&")
    width = studio.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


@pytest.mark.long
def test_a_recipe_goes_down_and_up(studio: Studio, tmp_path: Path) -> None:
    studio.page.evaluate("state => window.dppa.goTo(state)", state_of(RICH))
    wait_recipe(studio, RICH)
    press(studio, "keep")
    with studio.page.expect_download() as download:
        studio.page.locator("#recipe-save").click()
    assert download.value.suggested_filename == "recipe.yaml"
    saved = tmp_path / "recipe.yaml"
    download.value.save_as(saved)
    recipe = parse_recipe(saved.read_text(encoding="utf-8"))
    assert recipe_hash(recipe) == recipe_hash(RICH.recipe())
    studio.page.keyboard.press("Escape")
    press(studio, "reset")
    wait_recipe(studio, START)
    press(studio, "keep")
    studio.page.locator("#recipe-file").set_input_files(saved)
    wait_recipe(studio, RICH)  # the model that was off is not in the recipe
    assert [m.reference for m in session_of(studio).models] == ["zoo:math", "zoo:finance"]
    press(studio, "undo")
    wait_recipe(studio, START)


def test_a_recipe_beyond_the_controls_opens_and_says_what_is_left_out(studio: Studio) -> None:
    press(studio, "keep")
    studio.page.locator("#recipe-text").fill(
        "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math, levels: [0.7]}]\nseed: 7\n"
    )
    studio.page.locator("#recipe-use").click()
    studio.page.get_by_text("seed is 7").wait_for()
    wait_rest(studio)
    assert session_of(studio).rate == 0.7 and len(session_of(studio).models) == 1


@pytest.mark.long
def test_a_late_answer_to_an_earlier_recipe_is_not_told(studio: Studio) -> None:
    late: list[Route] = []

    def hold(route: Route) -> None:
        if "seed: 7" in (route.request.post_data or ""):
            late.append(route)
        else:
            route.continue_()

    press(studio, "keep")
    studio.page.route("**/queue/join*", hold)
    for text in ("dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math}]\nseed: 7\n", "other: ["):
        studio.page.locator("#recipe-text").fill(text)
        studio.page.locator("#recipe-use").click()
    told = studio.page.locator(".keep-told", has_text="not plain YAML")
    told.wait_for()
    with studio.page.expect_response(lambda response: "/queue/join" in response.url):
        late[0].continue_()
    studio.page.wait_for_timeout(1500)  # its refusal comes in this time
    assert told.is_visible()
