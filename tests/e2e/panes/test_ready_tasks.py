"""Ready tasks of lm-evaluation-harness: a wrong name, then a table with a row for every model."""

from importlib.util import find_spec

import pytest
from playwright.sync_api import expect

from tests.e2e.page_driver import ANSWER_MS, Studio

pytestmark = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="needs the extra lm-eval: pip install '.[lm-eval]'"
)


def test_tasks_are_asked_by_name(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    studio.open_pane("score")
    studio.unfold("tasks-box", "#tasks-text")
    names, status = (
        page.locator("#tasks-text input"),
        page.locator("#tasks .standing"),
    )
    page.locator("#tasks-run").click()
    expect(page.locator("#tasks-box .field-note")).to_contain_text("There is no task yet")
    names.fill("dppa_sum")
    page.locator("#tasks-run").click()
    expect(status).to_contain_text("Did you mean 'dppa_sums'?", timeout=ANSWER_MS)
    names.fill("dppa_sums")
    page.locator("#tasks-run").click()
    rows = page.locator("#tasks tr[data-key]")
    expect(rows).to_have_count(7, timeout=ANSWER_MS)
    expect(rows.first.locator("th")).to_have_text("merged")
    expect(rows.last.locator("th")).to_have_text("base")
    expect(page.locator("#tasks h3")).to_have_text("dppa_sums, 6 questions")
    expect(status).to_contain_text("the merge as it is now")
    values = page.locator("#tasks td[data-value]")
    expect(values).to_have_count(7)
    for value in values.all():
        assert 0 <= float(value.get_attribute("data-value") or "nan") <= 1
        assert "–" in value.locator(".muted").inner_text()
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
