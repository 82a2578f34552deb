"""The pruning slider: all views follow it, and end on the right value."""

import pytest

from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.pruning.partition import even_levels
from dppa_core.pruning.plan import plan_pruning
from tests.e2e.expected import kept_percent, plan
from tests.e2e.page_driver import ACT_MS, ANSWER_MS, Studio


def shows_the_plan_of(studio: Studio, domain: str, percent: int) -> None:
    """The heatmap (as density) and the kept shares equal the library's plan."""
    expected = plan(domain, percent)
    cells = studio.cells()
    for module in expected.modules:
        shown = cells[(module.layer, module.kind)]
        assert shown == pytest.approx(module.kept / module.numel, abs=2e-3), module.name
    bands = studio.bands()
    for layer in {m.layer for m in expected.modules}:
        inside = [m for m in expected.modules if m.layer == layer]
        kept = 100 * sum(m.kept for m in inside) / sum(m.numel for m in inside)
        shown = sum(value for (at, _), value in bands.items() if at == layer)
        assert shown == pytest.approx(kept, abs=0.2), f"layer {layer}"


@pytest.mark.keeps
def test_a_drag_moves_every_plot_and_ends_on_the_exact_plan(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("focus", "zoo:math")
    studio.choose("quantity", "density")
    before = (studio.cells(), studio.bands())
    studio.watch_paints()
    studio.drag_rate(40)
    seen = [p["rate"] for p in studio.paints()]
    assert len(set(seen)) >= 5, f"the plots stood still during the drag: {seen}"
    final = int(float(studio.rate.input_value()))
    assert abs(final - 40) <= 2
    studio.wait_exact(final)
    assert studio.drawn("rate") == str(final) == studio.exact("rate")
    after = (studio.cells(), studio.bands())
    for old, new in zip(before, after, strict=True):
        assert old != new
    assert float(studio.exact("kept")) == pytest.approx(kept_percent(final), abs=0.1)
    shows_the_plan_of(studio, "math", final)
    studio.set_rate(80)


@pytest.mark.keeps
def test_arrow_keys_count_as_moves(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("quantity", "density")
    kept = studio.cells()
    studio.rate.focus()
    for _ in range(7):
        studio.page.keyboard.press("ArrowLeft")
    studio.wait_exact(73)
    assert studio.rate.input_value() == "73"
    assert studio.cells() != kept
    shows_the_plan_of(studio, studio.drawn("focus").removeprefix("zoo:"), 73)
    studio.set_rate(80)


@pytest.mark.long
@pytest.mark.keeps
def test_the_number_box_counts_as_a_move(studio: Studio) -> None:
    studio.wait_exact(80)
    box = studio.page.locator("#rate input[type=number]")
    box.fill("95")
    box.press("Tab")
    studio.wait_exact(95)
    assert float(studio.exact("kept")) == pytest.approx(kept_percent(95), abs=0.1)
    studio.set_rate(80)


@pytest.mark.long
@pytest.mark.keeps
@pytest.mark.parametrize("percent", [0, 99])
def test_the_ends_of_the_slider_are_exact_too(studio: Studio, percent: int) -> None:
    studio.set_rate(percent)
    assert float(studio.exact("kept")) == pytest.approx(kept_percent(percent), abs=0.1)
    studio.set_rate(80)


@pytest.mark.keeps
def test_thresholds_move_with_the_rate(studio: Studio) -> None:
    studio.wait_exact(80)
    line = studio.page.locator("#distribution line.threshold").first
    before = float(line.get_attribute("x1") or 0)
    studio.set_rate(95)
    assert float(line.get_attribute("x1") or 0) > before  # more is dropped: the cut moves right
    studio.set_rate(80)


@pytest.mark.keeps
def test_the_heatmap_shows_every_quantity_of_every_module(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("focus", "zoo:law")
    expected = plan("law", 80).modules
    for quantity in ("significance", "density", "rate", "mean", "energy"):
        studio.choose("quantity", quantity)
        studio.wait_frame()
        cells = studio.cells()
        name = {"mean": "mean_magnitude"}.get(quantity, quantity)
        assert len(cells) == len(expected)
        for module in expected:
            # four digits are shown, and the tables hold 16-bit numbers
            value = pytest.approx(getattr(module, name), rel=1e-2, abs=1e-5)
            assert cells[(module.layer, module.kind)] == value, f"{quantity} of {module.name}"


def test_strength_and_partitions_change_the_plan(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.choose("quantity", "density")
    uneven = studio.cells()
    studio.open_advanced()
    studio.set_range(studio.page.locator("#strength input[type=range]"), 0)
    studio.page.wait_for_function(
        "() => new Set([...document.querySelectorAll('#heatmap g.cell')]"
        ".map(c => (+c.dataset.value).toFixed(2))).size === 1"
    )
    assert len({round(v, 2) for v in uneven.values()}) > 1
    studio.set_range(studio.page.locator("#partitions input[type=range]"), 4)
    fourth = '#amplify .factor-row[data-partition="3"]'
    studio.page.locator(fourth).first.wait_for(timeout=ACT_MS)
    studio.wait_exact(80)
    assert {partition for _, partition in studio.bands()} == {0, 1, 2, 3}


@pytest.mark.long
def test_a_distant_visitor_ends_on_the_right_value(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.reusable = False
    devtools = studio.page.context.new_cdp_session(studio.page)
    slow = {"offline": False, "latency": 80, "downloadThroughput": -1, "uploadThroughput": -1}
    devtools.send("Network.emulateNetworkConditions", slow)
    studio.drag_rate(55, steps=15)
    studio.drag_rate(91)
    final = int(float(studio.rate.input_value()))
    studio.wait_exact(final)
    assert float(studio.exact("kept")) == pytest.approx(kept_percent(final), abs=0.1)


def test_plots_keep_their_elements_and_their_zoom(studio: Studio) -> None:
    studio.wait_exact(80)
    plot = studio.page.locator("svg#distribution")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    studio.page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    studio.page.mouse.down()
    studio.page.mouse.move(box["x"] + box["width"] * 0.7, middle, steps=8)
    studio.page.mouse.up()
    reset = studio.page.locator("#plots button.zoom-reset")
    reset.wait_for()
    studio.page.evaluate(
        "() => { window.held = ['#heatmap g.cell rect.value', '#kept rect.band', '#distribution']"
        ".map(s => document.querySelector(s)); }"
    )
    zoomed = studio.page.locator("#distribution path.all").get_attribute("d")
    studio.set_rate(60)
    assert studio.page.evaluate("() => window.held.every(e => e && e.isConnected)")
    assert studio.page.locator("#distribution path.all").get_attribute("d") == zoomed
    assert reset.is_visible()


@pytest.mark.long
def test_another_significance_is_measured_once_and_then_as_immediate(studio: Studio) -> None:
    """Also on a public page: embedded models read questions of their domain."""
    studio.wait_exact(80)
    studio.open_advanced()
    studio.page.locator("#significance").get_by_label("activation").check()
    drawn = studio.page.locator('#plots [data-significance="activation"]')
    drawn.wait_for(state="attached", timeout=ANSWER_MS)
    studio.wait_exact(80)
    studio.choose("quantity", "density")
    profile = ranked_profile("zoo:base", "zoo:math", "activation")
    for rate in (80, 93):
        studio.set_rate(rate)
        expected = plan_pruning(profile, even_levels(rate / 100)).modules
        found = studio.cells()
        for module in expected:
            share = pytest.approx(module.kept / module.numel, abs=1e-3)
            assert found[(module.layer, module.kind)] == share, module.name
    assert studio.page.locator("#exact .measuring").is_hidden()
    studio.page.locator("#significance").get_by_label("magnitude").check()
    studio.page.locator('#plots [data-significance="magnitude"]').wait_for(state="attached")
    studio.wait_exact(93)
