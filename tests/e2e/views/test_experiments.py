"""The experiments: read when first shown, drawn, saved, a row applied and undone."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio
from tests.e2e.test_looks import AXE
from tests.e2e.tuning import wait_rest


@pytest.mark.long
def test_an_experiment_is_read_drawn_saved_and_a_row_is_set(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.wait_exact(80)
    wait_rest(studio)
    page = studio.page
    assert page.locator("#experiment-choice option").count() == 0  # nothing was read yet
    page.locator('#views button[data-view="experiments"]').click()
    expect(page.locator("#experiments .finding")).to_have_text("DP keeps 66\u202f%, −6.2 points.")
    expect(page.locator("#experiments .plot-result")).to_have_count(1)
    page.locator("#experiments .result-more summary").click()
    expect(page.locator("#experiments .plot-result")).to_have_count(3)
    expect(page.locator('#experiments g.point[data-series="90 %"]')).to_have_count(2)
    expect(page.locator("#experiments .result-table")).to_contain_text("66 (59.2 to 72.2)")
    expect(page.locator("#experiments .result-table")).to_contain_text("${no_items}")
    expect(page.locator("#experiments .result-how pre")).to_contain_text(
        "dppa reproduce first --preset mine.yaml --limit 200   # this one alone"
    )
    heads = page.locator("#experiments .result-table thead th")
    assert heads.all_inner_texts() == ["method", "set", "pruned (%)", "accuracy (%)"]
    fits = "scroll => scroll.scrollWidth <= scroll.clientWidth"
    assert page.locator("#experiments .result-table .scroll").evaluate(fits)
    overflow = "() => document.scrollingElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run('#experiments', {resultTypes: ['violations']})")
    assert not [one["id"] for one in found["violations"] if one["impact"] != "minor"]
    with page.expect_download() as download:
        page.locator('#experiments .plot-result [data-save="csv"]').nth(1).click()
    assert download.value.path().read_text("utf-8").startswith("series,method,gain (points),")
    with page.expect_download() as picture:
        page.locator('#experiments .plot-result [data-save="svg"]').nth(2).click()
    assert "Gain" in picture.value.path().read_text("utf-8")

    rows = page.locator("#experiments .result-table tbody tr")
    expect(rows.nth(1).get_by_role("button")).to_have_count(0)  # no control for a seed
    rows.nth(0).get_by_role("button").click()
    expect(page.locator("#experiments .standing")).to_contain_text(
        "merge of DPPA, pruned 90\u202f%"
    )
    expect(studio.rate).to_have_value("90")
    page.locator('#tune [data-restoring="false"]').wait_for(state="attached")
    page.locator("#undo").click()
    expect(studio.rate).to_have_value("80")
    expect(page.locator("#experiments .standing")).to_have_text("")

    (cell,) = page.locator('#experiments g.point[data-row][role="button"]').all()
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#experiments .standing")).to_contain_text("merge of Gain, 90, 0 pruned")
    expect(studio.rate).to_have_value("90")

    page.locator("#experiment-choice").select_option("last")
    expect(page.locator("#experiments .problem")).to_have_text(
        "Not run: dppa zoo train comes first"
    )


@pytest.mark.long
def test_each_experiment_is_an_answer_and_a_plot_and_all_else_is_folded(studio: Studio) -> None:
    page = studio.page
    page.locator('#views button[data-view="experiments"]').click()
    page.locator("#experiment-models").select_option("1")  # those that came along
    host, choice = page.locator('[data-part="experiments"]'), page.locator("#experiment-choice")
    expect(choice.locator("option")).to_have_count(13)
    for key in ("overview", "strength", "bands"):  # the longest
        choice.select_option(key)
        expect(host).to_have_attribute("data-shown", key)
        box = host.bounding_box()
        assert box and box["height"] <= 1800, key
        text = host.inner_text()
        assert len(text.split()) <= 450, key
        assert page.locator("#experiments .finding").count() == 1
        page.locator("#experiments .result-more summary").click()
        page.locator("#experiments .result-how").wait_for()
        assert not re.search(r"\]\(|`|\*\w|\bseed \d|smollm2|lora\b", host.inner_text()), key


@pytest.mark.long
def test_a_bar_of_a_measured_merge_sets_the_controls(studio: Studio) -> None:
    studio.wait_exact(80)
    wait_rest(studio)
    page = studio.page
    page.locator('#views button[data-view="experiments"]').click()
    page.locator("#experiment-models").select_option("1")
    page.locator("#experiment-choice").select_option("merges")
    page.get_by_role("button", name="Set the controls to this merge. 90 %: method TIES,").click()
    expect(page.locator("#experiments .standing")).to_contain_text("TIES")
    expect(page.locator("#method-choice")).to_have_value("ties")
