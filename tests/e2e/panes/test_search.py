"""The search: drawn as it runs, cancelled, continued, and applied."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.page_driver import ANSWER_MS, Studio


def start(studio: Studio, way: str) -> None:
    page = studio.page
    page.locator(f'#search-way input[value="{way}"]').check()
    expect(page.locator("body")).to_have_attribute("data-search", way)
    page.locator("#search-run").click()


def wait_trials(page: Page, marks: Locator) -> None:
    marks.first.wait_for(state="attached", timeout=ANSWER_MS)


def wait_state(page: Page, state: str) -> None:
    found = page.locator(f'#search [data-search-state="{state}"]')
    found.wait_for(state="attached", timeout=ANSWER_MS)


def cancel(page: Page) -> None:
    page.locator("#search-stop").click()
    wait_state(page, "stopped")
    page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")


@pytest.mark.long
def test_a_search_is_watched_cancelled_gone_on_with_and_taken_over(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    studio.open_pane("search")
    studio.set_range(page.locator("#search-limit input[type=range]"), 8)

    start(studio, "climb")
    wait_trials(page, page.locator('#search-plot g.point[data-model="zoo:math"][data-band="0"]'))
    cancel(page)

    expect(page.locator("#search .plot-title")).to_contain_text("of each: math")
    note = page.locator("#search .how").first
    expect(note).to_be_hidden()
    page.locator('#search-way input[value="grid"]').check()
    expect(note).to_have_text("Below: what the climb found before. Start searches by the grid.")
    start(studio, "grid")
    expect(note).to_be_hidden()
    wait_trials(page, page.locator("#search-plot g.trial[data-state=complete]"))
    before = page.locator("#plots [data-rate]").first.get_attribute("data-rate")
    page.locator("#search-plot g.trial").first.focus()
    page.keyboard.press("Enter")  # while it goes on
    expect(page.locator("#search .said")).to_contain_text("Taken over: rate 60")
    more = "tried => +document.querySelector('#search [data-trials]').dataset.trials > tried"
    page.wait_for_function(more, arg=page.locator("#search-plot g.trial").count())
    cancel(page)
    expect(page.locator("#search .standing")).to_contain_text("Start goes on from there")
    expect(page.locator("#search .said")).to_contain_text("Taken over: rate 60")
    expect(studio.rate).to_have_value("60")
    page.locator('#tune [data-restoring="false"]').wait_for(state="attached")
    page.locator("#undo").click()
    expect(studio.rate).not_to_have_value("60")
    expect(page.locator("#search .said")).to_be_empty()
    assert before is not None

    page.locator('#tune [data-restoring="false"]').wait_for(state="attached")
    studio.set_range(page.locator("#search-trials input[type=range]"), 5)
    start(studio, "optuna")
    wait_trials(page, page.locator("#search-plot g.trial"))
    cancel(page)
    tried = page.locator("#search-plot g.trial").count()
    page.locator("#search-run").click()
    wait_state(page, "done")
    expect(page.locator("#search-plot g.trial")).to_have_count(5)
    assert tried < 5
    page.locator("#search-take").click()
    expect(page.locator("#search .said")).to_contain_text("Taken over: the best setting")
    expect(page.locator("#search .plot-title")).to_contain_text("strongest band × ")
    ticks = page.locator("#search-plot text.tick.middle").all_text_contents()
    assert ticks == ["1", "2", "3", "4", "5"]  # trials are whole
    expect(page.locator("#search .standing")).to_contain_text("Task arithmetic")

    start(studio, "joint")
    wait_trials(page, page.locator('#search-plot g.trial[data-number="1"]'))
    # until its first setting is asked, the plot shows the search before
    expect(page.locator("#search .plot-title")).to_contain_text("coefficient × ", timeout=60_000)
    cancel(page)
