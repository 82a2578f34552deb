"""Overlap and conflict: counted on request, drawn at all rates, and labelled."""

import numpy as np
import pytest

from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.profiling.profile import cached_profile
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio

MATH, FINANCE, LAW = "zoo:math", "zoo:finance", "zoo:law"


def look_at(studio: Studio, quantity: str) -> None:
    """Choose it, and wait until it is counted."""
    studio.choose("quantity", quantity)
    studio.wait_frame()
    studio.page.locator('#plots [data-counting="false"]').first.wait_for(state="attached")


def expected(rate: int, other: str) -> dict[tuple[int, str], tuple[float, float]]:
    """Cell -> (overlap, conflict) of math with another, from the library."""
    names = (MATH, FINANCE, LAW)
    pair = next(
        p for p in count_meetings("zoo:base", names) if (p.first, p.second) == (MATH, other)
    )
    modules = cached_profile("zoo:base", MATH).modules
    kept, both, opposed = pair.kept[0, :, rate], pair.both[:, rate], pair.opposed[:, rate]
    return {
        (item.module.layer, item.module.kind): (both[n] / kept[n], opposed[n] / both[n])
        for n, item in enumerate(modules)
    }


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_conflict_is_drawn_at_every_rate(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    studio.wait_exact(80)
    look_at(studio, "conflict")
    studio.page.locator("#partner").select_option(FINANCE)
    studio.wait_frame()
    for rate in (80, 37):
        studio.set_rate(rate)
        cells = studio.cells()
        for place, (_, conflict) in expected(rate, FINANCE).items():
            assert cells[place] == pytest.approx(conflict, abs=2e-4), (rate, place)
    look_at(studio, "overlap")
    for place, (overlap, _) in expected(37, FINANCE).items():
        assert studio.cells()[place] == pytest.approx(overlap, abs=2e-4)
    title = studio.page.locator(".plot-heatmap h3")
    assert (
        title.inner_text().startswith("finance keeps ")
        and "of what math keeps" in title.inner_text()
    )
    assert title.evaluate("e => e.getBoundingClientRect().height <= 2.2 * 1.25 * 17")
    assert studio.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.long
@pytest.mark.keeps
def test_all_others_are_the_sum_of_the_pairs(studio: Studio) -> None:
    studio.wait_exact(80)
    look_at(studio, "overlap")
    pairs = [expected(80, other) for other in (FINANCE, LAW)]
    for place, value in studio.cells().items():
        assert value == pytest.approx(np.mean([pair[place][0] for pair in pairs]), abs=2e-4)


@pytest.mark.long
def test_a_negative_coefficient_turns_signs_round_and_the_tip_says_what_is_counted(
    studio: Studio,
) -> None:
    studio.wait_exact(80)
    look_at(studio, "conflict")
    studio.page.locator("#partner").select_option(LAW)
    studio.wait_frame()
    before = studio.cells()
    law = f'#models .model-row[data-model="{LAW}"] input[type=range]'
    studio.set_range(studio.page.locator(law), -1)
    studio.choose("focus", MATH)
    studio.wait_frame()
    studio.page.locator('#plots [data-exact="true"]').first.wait_for(state="attached")
    for place, value in studio.cells().items():
        assert value == pytest.approx(1 - before[place], abs=2e-4)
    studio.page.locator("#heatmap g.cell").first.hover()
    tip = studio.page.locator(".plot-heatmap .tip").inner_text()
    assert "law keeps" in tip and "with opposite signs" in tip and "unpruned" in tip


@pytest.mark.long
def test_other_settings_are_counted_anew_and_one_model_has_no_conflict(studio: Studio) -> None:
    studio.wait_exact(80)
    look_at(studio, "overlap")
    before = studio.cells()
    studio.open_advanced()
    studio.set_range(studio.page.locator("#strength input[type=range]"), 0)
    studio.page.locator('#plots [data-counting="true"]').first.wait_for(state="attached")
    assert "being counted" in studio.page.locator(".plot-heatmap h3").inner_text()
    studio.page.locator('#plots [data-counting="false"]').first.wait_for(state="attached")
    assert studio.cells() != before
    for name in (FINANCE, LAW):
        box = f'#models .model-row[data-model="{name}"] input[type=checkbox]'
        studio.page.locator(box).set_checked(False)
    studio.page.locator('#plots [data-quantity="mean"]').first.wait_for(state="attached")
    assert studio.page.locator('#quantity option[value="conflict"]').count() == 0
