"""The list of views: one at a time, by keyboard, accessible, on screen and phone."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio
from tests.e2e.test_looks import AXE, SCREENS, names

VIEWS = {"modules": "#plots", "compare": "#compare-view", "spectrum": "#spectrum-view"}
VIEWS["attribution"] = "#attribution-view"


@pytest.mark.long
@pytest.mark.parametrize("screen", SCREENS, ids=names)
def test_each_view_stands_alone_without_barriers(
    visit: Visit, screen: tuple[int, int, str]
) -> None:
    width, height, theme = screen
    studio = visit(width=width, height=height, theme=theme)
    studio.wait_exact(80)
    page = studio.page
    page.add_script_tag(path=str(AXE))
    for name in (*VIEWS, "modules"):
        page.locator(f'#views button[data-view="{name}"]').click()
        for other, selector in VIEWS.items():
            expect(page.locator(selector)).to_be_visible(visible=other == name)
        overflow = "() => document.scrollingElement.scrollWidth - innerWidth"
        assert page.evaluate(overflow) <= 0, name
        found = page.evaluate("() => axe.run({resultTypes: ['violations']})")["violations"]
        serious = [
            (one["id"], [node["target"] for node in one["nodes"]][:5])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, (name, serious)


def test_a_view_is_opened_by_keyboard_and_the_plots_are_as_they_were(studio: Studio) -> None:
    studio.wait_exact(80)
    page, before = studio.page, studio.cells()
    page.locator('#views button[data-view="compare"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare-view")).to_be_visible()
    expect(page.locator('#views button[aria-pressed="true"]')).to_have_text("Distance")
    studio.set_range(studio.rate, 70)
    page.locator('#views button[data-view="modules"]').press("Enter")
    studio.wait_exact(70)
    assert studio.cells().keys() == before.keys()


@pytest.mark.long
def test_on_a_phone_the_views_leave_with_their_pane(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.page.locator('#views button[data-view="attribution"]').click()
    studio.open_pane("chat")
    for selector in ("#views", *VIEWS.values()):
        expect(studio.page.locator(selector)).to_be_hidden()
