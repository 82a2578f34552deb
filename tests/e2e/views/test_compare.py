"""Two models or merges compared: the library's numbers, sorted, on screen and phone."""

import json

import pytest
from playwright.sync_api import Page, expect

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.diff.cells import diff_cells
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.panes.test_score import run as score
from tests.e2e.panes.test_score import wait_state as wait_scoring


def open_view(studio: Studio) -> Page:
    studio.wait_models()
    studio.page.locator('#views button[data-view="compare"]').click()
    return studio.page


def compare(page: Page, first: str, second: str) -> None:
    page.locator("#compare-first").select_option(first)
    page.locator("#compare-second").select_option(second)
    page.locator("#compare-run").click()
    wait_state(page, "done")


def wait_state(page: Page, state: str) -> None:
    found = page.locator(f'#compare [data-compare-state="{state}"]')
    found.wait_for(state="attached", timeout=ANSWER_MS)


def drawn(page: Page, kind: str = "amounts") -> dict[tuple[int, str], float]:
    rows = page.eval_on_selector_all(
        f"#compare-{kind} g.cell", "cells => cells.map(c => ({...c.dataset}))"
    )
    return {(int(row["layer"]), row["kind"]): float(row["value"]) for row in rows}


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_domain_model_against_its_base(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    page = open_view(studio)
    compare(page, "zoo:base", "zoo:law")
    models = [open_checkpoint(f"zoo:{name}") for name in ("base", "law", "base")]
    found = diff_cells(models, ("base", "law", "base"))
    expected = {(c.layer, c.kind): c.distance.over_base for c in found.cells}
    assert drawn(page) == pytest.approx(expected, rel=1e-3)
    expect(page.locator("#compare .plot-title")).to_contain_text("Base and law differ by")
    overflow = "() => document.scrollingElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    assert page.locator('#compare-measure option[value="delta_cosine"]').is_disabled()


@pytest.mark.long
def test_two_merges_their_settings_and_a_table_that_sorts(studio: Studio) -> None:
    page = open_view(studio)
    expect(page.locator('#compare-second option[value="other"]')).to_be_disabled()
    page.evaluate("() => window.dppa.showSlot('B')")
    expect(page.locator('#compare-second option[value="other"]')).to_be_enabled()
    studio.set_range(studio.rate, 60)
    page.wait_for_function("() => +document.querySelector('#exact').dataset.rate === 60")
    compare(page, "merged", "other")
    expect(page.locator("#compare .settings li").first).to_have_text(
        "math: pruning rates 80 %, 60 % → 90 %, 80 %"
    )
    page.locator("#compare-measure").select_option("sign_agreement")
    assert all(0.9 < value <= 1 for value in drawn(page, "signs").values())
    heading = page.locator('#compare-table button[data-sort="over_base"]')
    heading.click()
    expect(page.locator('#compare-table th[aria-sort="descending"]')).to_have_count(1)
    script = "cells => cells.map(c => parseFloat(c.textContent))"
    values = page.eval_on_selector_all('#compare-table td[data-name="over_base"]', script)
    assert len(values) == 42 and values == sorted(values, reverse=True)
    heading.click()
    values = page.eval_on_selector_all('#compare-table td[data-name="over_base"]', script)
    assert values == sorted(values)
    studio.set_range(studio.rate, 70)
    page.locator('#compare [data-stale="true"]').wait_for(state="attached")


@pytest.mark.long
def test_the_merge_against_a_domain_model_as_a_file(studio: Studio) -> None:
    page = open_view(studio)
    compare(page, "merged", "zoo:math")
    with page.expect_download() as download:
        page.locator('#compare button[data-save="csv"]').click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert len(lines) == 43 and lines[0].startswith("layer,module,weights (count),")
    assert "cosine of the two changes (cosine)" in lines[0]


@pytest.mark.long
def test_it_can_be_cancelled_and_bad_choices_are_refused(studio: Studio) -> None:
    page = open_view(studio)
    page.locator("#compare-first").select_option("zoo:math")
    page.locator("#compare-second").select_option("zoo:math")
    page.locator("#compare-run").click()
    expect(page.locator(".field-note")).to_contain_text("You chose math twice")
    assert json.loads(page.evaluate("() => JSON.stringify(window.dppa.activity.compare)")) == "idle"
    score(studio, 400)  # so that a comparison has to wait, whatever was scored before
    wait_scoring(studio, "running")
    page.locator("#compare-second").select_option("zoo:law")
    page.locator("#compare-run").click()
    standing = page.locator("#compare .standing")
    expect(standing).to_contain_text("waiting")
    page.locator("#compare-stop").click()
    expect(standing).not_to_contain_text("waiting")
    page.locator("#score-stop").click()
    page.locator("#compare-run").click()  # at once: nothing of it is lost
    wait_state(page, "done")
