"""A training run in the pane Search: its checkpoints drawn, a mean taken over."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS
from tests.e2e.panes.test_adamerging import NO_WIDER
from tests.helpers.training import TEXT, train


@pytest.mark.parametrize(
    ("width", "height"), [(1440, 900), pytest.param(390, 844, marks=pytest.mark.long)]
)
def test_a_mean_of_a_run_is_taken_over(
    visit: Visit, tmp_path: Path, width: int, height: int
) -> None:
    run = train(tmp_path / "run", saves=8)
    studio = visit(width, height)
    page = studio.page
    studio.wait_models()
    studio.open_pane("search")
    studio.unfold("course-box", "#course-folder")
    page.locator("#course-run").click()
    expect(page.locator("#course-box .field-note")).to_contain_text("There is no folder yet")
    page.locator("#course-folder input").fill(str(run))
    page.locator("#course-text textarea").fill(TEXT * 4)
    expect(page.locator("#course-half-life")).to_be_hidden()
    page.locator("#course-run").click()
    done = page.locator('#course [data-course-state="done"]')
    done.wait_for(state="attached", timeout=ANSWER_MS)

    plot = page.locator("#course-plot")
    plot.scroll_into_view_if_needed()
    assert plot.evaluate(NO_WIDER)
    alone = plot.locator('[data-series="checkpoint"]')
    means = plot.locator('[data-series^="mean from here"]')
    assert (alone.count(), means.count()) == (8, 8)
    expect(plot).to_contain_text("loss of the text (nats per token)")
    expect(page.locator("#course .plot-title")).to_contain_text("is best")

    said = page.locator("#course .said")
    means.first.focus()  # of all eight: more than the list of models holds
    page.keyboard.press("Enter")
    expect(said.locator("code")).to_have_text(f"dppa average {run} --out mean.yaml --last 8")
    means.nth(5).focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("Taken over: the mean of the last 3 checkpoints")
    page.get_by_text("Base model: checkpoint-12 (folder)").wait_for(state="attached")
    state = page.evaluate("() => dppa.stateNow()")
    assert state["method"]["method"] == "task_arithmetic"
    assert [Path(model["ref"]).name for model in state["models"]] == [
        "checkpoint-14",
        "checkpoint-16",
    ]
