"""The header is correct: models in memory, which recipe answered, running and waiting work."""

import re

import pytest

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio
from tests.e2e.panes.test_chat import ask_at_length

WATCH = """() => {  // what the head says, from now on: "activity: words"
    const status = document.querySelector('#status [data-status]');
    window.told = [];
    new MutationObserver(() => {
        const now = `${status.dataset.activity}: ${status.querySelector('.activity').innerText}`;
        if (status.dataset.activity !== 'idle' && now !== window.told.at(-1)) window.told.push(now);
    }).observe(status, {subtree: true, childList: true, attributes: true, characterData: true});
}"""


@pytest.mark.long
def test_a_stale_answer_names_the_recipe_it_was_made_with(studio: Studio) -> None:
    studio.wait_models()
    asked = studio.recipe
    studio.ask("1 + 1?")
    studio.wait_answer()
    status = studio.status
    studio.page.get_by_text("chat answer matches the settings").wait_for()
    studio.set_rate(55)
    studio.page.get_by_text(f"chat answer of {asked[:6]} is older than the settings").wait_for()
    assert status.get_attribute("data-fresh") == "stale"


@pytest.mark.long
def test_what_is_in_memory_is_counted_after_each_run(studio: Studio) -> None:
    studio.wait_models()
    loaded = studio.page.locator("#status .loaded")
    studio.page.locator(
        "#status .loaded", has_text=re.compile(r"^(\d+ models?, )?\d+ merges? loaded$")
    ).wait_for()
    studio.ask("1 + 1?")
    studio.wait_answer("zoo:finance")
    studio.page.wait_for_function(
        "() => document.querySelector('#status .loaded').title.includes('finance')"
    )
    assert "MiB" in (loaded.get_attribute("title") or "")


@pytest.mark.long
def test_a_merge_waits_for_its_turn_and_for_no_answer(visit: Visit) -> None:
    first, second = visit(), visit()
    for studio in (first, second):
        studio.wait_models()
    second.page.locator("#method-choice").select_option("ties")
    second.page.locator("#merge-now").wait_for()
    second.page.evaluate(WATCH)
    ask_at_length(first)  # in another process
    first.page.locator('#transcript .answer[data-state="writing"]').first.wait_for()
    second.page.locator("#merge-now").click()
    second.page.locator("#status .merged", has_text=re.compile("^merged$")).wait_for()
    second.page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
    told = second.page.evaluate("() => window.told")
    assert told[0] == "waiting: waiting for its turn …"
    assert any(one.startswith("merging: ") for one in told)
    assert not any("before it" in one for one in told), "answers hold no merge up"
