"""Ready tasks of lm-evaluation-harness: a wrong name, then a table with a row for every model, and
its label while other runs fail or are cancelled."""

import re
from importlib.util import find_spec

import pytest
from playwright.sync_api import expect

from tests.e2e.page_driver import ANSWER_MS, Studio

pytestmark = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="needs the extra lm-eval: pip install '.[lm-eval]'"
)


STYLE = "e => [getComputedStyle(e).color, getComputedStyle(e).fontWeight]"
STOP_AT_ONCE = """() => new MutationObserver((_, observer) => {
  if (!document.querySelector('#tasks [data-tasks-state="running"]')) return;
  observer.disconnect();
  document.getElementById("tasks-stop").click();
}).observe(document.getElementById("tasks"), { attributes: true, subtree: true })"""


@pytest.mark.long
def test_tasks_are_asked_by_name(studio: Studio) -> None:
    page = studio.page
    studio.wait_models()
    studio.open_pane("score")
    studio.unfold("tasks-box", "#tasks-text")
    names, status, note = (
        page.locator("#tasks-text input"),
        page.locator("#tasks .standing"),
        page.locator("#tasks-box .field-note"),
    )
    expect(names).to_have_attribute("placeholder", "")
    page.locator("#tasks-run").click()
    expect(note).to_contain_text("There is no task yet")
    refused = note.evaluate(STYLE)
    names.fill("dppa_sum")
    page.locator("#tasks-run").click()
    expect(status).to_contain_text("Did you mean 'dppa_sums'?", timeout=ANSWER_MS)
    assert status.evaluate(STYLE) == refused
    names.fill(" ")
    page.locator("#tasks-run").click()
    expect(note).to_contain_text("There is no task yet")
    expect(status).to_contain_text("Not asked yet")
    names.fill("dppa_sums")
    page.locator("#tasks-run").click()
    rows = page.locator("#tasks tr[data-key]")
    expect(rows).to_have_count(7, timeout=ANSWER_MS)
    expect(rows.first.locator("th")).to_have_text("merged")
    expect(rows.last.locator("th")).to_have_text("base")
    expect(page.locator("#tasks thead th").last).to_have_text("accuracy (acc)")
    expect(page.locator("#tasks h3")).to_have_text("dppa_sums, 6 questions")
    expect(page.locator("#tasks .measured")).to_contain_text("the merge as it is now")
    values = page.locator("#tasks td[data-value]")
    expect(values).to_have_count(7)
    for value in values.all():
        assert 0 <= float(value.get_attribute("data-value") or "nan") <= 1
        assert "–" in value.locator(".muted").inner_text()
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0
    stays_labelled(studio)


def stays_labelled(studio: Studio) -> None:
    """Until it is replaced, the table tells its recipe, whatever becomes of other runs."""
    page, label = studio.page, studio.page.locator("#tasks .measured")
    status, names = page.locator("#tasks .standing"), page.locator("#tasks-text input")
    name = studio.recipe[:6]
    names.fill("gsm8k")
    page.locator("#tasks-run").click()
    expect(status).to_contain_text("which has 1 task: dppa_sums.", timeout=ANSWER_MS)
    expect(label).to_have_text(f"Measured on recipe {name}, the merge as it is now.")
    studio.set_rate(71)
    stale = re.compile(f"Stale: measured on recipe {name}")
    expect(label).to_have_text(stale)
    names.fill("dppa_sums")
    page.evaluate(STOP_AT_ONCE)
    page.locator("#tasks-run").click()
    page.locator('#tasks [data-tasks-state="stopped"]').wait_for(state="attached")
    expect(status).to_contain_text("Cancelled")
    assert studio.recipe[:6] != name
    page.wait_for_timeout(1000)  # the results of models that had ended come after the click
    if "are kept" in status.inner_text():  # a model was faster than the click: the table is new
        name = studio.recipe[:6]
        expect(label).to_have_text(f"Measured on recipe {name}, the merge as it is now.")
    else:
        expect(label).to_have_text(stale)
        expect(page.locator("#tasks tr[data-key]")).to_have_count(7)
        warned, calm = (one.evaluate(STYLE)[0] for one in (label, status))
        assert warned != calm
    with page.expect_download() as download:
        page.locator('#tasks button[data-save="csv"]').click()
    assert download.value.suggested_filename == f"dppa-ready-tasks-{name}.csv"
    lines = download.value.path().read_text("utf-8").splitlines()
    rows = page.locator("#tasks tr[data-key]").count()
    assert len(lines) == 1 + rows and lines[1].startswith("merged,dppa_sums,acc,")
