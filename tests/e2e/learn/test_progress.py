"""What makes a lesson done, and what is saved of it."""

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.learn.test_learn import wait_lesson

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


def test_exercises_are_done_by_answers(visit: Visit) -> None:
    page = visit().page
    answer_every_step(page)
