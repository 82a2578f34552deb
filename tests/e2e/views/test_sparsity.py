"""The sparsity view: parts add up; lengths, losses, keys, and a table."""

import numpy as np
import pytest

from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio

LEVELS = (0.9, 0.8)


def parts(studio: Studio) -> dict[str, dict[str, float]]:
    """Row -> part -> share, as drawn."""
    rows = studio.page.eval_on_selector_all(
        "#sparsity rect.segment", "all => all.map(one => ({...one.dataset}))"
    )
    found: dict[str, dict[str, float]] = {}
    for one in rows:
        found.setdefault(one["row"], {})[one["part"]] = float(one["value"])
    return found


def opened(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.page.locator('#views button[data-view="sparsity"]').click()
    studio.page.locator("#sparsity").wait_for()


def counted(studio: Studio) -> None:
    studio.page.wait_for_function("() => dppa.losses()")
    studio.page.locator(".losses-line", has_text="rounded to bfloat16").wait_for()


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_the_parts_are_those_of_the_library(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    opened(studio)
    slider = studio.page.locator("#amplify .factor-row input[type=range]").nth(1)
    studio.set_range(slider, 0.1)
    weight = '#models .model-row[data-model="zoo:math"] input[type=range]'
    studio.set_range(studio.page.locator(weight), 0.05)
    studio.wait_exact(80)
    counted(studio)
    profile = cached_profile("zoo:base", "zoo:math")
    plan = plan_pruning(profile, LEVELS)
    lost = count_rounded(plan, (1.0, 0.1), 0.05).lost
    drawn = parts(studio)
    assert list(drawn) == ["all", *map(str, range(6))]
    for row, shares in drawn.items():
        inside = [n for n, m in enumerate(plan.modules) if row in ("all", str(m.layer))]
        numel = sum(plan.modules[n].numel for n in inside)
        nonzero = sum(profile.modules[n].nonzero for n in inside)
        bands = np.sum([plan.modules[n].partitions for n in inside], axis=0)
        gone = lost[inside].sum(axis=0)
        expected = {
            "band0": (bands[0] - gone[0]) / numel,
            "band1": (bands[1] - gone[1]) / numel,
            "lost": gone.sum() / numel,
            "pruned": (nonzero - bands.sum()) / numel,
            "never": 1 - nonzero / numel,
        }
        assert shares == pytest.approx(expected, abs=2e-3), row
        assert shares["lost"] == pytest.approx(expected["lost"], abs=1e-6)
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert drawn["all"]["lost"] > 0
    squares = sum(m.levels[-1].selection.energy for m in plan.modules)
    strong = sum(m.levels[0].selection.energy for m in plan.modules)
    total = sum(item.delta_square for item in profile.modules)
    after = studio.page.locator("#sparsity circle.after").first.get_attribute("data-value")
    before = studio.page.locator("#sparsity circle.before").first.get_attribute("data-value")
    assert float(before or 0) == pytest.approx((squares / total) ** 0.5, abs=2e-3)
    weighted = (strong + 0.01 * (squares - strong)) / total
    assert float(after or 0) == pytest.approx(weighted**0.5, abs=2e-3)
    title = studio.page.locator("#panel-sparsity h3").inner_text()
    assert title.startswith("20") and "amplified" in title
    assert studio.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_it_follows_the_slider_before_anything_is_counted(studio: Studio) -> None:
    opened(studio)
    kept = studio.page.evaluate(
        """() => new Promise((done) => {
            dppa.move('rate', 40);
            const seen = () => dppa.sparsityOf(dppa.view())[0].kept;
            requestAnimationFrame(() => requestAnimationFrame(() => done(seen())));
        })"""
    )
    assert kept == pytest.approx(0.6, abs=2e-3)
    assert parts(studio)["all"]["lost"] == 0
    with studio.page.expect_download() as download:
        studio.page.locator('#panel-sparsity button[data-save="svg"]').click()
    drawing = download.value.path().read_text("utf-8")
    for mark in ("never changed: ", "pruned: ", 'fill="url(#sparsity-pruned)"', "<pattern"):
        assert mark in drawing, "a picture has its legend, and the hatching of the bars"
    assert "var(" not in drawing


@pytest.mark.long
def test_the_way_back_leads_to_a_heatmap_that_follows(studio: Studio) -> None:
    opened(studio)
    assert not studio.page.locator("#heatmap").is_visible()
    assert not studio.page.locator("#quantity").is_visible()
    studio.page.locator('#views button[data-view="modules"]').click()
    studio.page.locator("#heatmap").wait_for()
    studio.page.locator("#sparsity").wait_for(state="hidden")
    studio.set_rate(55)
    assert studio.drawn("rate") == "55"


@pytest.mark.long
def test_the_table_holds_the_same_numbers_and_other_methods_say_what_is_not_known(
    studio: Studio,
) -> None:
    opened(studio)
    counted(studio)
    studio.page.locator("#panel-sparsity summary").click()
    row = studio.page.locator("#sparsity-table tbody tr").first.inner_text()
    assert row.replace("\u202f", " ").split("\t")[:3] == ["all", "10.0 %", "10.0 %"]
    studio.page.locator("#method select").first.select_option("ties")
    studio.page.locator(".losses-line", has_text="known after the merge").wait_for()
