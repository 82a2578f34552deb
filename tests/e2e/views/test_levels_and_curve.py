"""The levels bar and the coefficient curve: by pointer and keys, wide and on a phone."""

import pytest

from components.session.presets import first_session
from dppa_core.recipes.yaml_text import recipe_hash
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio
from tests.e2e.tuning import press, session_of, wait_recipe, wait_rest

START = first_session()
MATH = '.model-row[data-model="zoo:math"]'


@pytest.fixture(params=[1440, 390], ids=["wide", "phone"])
def studio(visit: Visit, request: pytest.FixtureRequest) -> Studio:
    studio = visit(width=request.param)
    studio.wait_exact(80)
    wait_rest(studio)
    return studio


def levels_change(studio: Studio) -> tuple[float, ...]:
    """The levels once they have come to rest, in the browser, the recipe and the number box."""
    wait_rest(studio)
    session = session_of(studio)
    wait_recipe(studio, session)
    box = studio.page.locator("#partitions input[type=number]")
    assert box.input_value() == str(len(session.levels))
    return session.levels


@pytest.mark.long
def test_levels_are_added_moved_and_removed_by_keys(studio: Studio) -> None:
    studio.open_advanced()
    studio.page.locator("#amplify input[type=number]").first.fill("1.6")
    studio.page.keyboard.press("Tab")
    press(studio, "level-add")
    assert levels_change(studio) == (0.95, 0.9, 0.8)
    assert session_of(studio).factors == (1.6, 1.6, 1.0), "both halves of a band keep its factor"
    studio.page.keyboard.press("ArrowLeft")  # the new level has the focus
    assert levels_change(studio) == (0.952, 0.9, 0.8)
    studio.page.keyboard.press("Delete")
    assert levels_change(studio) == (0.9, 0.8)
    assert session_of(studio).factors == (1.6, 1.0)
    press(studio, "undo")
    assert levels_change(studio) == (0.952, 0.9, 0.8)


@pytest.mark.long
def test_a_level_is_dragged_and_everything_follows(studio: Studio) -> None:
    studio.open_advanced()
    handle = studio.page.locator(".level-handle")
    handle.scroll_into_view_if_needed()
    track = studio.page.locator(".levels-track").bounding_box()
    box = handle.bounding_box()
    assert track and box
    middle = box["y"] + box["height"] / 2
    studio.page.mouse.move(box["x"] + box["width"] / 2, middle)
    studio.page.mouse.down()
    studio.page.mouse.move(track["x"] + track["width"] / 4, middle, steps=8)
    studio.page.mouse.up()
    inner, last = levels_change(studio)
    assert inner == pytest.approx(0.95, abs=0.004) and last == 0.8
    assert handle.get_attribute("aria-valuetext", timeout=1000)
    studio.set_rate(60)
    wait_rest(studio)
    assert session_of(studio).levels[0] == pytest.approx(0.9, abs=0.008), "its share stays"
    press(studio, "level-even")
    assert levels_change(studio) == (0.8, 0.6)


@pytest.mark.long
def test_a_curve_is_drawn_and_one_click_leads_back(studio: Studio) -> None:
    row = studio.page.locator(MATH)
    button = row.locator(".by-layer")
    button.click()
    wait_rest(studio)
    assert session_of(studio) == START, "flat, it is the number"
    assert studio.page.locator("#undo").get_attribute("aria-disabled") == "true"
    assert not row.locator("input[type=range]").is_visible()
    svg = row.locator(".curve svg")
    svg.scroll_into_view_if_needed()
    box, column = svg.bounding_box(), studio.page.locator("#models-box").bounding_box()
    assert box and column
    assert box["x"] + box["width"] <= column["x"] + column["width"], "it fits into its column"
    studio.page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.3)
    studio.page.mouse.down()
    studio.page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5, steps=5)
    studio.page.mouse.up()
    wait_rest(studio)
    (_, (layer, value), _) = session_of(studio).models[0].curve
    assert layer == 2 and value < 0.7
    studio.page.keyboard.press("ArrowUp")
    studio.page.keyboard.press("ArrowRight")
    wait_rest(studio)
    session = session_of(studio)
    assert session.models[0].curve[1] == (3, pytest.approx(value + 0.05))
    wait_recipe(studio, session)
    assert studio.recipe == recipe_hash(session.recipe())
    button.click()
    wait_recipe(studio, START)
    assert row.locator("input[type=range]").is_visible()
    press(studio, "undo")
    wait_recipe(studio, session)


@pytest.mark.long
def test_points_of_a_curve_come_and_go_by_keys(visit: Visit) -> None:
    studio = visit()
    studio.wait_exact(80)
    wait_rest(studio)
    studio.page.locator(f"{MATH} .by-layer").click()
    studio.page.locator(MATH).get_by_role("button", name="Add point").click()
    studio.page.keyboard.press("Shift+ArrowDown")
    wait_rest(studio)
    assert session_of(studio).models[0].curve == ((0, 1.0), (2, 0.75), (5, 1.0))
    studio.page.keyboard.press("Delete")
    wait_rest(studio)
    assert session_of(studio) == START
    dots = studio.page.locator(f"{MATH} .curve-dot")
    assert dots.count() == 2
    studio.page.keyboard.press("Delete")  # an end stays
    assert dots.count() == 2
