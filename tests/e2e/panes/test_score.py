"""The score: test accuracy by domain, started by a button, with progress and Stop."""

import pytest
from playwright.sync_api import expect

from tests.e2e.expected import ACTIVE
from tests.e2e.page_driver import ANSWER_MS, Studio

DOMAINS = ("math", "finance", "law")


def run(studio: Studio, items: int) -> None:
    """Start scoring `items` questions a domain."""
    studio.wait_models()
    studio.open_pane("score")
    box = studio.page.locator("#score-limit input[type=number], #score-limit input").first
    box.fill(str(items))
    box.press("Tab")
    studio.page.locator("#score-run").click()


def wait_state(studio: Studio, *states: str, timeout: float = 2 * ANSWER_MS) -> None:
    """Wait until scoring is in one of `states`."""
    selector = ", ".join(
        f'#score [data-score-state="{s}"], #score[data-score-state="{s}"]' for s in states
    )
    studio.page.locator(selector).first.wait_for(state="attached", timeout=timeout)


@pytest.mark.long
def test_every_model_gets_a_score_in_every_domain(studio: Studio) -> None:
    run(studio, 4)
    studio.page.locator("#score [role=progressbar]").first.wait_for()
    wait_state(studio, "done", "failed")
    assert studio.page.locator('[data-score-state="failed"]').count() == 0, "scoring failed"
    cells = studio.page.locator("#score table.scores td[data-accuracy]")
    found = {}
    for cell in cells.all():
        key = (cell.get_attribute("data-target"), cell.get_attribute("data-domain"))
        found[key] = float(cell.get_attribute("data-accuracy") or "nan")
        assert "%" in cell.inner_text()
    targets = {target for target, _ in found}
    assert {"merged", "zoo:base", *ACTIVE} <= targets
    for target in targets:
        assert {d for t, d in found if t == target} >= set(DOMAINS)
    assert all(0 <= accuracy <= 1 for accuracy in found.values())
    measures(studio)
    reads_a_text(studio)


def measures(studio: Studio) -> None:
    """The same table of another measure, and its plot: what the merge kept of its models."""
    page = studio.page
    assert {"linear", "task_arithmetic"} <= {
        row.get_attribute("data-target") for row in page.locator("#score tbody tr").all()
    }
    page.locator("#score-measure").select_option("retention")
    kept = page.locator('#score tr[data-target="merged"] td[data-retention]')
    expect(kept).to_have_count(len(DOMAINS))
    expect(page.locator('#score tr[data-target="zoo:base"] td[data-retention]')).to_have_count(0)
    dots = page.locator('#score .plot-score circle[data-target="merged"]')
    expect(dots).to_have_count(len(DOMAINS))
    for dot, cell in zip(dots.all(), kept.all(), strict=True):
        assert float(dot.get_attribute("data-value") or "nan") == pytest.approx(
            float(cell.get_attribute("data-retention") or "nan"), abs=1e-5
        )
    expect(page.locator("#score .score-line")).to_contain_text(
        "of its models' own accuracy; least in"
    )
    fits = "table => table.scrollWidth <= table.parentElement.clientWidth"
    for measure, rows in (("loss", 7), ("forgetting", 3)):  # merges forget nothing: no row of "–"
        page.locator("#score-measure").select_option(measure)
        expect(page.locator("#score tbody tr")).to_have_count(rows)
        assert page.locator("#score table").evaluate(fits), measure
        marks = page.locator("#score .plot-score text.axis").last
        assert marks.evaluate("(e) => e.getBBox().x >= 0"), measure
    expect(page.locator("#score .how").first).to_contain_text("Without a row: the base itself")


def reads_a_text(studio: Studio) -> None:
    """Nothing, then forty sentences: a row for everybody, one of them the least."""
    page = studio.page
    studio.unfold("perplexity-box", "#perplexity-text")
    page.locator("#perplexity-run").click()
    expect(page.locator("#perplexity-box .field-note")).to_contain_text("no text yet")
    long = b"Tom has 12 apples and buys 5 more. " * 1000
    page.locator("#perplexity-file").set_input_files(
        {"name": "tom.txt", "mimeType": "text/plain", "buffer": long}
    )
    told = "The first 20,000 characters of tom.txt stand above."
    expect(page.locator("#perplexity .how").first).to_have_text(told)
    assert len(page.locator("#perplexity-text textarea").input_value()) == 20_000
    page.locator("#perplexity-text textarea").fill("Tom has 12 apples and buys 5 more. " * 40)
    page.locator("#perplexity-run").click()
    rows = page.locator("#perplexity tbody tr")
    expect(rows).to_have_count(7, timeout=ANSWER_MS)
    expect(rows.first.locator("th")).to_have_text("merged")
    expect(rows.last.locator("th")).to_have_text("base")
    expect(page.locator('#perplexity tr[data-best="true"]')).to_have_count(1)
    assert all(
        float(one) > 1
        for one in page.locator("#perplexity td[data-perplexity]").evaluate_all(
            "all => all.map(one => one.dataset.perplexity)"
        )
    )
    expect(page.locator("#perplexity .how .term")).to_have_count(3)  # perplexity, token, interval
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.long
def test_scoring_can_be_stopped(studio: Studio) -> None:
    run(studio, 50)
    note = studio.page.locator("#score-pane .field-note")
    expect(note).to_contain_text("in steps of 4. 50 became 52.")
    wait_state(studio, "running")
    studio.page.locator("#score-stop").click()
    wait_state(studio, "stopped", timeout=15_000)
    studio.page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
