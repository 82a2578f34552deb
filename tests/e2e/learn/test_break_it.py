"""The answers of merges that fail are written by the tab where it knows the merge."""

import pytest
from playwright.sync_api import expect

from dppa_core.teaching.failures.cases import run_case
from dppa_core.teaching.failures.workshop import Workshop
from tests.e2e.learn.test_by_hand import RUN_MS, opened
from tests.e2e.page_driver import Studio

SOURCES = [
    ("float16", ["tab", "server"]),
    pytest.param("one-percent", ["tab", "tab"], marks=pytest.mark.long),
]
"""Case, and who writes for the math model alone, and for the merge."""


@pytest.mark.long
@pytest.mark.tab
@pytest.mark.parametrize(("name", "sources"), SOURCES)
def test_the_tab_writes_the_library_s_text_of_a_failure_where_it_knows_the_merge(
    studio: Studio, name: str, sources: list[str]
) -> None:
    page, workshop = studio.page, Workshop(questions=1)
    page.evaluate("() => dppa.learn.go('break-it')")
    opened(page, "break-it")
    box = page.locator(f'[data-case="{name}"]')
    box.locator('[data-act="break"]').first.click()
    lines = box.locator('[data-side="broken"] .break-answer')
    for place, source in enumerate(sources):
        expect(lines.nth(place)).to_have_attribute("data-source", source, timeout=RUN_MS)
    written = [answer["text"] for answer in run_case(name, False, workshop)["answers"]]
    assert lines.locator("span:not(.source)").all_inner_texts() == written
    expect(lines.last.locator(".source")).to_have_text(f"by the {sources[-1]}")
    workshop.close()
    page.evaluate("() => dppa.learn.go('')")
