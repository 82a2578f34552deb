"""Appearance: everything on one screen, in both themes, on a phone, accessible."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.expected import ACTIVE, plan
from tests.e2e.page_driver import Studio

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
SCREENS = [(1440, 900, "light"), (1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]
KINDS = ("q", "k", "v", "o", "gate", "up", "down")


def names(screen: tuple[int, int, str]) -> str:
    return f"{screen[0]}-{screen[2]}"


@pytest.fixture(params=SCREENS, ids=names)
def screen(request: pytest.FixtureRequest, visit: Visit) -> Iterator[Studio]:
    width, height, theme = request.param
    studio: Studio = visit(width=width, height=height, theme=theme)
    studio.wait_exact(80)
    yield studio


@pytest.mark.keeps
def test_the_first_screen_shows_the_preset_already_merged(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.wait_models()
    modules = plan("math", 80).modules
    assert set(studio.cells()) == {(m.layer, m.kind) for m in modules}
    assert {kind for _, kind in studio.cells()} == set(KINDS)
    for domain in ("math", "finance", "law"):
        row = studio.page.locator(f'#models .model-row[data-model="zoo:{domain}"]')
        assert row.locator("input[type=checkbox]").is_checked() == (f"zoo:{domain}" in ACTIVE)
        assert row.locator("input[type=range]").count() == 1
        assert studio.page.locator(f'#examples button.example[data-domain="{domain}"]').count()
    assert studio.page.locator("#plots h3.plot-title:visible").count() == 3
    assert studio.recipe
    assert studio.status.get_attribute("data-fresh") == "none"


@pytest.mark.keeps
def test_the_heatmap_has_a_table_for_those_who_cannot_see_it(studio: Studio) -> None:
    studio.wait_exact(80)
    rows = studio.page.locator("#plots table.twin tbody tr")
    rows.first.wait_for(state="attached")  # written once the plots are idle
    assert rows.count() == len({m.layer for m in plan("math", 80).modules})


@pytest.mark.keeps
def test_the_theme_is_followed(screen: Studio, request: pytest.FixtureRequest) -> None:
    script = """() => {
        const page = document.querySelector('.gradio-container');
        return getComputedStyle(page).backgroundColor.match(/[0-9.]+/g).map(Number);
    }"""
    red, green, blue = screen.page.evaluate(script)[:3]
    dark = "dark" in request.node.callspec.id
    assert (red + green + blue < 3 * 128) == dark


@pytest.mark.keeps
def test_nothing_scrolls_sideways(screen: Studio) -> None:
    widths = screen.page.evaluate(
        "() => [document.scrollingElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]
    for pane in ("see", "chat", "score", "search", "export"):
        screen.open_pane(pane)
        overflow = screen.page.evaluate(
            "() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, pane


def test_no_serious_barrier_in_any_pane(screen: Studio) -> None:
    screen.page.add_script_tag(path=str(AXE))
    found = []
    for pane in ("see", "chat", "score", "search", "export", "all that unfolds"):
        if pane == "all that unfolds":
            screen.open_pane("see")
            screen.open_advanced()  # the levels, as a bar
            screen.page.locator("#models button.by-layer").first.click()
            screen.page.locator("#keep").click()  # presets and the recipe
            screen.page.locator("#keep-panel").wait_for()
        else:
            screen.open_pane(pane)
        result = screen.page.evaluate("() => axe.run({resultTypes: ['violations']})")
        for violation in result["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = [node["target"] for node in violation["nodes"]][:5]
                found.append((pane, violation["id"], violation["help"], where))
    assert not found, found


def test_every_slider_says_its_value_with_its_unit(studio: Studio) -> None:
    page = studio.page
    studio.wait_exact(80)
    studio.open_advanced()
    studio.set_rate(85)

    def said(slider: str) -> str:
        range_of = page.locator(f"{slider} input[type=range]").first
        expect(range_of).to_have_attribute("aria-valuetext", re.compile("."))
        return (range_of.get_attribute("aria-valuetext") or "").replace("\u202f", " ")

    expect(page.locator("#rate input[type=range]")).to_have_attribute("aria-valuetext", "85\u202f%")
    assert said("#partitions") == "2 partitions"
    assert said("#k-layer") == "3 × mean"
    assert said("#models") == "1.00 ×" and said("#amplify") == "1.0 ×"
    studio.open_pane("score")
    assert said("#score-limit") == "20 per domain"
    studio.open_pane("search")
    page.locator("#search-way").get_by_label("Optuna").check()
    assert said("#search-trials") == "20 trials"
    page.locator("#undo").click()
    expect(page.locator("#rate input[type=range]")).to_have_attribute("aria-valuetext", "80\u202f%")
    page.locator("#heatmap g.cell").first.click()
    assert said(".drill-own").endswith(" %")
    without = "all => all.filter(one => !one.getAttribute('aria-valuetext')).map(one => one.id)"
    assert not page.locator("input[type=range]:visible").evaluate_all(without)


@pytest.mark.long
def test_every_slider_says_what_it_is(studio: Studio) -> None:
    studio.open_advanced()
    for slider in studio.page.locator("input[type=range]").all():
        if slider.is_visible():
            script = """e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
                || e.labels?.[0]?.textContent || e.title || ''"""
            assert slider.evaluate(script).strip()


HEADINGS = """() => [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
    .filter(one => one.checkVisibility() && one.textContent.trim())
    .map(one => [+one.tagName[1], one.textContent.trim()])"""


def gaps(headings: list[tuple[int, str]]) -> list[str]:
    """Headings more than one level below the one before."""
    return [
        text for (level, _), (deeper, text) in pairwise([(0, ""), *headings]) if deeper > level + 1
    ]


def test_headings_form_an_outline_without_gaps(studio: Studio) -> None:
    page = studio.page
    outlines: dict[str, list[tuple[int, str]]] = {}
    for pane in ("chat", "score", "search", "export"):
        studio.open_pane(pane)
        outlines[pane] = page.evaluate(HEADINGS)
    page.locator("#keep").click()
    outlines["Save"] = page.evaluate(HEADINGS)
    page.keyboard.press("Escape")
    for view in ("sparsity", "compare", "attribution", "experiments"):
        page.locator(f'#views button[data-view="{view}"]').click()
        outlines[view] = page.evaluate(HEADINGS)
    named = {text for _, text in outlines["chat"]}
    assert {"Chat", "Method", "Ask the merge"} <= named
    assert {"Score", "Search", "Export"} <= {
        text for headings in outlines.values() for _, text in headings
    }
    assert not {place: gaps(headings) for place, headings in outlines.items() if gaps(headings)}


@pytest.mark.long
def test_on_a_phone_the_slider_stays_beside_the_plot_it_moves(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.wait_exact(80)
    studio.open_pane("see")
    studio.page.locator("svg#heatmap").scroll_into_view_if_needed()
    for selector in ("#rate input[type=range]", "svg#heatmap"):
        box = studio.page.locator(selector).bounding_box()
        assert box and box["y"] < 844 and box["y"] + box["height"] > 0, f"{selector} is off screen"
