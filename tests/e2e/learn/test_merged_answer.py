"""A merge that answers in a lesson: in the tab where it can, else by the server."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.learn.test_learn import wait_lesson
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.views.test_words_of_the_tab import ready


def mend(studio: Studio, source: str) -> None:
    """Lesson 5: two factors mend what pruning broke."""
    page = studio.page
    page.evaluate("() => dppa.learn.go('amplification')")
    wait_lesson(page, "amplification")
    block = page.locator('[data-block="merged-answer"]')
    said, mark = block.locator("[data-living=answer]"), block.locator(".right-mark")
    expect(mark).to_have_text("✗ wrong")
    studio.set_range(block.locator("input").nth(2), 3)
    expect(said).to_have_attribute("data-state", "whole", timeout=ANSWER_MS)
    expect(said).to_have_text("The tone is positive.", timeout=ANSWER_MS)
    expect(mark).to_have_text("✓ right")
    expect(said).to_have_attribute("data-source", source)
    studio.set_range(block.locator("input").nth(0), 99)
    expect(mark).to_have_text("✗ wrong", timeout=ANSWER_MS)
    block.locator("select").select_option(index=0)
    expect(said).to_have_text(re.compile(r"\d"), timeout=ANSWER_MS)
    page.evaluate("() => dppa.learn.go('')")


@pytest.mark.tab
def test_two_factors_mend_an_answer_in_the_tab(studio: Studio) -> None:
    ready(studio)
    mend(studio, "tab")


@pytest.mark.long
def test_without_a_worker_the_server_answers_the_lesson(studio: Studio) -> None:
    mend(studio, "server")
