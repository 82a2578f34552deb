"""The view of one matrix: opened by click and key, its own rate, marks, going back."""

import pytest

from dppa_core.evaluation.analysis.matrix import look_closely
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import Override
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio

MATH, KEY = "zoo:math", "layers.1.self_attn.k_proj"
CELL = '#heatmap g.cell[data-layer="1"][data-kind="k"]'
KEPT = "() => Object.fromEntries(dppa.view().cells.map(c => [`${c.layer} ${c.kind}`, c.kept]))"


def opened(studio: Studio) -> None:
    studio.page.locator(CELL).click()
    studio.page.locator("#drill-place .drill-list li").first.wait_for()


def plan(rate: float | None, levels: tuple[float, ...] = (0.9, 0.8)) -> dict[str, float]:
    """ "layer kind" -> share kept, as the library plans it."""
    held = {} if rate is None else {KEY: Override(rate)}
    modules = plan_pruning(cached_profile("zoo:base", MATH), levels, overrides=held).modules
    return {f"{m.layer} {m.kind}": m.kept / m.numel for m in modules}


def override(studio: Studio, modules: str) -> None:
    """Set modules (a JavaScript list) to a rate of 50 %, and wait until drawn."""
    studio.page.evaluate(
        f"""() => new Promise((done) => {{
            dppa.override({modules}, 0.5);
            requestAnimationFrame(() => requestAnimationFrame(done));
        }})"""
    )


@pytest.mark.keeps
def test_a_click_opens_a_matrix_with_its_strongest_rows(studio: Studio) -> None:
    studio.wait_exact(80)
    assert not studio.page.locator("#drill-place").is_visible()
    opened(studio)
    title = studio.page.locator("#drill-place h3").inner_text()
    assert title.startswith("Layer 1, k keeps 15")
    found = plan_pruning(cached_profile("zoo:base", MATH), (0.9, 0.8))
    module = next(m for m in found.modules if m.name == KEY)
    lines = look_closely("zoo:base", MATH, KEY, module.levels[-1].selection)
    rows = studio.page.locator("#drill-place .drill-list").first.locator("li > span:first-child")
    assert rows.all_inner_texts() == [f"row {line.index}" for line in lines.rows]
    assert studio.page.locator("#drill-distribution line.threshold").count() == 2
    studio.page.keyboard.press("Tab")
    studio.page.locator("#drill-close").click()
    studio.page.locator("#drill-place").wait_for(state="hidden")


def test_keys_move_between_cells_and_enter_opens_one(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.page.locator("#heatmap").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        studio.page.keyboard.press(key)
    picked = studio.page.locator('#heatmap g.cell[data-picked="true"]')
    picked.wait_for(state="attached")
    studio.page.locator("#drill-place h3").wait_for()
    title = studio.page.locator("#drill-place h3").inner_text()
    layer, kind = picked.get_attribute("data-layer"), picked.get_attribute("data-kind")
    assert title.startswith(f"Layer {layer}, {kind} keeps")
    assert studio.page.evaluate("document.activeElement.closest('#drill-place h3') !== null")
    for within in ("#own-rate", "#heatmap"):
        studio.page.locator(within).focus()
        studio.page.keyboard.press("Escape")
        studio.page.locator("#drill-place").wait_for(state="hidden")
        assert studio.page.evaluate("document.activeElement.id") == "heatmap"
        studio.page.keyboard.press("ArrowRight")
        studio.page.keyboard.press("Enter")
        studio.page.locator("#drill-place").wait_for()


@pytest.mark.long
@pytest.mark.parametrize(("typed", "becomes"), [("-5", 0), ("250", 99), ("", 50)])
def test_its_number_box_keeps_only_what_counts(studio: Studio, typed: str, becomes: int) -> None:
    studio.wait_exact(80)
    opened(studio)
    box = studio.page.locator(".drill-own input[type=number]")
    box.fill("50")
    box.fill(typed)
    box.press("Enter")
    assert box.input_value() == str(becomes)
    assert studio.page.evaluate(f"dppa.state.overrides['{KEY}']") == becomes / 100


@pytest.mark.long
def test_a_method_that_prunes_nothing_has_no_rates_but_keeps_the_note(studio: Studio) -> None:
    studio.wait_exact(80)
    opened(studio)
    override(studio, f"['{KEY}']")
    studio.page.evaluate("dppa.set({ method: 'linear' })")
    note = studio.page.get_by_role("button", name="1 overridden, not used by this method")
    note.wait_for()
    assert not studio.page.locator("#own-rate, #own-follow").locator("visible=true").count()


@pytest.mark.long
def test_on_a_phone_the_opened_panel_is_scrolled_to(visit: Visit) -> None:
    studio = visit(width=390)
    studio.wait_exact(80)
    opened(studio)
    studio.page.wait_for_function(
        "() => Math.abs(document.getElementById('drill-place').getBoundingClientRect().top) < 40"
    )


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_rate_of_its_own_holds_and_the_others_make_up_for_it(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    studio.wait_exact(80)
    opened(studio)
    guess = studio.page.evaluate(
        """() => new Promise((done) => {
            const input = document.getElementById('own-rate');
            input.value = 30;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            const seen = () => [dppa.view().exact, (KEPT)()];
            requestAnimationFrame(() => requestAnimationFrame(() => done(seen())));
        })""".replace("KEPT", KEPT)
    )
    assert guess[0] is False
    assert guess[1] == pytest.approx(plan(0.3), abs=2e-3)
    studio.wait_exact(80)
    assert studio.page.evaluate(KEPT) == pytest.approx(plan(0.3), abs=1e-5)
    assert studio.page.locator(f'{CELL}[data-own="true"] .mark-own').is_visible()
    assert studio.page.locator("#own-clear").inner_text() == "◆ 1 overridden · clear"
    assert "the others make up for it" in studio.page.locator(".drill-own .how").inner_text()
    assert studio.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    studio.set_rate(60)
    assert studio.page.evaluate(KEPT) == pytest.approx(plan(0.3, (0.8, 0.6)), abs=1e-5)
    studio.page.locator("#own-follow").click()
    studio.page.locator("#own-clear").wait_for(state="hidden")
    studio.wait_exact(60)
    assert studio.page.evaluate(KEPT) == pytest.approx(plan(None, (0.8, 0.6)), abs=1e-5)


@pytest.mark.long
def test_one_click_clears_all_overrides(studio: Studio) -> None:
    studio.wait_exact(80)
    override(studio, f"['{KEY}', 'layers.0.mlp.up_proj']")
    studio.wait_exact(80)
    assert studio.page.locator('#heatmap g.cell[data-own="true"]').count() == 2
    studio.page.locator("#own-clear").click()
    studio.page.locator("#own-clear").wait_for(state="hidden")
    studio.wait_exact(80)
    assert studio.page.locator('#heatmap g.cell[data-own="true"]').count() == 0
    assert studio.page.evaluate(KEPT) == pytest.approx(plan(None), abs=1e-5)


def test_where_the_others_cannot_make_up_for_it_the_page_says_so(studio: Studio) -> None:
    studio.wait_exact(80)
    opened(studio)
    studio.set_rate(99)
    override(studio, "dppa.view().cells.flatMap(c => c.modules)")
    studio.wait_exact(99)
    said = studio.page.locator(".drill-own .how").inner_text().replace("\u202f", " ")
    assert "keep 50.0 %, not 1.0 %: the others cannot make up for all of it" in said
