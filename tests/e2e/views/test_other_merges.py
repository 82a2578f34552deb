"""No verdict, figure or answer of another merge stands beside the merge as it is now."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.panes.test_score import run, wait_state
from tests.e2e.views.test_pinned import settled


def silence(studio: Studio) -> None:
    """Leave everything unanswered from now on, as a server does that is gone, and by the tab."""
    studio.page.evaluate(
        "() => { window.Worker = class { constructor() { throw Error('none'); } }; }"
    )
    studio.page.route("**/gradio_api/**", lambda route: None)
    studio.reusable = False


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_verdict_goes_at_once_and_the_answer_soon_when_no_other_comes(
    visit: Visit, width: int
) -> None:
    studio = visit(width=width)
    settled(studio)
    page, mark = studio.page, studio.page.locator("#pinned .right-mark")
    kept = page.locator(".verdict-box summary span").first
    expect(mark).to_have_text("✓ right")
    expect(kept).to_contain_text("This merge keeps")
    page.locator("#pinned-text button").first.click()
    page.locator(".next-model").nth(4).wait_for(timeout=ANSWER_MS)
    silence(studio)
    studio.set_range(studio.rate, 95)
    studio.wait_frame()
    assert mark.inner_text() == "…"
    assert "This merge keeps" not in kept.inner_text()
    expect(page.locator(".next")).to_have_count(0)
    expect(page.locator("#pinned-text")).to_be_hidden()
    expect(page.locator("#pinned-note")).to_contain_text("The answer of this merge is awaited")
    studio.set_range(studio.rate, 80)
    expect(mark).to_have_text("✓ right")
    expect(page.locator("#pinned-text")).to_be_visible()


@pytest.mark.long
def test_a_distance_is_not_of_the_merge_as_it_is_now_once_a_slider_has_moved(
    visit: Visit,
) -> None:
    studio = visit()
    studio.wait_models()
    studio.page.locator('#views button[data-view="compare"]').click()
    studio.page.locator("#compare-run").click()
    told = studio.page.locator("#compare .standing")
    now = f"Measured on recipe {studio.recipe[:6]}"
    expect(told).to_have_text(f"{now}, the merge as it is now.", timeout=ANSWER_MS)
    silence(studio)
    studio.set_range(studio.rate, 95)
    expect(told).to_have_text(f"{now}.")


@pytest.mark.long
def test_a_score_names_its_recipe_once_a_slider_has_moved(visit: Visit) -> None:
    studio = visit()
    studio.wait_models()
    run(studio, 20)
    wait_state(studio, "done")
    line = studio.page.locator(".score-line")
    expect(line).to_contain_text("Retention: this merge keeps")
    recipe = studio.recipe[:6]
    silence(studio)
    studio.set_range(studio.rate, 95)
    expect(line).to_contain_text(f"Of recipe {recipe}")
