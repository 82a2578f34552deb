"""A visitor's own questions: a file, a row for every model, the questions by right and wrong."""

import json
import re
from time import time_ns

import pytest
from playwright.sync_api import expect

from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.helpers.own_questions import APPLES, CLAUSES

DROP = """(text) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([text], "dropped.jsonl"));
  const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.getElementById("questions-box").dispatchEvent(event);
}"""

STOP_WHEN_ANSWERED = """() => new MutationObserver((_, observer) => {
  if (!/^[1-9][0-9]* of /.test(document.querySelector("#questions .standing").textContent)) return;
  observer.disconnect();
  document.getElementById("questions-stop").click();
}).observe(document.getElementById("questions"), {
  characterData: true, childList: true, subtree: true,
})"""


@pytest.mark.long
def test_a_file_of_questions_is_asked_looked_at_and_opened_in_the_chat(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    page.locator("#questions-run").click()
    note = page.locator("#questions-box .field-note")
    expect(note).to_contain_text("no questions yet")
    page.locator("#questions-text textarea").fill('{"question": "What is 2 + 3?"}')
    page.locator("#questions-run").click()
    expect(note).to_contain_text("line 1: answer is missing")
    large = {"name": "large.csv", "mimeType": "text/csv", "buffer": b"x" * 500_000}
    page.locator("#questions-file").set_input_files(large)
    expect(page.locator("#questions .how").first).to_contain_text("large.csv is too large")
    page.locator("#questions-file").set_input_files(
        {"name": "apples.jsonl", "mimeType": "text/plain", "buffer": APPLES.encode()}
    )
    expect(page.locator("#questions .how").first).to_have_text("apples.jsonl stands above.")
    page.locator("#questions-text textarea").fill("")
    page.evaluate(DROP, APPLES)
    expect(page.locator("#questions-text textarea")).to_have_value(APPLES)
    page.locator("#questions-run").click()
    rows = page.locator("#questions tr[data-key]")
    expect(rows).to_have_count(7, timeout=ANSWER_MS)
    expect(rows.first.locator("th")).to_have_text("merged")
    expect(page.locator("#questions")).to_contain_text("All 6 different questions are asked")
    expect(rows.first.locator(".score-number").first).to_contain_text(" of 6")
    items = page.locator("#questions tr[data-right]")
    expect(items).to_have_count(6)
    found = 0
    for state in ("right", "wrong"):
        page.locator("#questions-marked").select_option(state)
        assert set(items.locator("td:last-child").all_inner_texts()) <= {state}
        found += items.count()
    assert found == 6
    page.locator("#questions-marked").select_option("all")
    page.locator("#questions-model").select_option(label="math")
    for row in items.all():
        assert re.search(r"\d", row.locator(".reply").inner_text())
    page.locator("#questions-model").select_option(label="base")
    expect(items).to_have_count(6)
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
    question = items.first.locator("button")
    said = question.inner_text()
    question.click()
    expect(page.locator("#prompt textarea")).to_have_value(said)
    expect(page.locator("#prompt textarea")).to_be_visible()
    searches(studio)


@pytest.mark.long
def test_the_table_tells_its_recipe_though_a_later_run_is_cancelled(studio: Studio) -> None:
    page, status = studio.page, studio.page.locator("#questions .standing")
    label, text = page.locator("#questions .measured"), page.locator("#questions-text textarea")
    studio.wait_models()
    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    text.fill(APPLES)
    page.locator("#questions-run").click()
    name = studio.recipe[:6]
    measured = f"Measured on recipe {name}, the merge as it is now."
    expect(label).to_have_text(measured, timeout=ANSWER_MS)
    studio.set_rate(72)
    stale = re.compile(f"Stale: measured on recipe {name}")
    expect(label).to_have_text(stale)
    begun = time_ns()  # nobody has answered these
    asked = (
        f'{{"question": "What is {begun} + {n}?", "answer": "{begun + n}"}}' for n in range(600)
    )
    text.fill("\n".join(asked))
    page.evaluate(STOP_WHEN_ANSWERED)
    page.locator("#questions-run").click()
    stopped = page.locator('#questions [data-questions-state="stopped"]')
    stopped.wait_for(state="attached", timeout=ANSWER_MS)
    expect(status).to_have_text(
        re.compile(
            r"Cancelled after \d+ of \d+ answers\. Those of models that had finished are kept"
        )
    )
    expect(label).to_have_text(stale)
    with page.expect_download() as download:
        page.locator('#questions button[data-save="csv"]').click()
    assert download.value.suggested_filename == f"dppa-own-questions-{name}.csv"
    text.fill("")
    page.locator("#questions-run").click()
    expect(page.locator("#questions-box .field-note")).to_contain_text("no questions yet")
    expect(status).to_have_text("")
    expect(label).to_have_text(stale)


@pytest.mark.long
def test_each_model_has_a_list_and_the_chat_and_the_pinned_question_offer_them(
    studio: Studio,
) -> None:
    page = studio.page
    studio.wait_models()
    text, choice = page.locator("#questions-text textarea"), page.locator("#questions-for")
    pinned = page.locator("#pinned-choice")
    toy = pinned.input_value()
    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    text.fill(APPLES)
    expect(pinned).not_to_have_value(toy, timeout=ANSWER_MS)
    expect(pinned.locator("option")).to_have_count(7)  # and one of one's own
    expect(page.locator("#pinned")).to_contain_text("apples", timeout=ANSWER_MS)
    mark = page.locator("#pinned .right-mark")
    expect(mark).to_have_text(re.compile("right|wrong"), timeout=ANSWER_MS)
    reply = page.locator("#pinned-text").inner_text()
    for answer, says in ((f"{reply} not", "✗ wrong"), (reply, "✓ right")):
        item = {"question": pinned.input_value(), "answer": answer, "scorer": "exact"}
        text.fill(json.dumps(item))
        expect(mark).to_have_text(says, timeout=ANSWER_MS)
    text.fill(APPLES)
    expect(pinned.locator("option")).to_have_count(7, timeout=ANSWER_MS)
    choice.select_option(label="law")
    expect(text).to_have_value("")
    text.fill(CLAUSES)
    expect(choice.locator("option", has_text="law")).to_have_text("law ✓")
    expect(page.locator("#questions-kept")).to_have_text(
        "1 of 3 models have a list. Score asks the one for all models too; Search takes it for "
        "the others."
    )
    choice.select_option("")
    expect(text).to_have_value(APPLES)
    chips = page.locator("#examples .example-domain")
    expect(chips).to_have_text(2 * ["questions"] + 2 * ["law questions"], timeout=ANSWER_MS)
    page.locator("#questions-run").click()
    head = page.locator("#questions .scores thead").first.locator("th")
    names = ("questions", "law questions")
    expect(head).to_have_text(["model", *names, "mean retention"], timeout=ANSWER_MS)
    items = page.locator("#questions tr[data-right]")
    expect(items).to_have_count(6)
    page.locator("#questions-list").select_option(label="law questions")
    expect(items).to_have_count(4)
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
    choice.select_option(label="law ✓")
    text.fill("")
    choice.select_option("")
    text.fill("")
    expect(chips.first).to_have_text("math", timeout=ANSWER_MS)
    expect(pinned.locator(f'option[value="{toy}"]')).to_have_count(1)


def searches(studio: Studio) -> None:
    """A joint search, by the half of the questions that Score leaves."""
    page = studio.page
    studio.open_pane("search")
    page.locator("#search-own input").check()
    page.locator("#search-way label", has_text="joint").click()
    page.locator("#search-run").click()
    done = page.locator('#search [data-search-state="done"]')
    done.wait_for(state="attached", timeout=4 * ANSWER_MS)
    marks = page.locator("#search-plot g.trial")
    assert "questions" in " ".join(
        mark.get_attribute("aria-label") or mark.text_content() or "" for mark in marks.all()
    )


@pytest.mark.long
def test_a_look_at_another_list_and_half_a_line_change_nothing(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    text, choice = page.locator("#questions-text textarea"), page.locator("#questions-for")
    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    text.fill(APPLES)
    pinned = page.locator("#pinned-choice")
    expect(pinned.locator("option")).to_have_count(7, timeout=ANSWER_MS)
    last = pinned.locator("option").nth(2).get_attribute("value") or ""
    pinned.select_option(last)
    page.locator("#questions-run").click()
    expect(page.locator("#questions tr[data-right]").first).to_be_visible(timeout=ANSWER_MS)
    choice.select_option(label="law")
    choice.select_option("")
    expect(text).to_have_value(APPLES)
    expect(page.locator("#questions .earlier")).to_have_text("")
    text.fill(APPLES + '\n{"question": "4')
    page.wait_for_timeout(1500)  # longer than the rest of the keyboard that sends the lists
    expect(pinned).to_have_value(last)
