"""What makes a lesson done, and what is saved of it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.learn.test_learn import wait_lesson

RUN_MS = 120_000
ANSWER_STEP = """step => {
    document.querySelector(`.hand-steps [data-step="${step}"]`).click();
    for (const button of document.querySelectorAll('.hand-step .choice-button')) {
        if (document.querySelector('.hand-step .quiz').dataset.verdict !== 'right') button.click();
    }
}"""


def answer_every_step(page: Page) -> None:
    """By hand is done with the last of its steps, and not before."""
    page.evaluate("() => dppa.learn.go('by-hand')")
    wait_lesson(page, "by-hand")
    expect(page.get_by_role("button", name="I have read this")).to_have_count(0)
    steps = page.locator(".hand-steps button").evaluate_all("all => all.map(b => b.dataset.step)")
    for step in steps:
        expect(page.locator(".lesson-done")).to_be_hidden()
        page.evaluate(ANSWER_STEP, step)
    expect(page.locator(".lesson-done")).to_be_visible()
    expect(page.locator('a[data-lesson="by-hand"] .sr')).to_have_text(" (done)")
    expect(page.locator('.hand-steps [data-solved="true"]')).to_have_count(len(steps))


def answer_five(page: Page, time: str, choice: int) -> None:
    """Choose the same place in all five questions, and have them counted."""
    page.evaluate("name => dppa.learn.go(name)", time)
    page.locator(f'[data-part="learn"][data-lesson="{time}"]').wait_for()
    count = page.get_by_role("button", name="Count my answers")
    for box in page.locator(".lesson .quiz").all():
        expect(count).to_be_disabled()
        box.locator(".choice-button").nth(choice).click()
    count.click()


@pytest.mark.long
def test_a_try_leads_to_the_hidden_test(visit: Visit) -> None:
    page = visit(width=390, height=844).page
    page.evaluate("() => dppa.learn.go('playground')")
    wait_lesson(page, "playground")
    expect(page.get_by_role("button", name="Hidden test")).to_be_disabled()
    box = page.locator('[data-block="playground"]')
    expect(box).to_contain_text("of 60", timeout=RUN_MS)  # the merge to beat
    page.get_by_role("slider", name="Next 5").press("End")
    page.get_by_role("button", name="Try it").click()
    expect(box.locator("tbody tr")).to_contain_text("×\u202f4", timeout=RUN_MS)
    page.get_by_role("button", name="Hidden test").click()
    expect(box.locator(".found")).to_contain_text("You did not beat it", timeout=RUN_MS)
    expect(page.get_by_role("button", name="Try it")).to_be_disabled()
    page.get_by_role("button", name="Start over").click()
    expect(box.locator("tbody")).to_have_count(0)


@pytest.mark.keeps
def test_what_was_answered_makes_a_lesson_done_and_is_saved(visit: Visit) -> None:
    page = visit().page
    answer_every_step(page)
    answer_five(page, "before", 3)  # I do not know
    expect(page.locator(".lesson-done")).to_contain_text("0 of 5 right. Which ones")
    expect(page.locator('.choice-button[data-verdict="right"]')).to_have_count(0)
    answer_five(page, "after", 1)
    expect(page.locator(".lesson-done")).to_have_text("2 of 5 right; before the lessons 0 of 5.")
    expect(page.locator('.choice-button[data-verdict="right"]')).to_have_count(5)
    page.get_by_label("Your name").fill(" ../Zoë O'Neil\u202e<b> ")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save what I did").click()
    assert re.fullmatch(
        r"dppa-zoë-o-neil-b-\d{4}-\d\d-\d\d\.html", download.value.suggested_filename
    )
    report = Path(download.value.path()).read_text(encoding="utf-8")
    lines = re.findall(r"<li>(.*?)</li>", report.partition("</ul>")[0])
    assert len(lines) <= 10 and lines[0].startswith("Name: ../Zoë O'Neil") and "<b>" not in report
    assert "The same five questions: before the lessons 0 of 5, after the lessons 2 of 5" in lines
    assert "One matrix by hand: 8 tasks done" in lines


def test_the_tab_looks_usual_settings_up_and_the_server_computes_with_own_numbers(
    visit: Visit,
) -> None:
    page, asked = visit().page, []
    page.evaluate("() => dppa.learn.go('by-hand')")
    wait_lesson(page, "by-hand")
    source = page.locator('[data-block="by-hand"] .source')
    expect(source).to_have_attribute("data-source", "server")
    rate = page.get_by_role("slider", name="Pruning rate")
    for key in ("Home", "End") * 50:  # until the walks are here
        if source.get_attribute("data-source") == "server":
            rate.press(key)
            page.wait_for_timeout(200)
    page.on("request", lambda request: asked.append(request.post_data or ""))
    page.get_by_role("slider", name="Factor of partition 1").press("End")
    for key in ("Home", "ArrowRight", "End"):
        rate.press(key)
    page.locator('.hand-steps [data-step="pruned"]').click()
    expect(page.locator(".hand-step")).to_contain_text("the 4 largest of 36 stay")
    expect(source).to_have_attribute("data-source", "tab")
    assert not [body for body in asked if "by-hand" in body]
    page.get_by_role("textbox", name="Base W, row 1, column 1", exact=True).fill("10")
    expect(source).to_have_attribute("data-source", "server")
    page.get_by_role("button", name="Take back my numbers").click()
    expect(source).to_have_attribute("data-source", "tab")
    kept = page.evaluate("sessionStorage['dppa-by-hand']")
    assert "heavy" in kept and "tab/" not in kept, "a later version has its walks elsewhere"
