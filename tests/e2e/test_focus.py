"""Labels of the page: which model is drawn, the preset's source, what words mean."""

import pytest

from components.session.presets import presets
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import Studio

MATH, FINANCE, LAW = "zoo:math", "zoo:finance", "zoo:law"


def row(studio: Studio, reference: str) -> str:
    """The selector of a model's row."""
    return f'#models .model-row[data-model="{reference}"]'


def switch(studio: Studio, reference: str, on: bool) -> None:
    studio.page.locator(f"{row(studio, reference)} input[type=checkbox]").set_checked(on)


def wait_focus(studio: Studio, reference: str) -> None:
    studio.page.locator(f'#plots [data-focus="{reference}"]').first.wait_for(state="attached")
    assert studio.page.locator("#focus").input_value() == reference


@pytest.mark.long
def test_the_plots_show_the_model_that_was_touched_last(studio: Studio) -> None:
    studio.wait_exact(80)
    switch(studio, FINANCE, on=False)
    wait_focus(studio, MATH)
    switch(studio, FINANCE, on=True)
    wait_focus(studio, FINANCE)
    slider = studio.page.locator(f"{row(studio, LAW)} input[type=range]")
    studio.set_range(slider, 0.5)
    wait_focus(studio, LAW)
    switch(studio, LAW, on=False)
    wait_focus(studio, MATH)


@pytest.mark.long
def test_models_that_are_off_come_last_and_say_so(studio: Studio) -> None:
    studio.wait_exact(80)
    switch(studio, MATH, on=False)
    wait_focus(studio, FINANCE)
    options = studio.page.locator("#focus option").all_inner_texts()
    assert options == ["finance", "law", "math (off)"]


@pytest.mark.long
def test_a_preset_says_when_it_has_been_changed_and_comes_back(studio: Studio) -> None:
    studio.wait_exact(80)
    note = studio.page.locator("#preset [data-changed]").first
    assert note.get_attribute("data-changed") == "false"
    studio.set_rate(55)
    studio.page.locator('#preset [data-changed="true"]').first.wait_for()
    assert "changed" in note.inner_text()
    box = studio.page.get_by_label("Preset")
    title = next(iter(presets()))
    box.select_option(title)
    studio.wait_exact(80)
    studio.page.locator('#preset [data-changed="false"]').first.wait_for(state="attached")
    assert box.input_value() == title


@pytest.mark.long
def test_levels_and_bands_are_written_alike(studio: Studio) -> None:
    studio.wait_exact(80)
    studio.set_rate(85)
    names = studio.page.locator("#amplify .factor-name").all_inner_texts()
    cuts = studio.page.locator("#distribution text.cut").all_text_contents()
    assert names == ["strongest 7.5\u202f%", "next 7.5\u202f%"]
    assert cuts == ["92.5\u202f%", "85\u202f%"]


@pytest.mark.long
@pytest.mark.keeps
@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ([0.25, 0.142, 0.28, 0.144], "Layer 2 keeps 28 %, layers 1 and 3 only 14 %"),
        ([0.3, 0.3, 0.1, 0.2], "Layers 0 and 1 keep 30 %, layer 2 only 10 %"),
        ([0.2, 0.2, 0.2, 0.2], "Every layer keeps 20 %"),
    ],
)
def test_layers_that_read_the_same_are_named_together(
    studio: Studio, shares: list[float], sentence: str
) -> None:
    view = {"table": {"layers": [0, 1, 2, 3]}, "bands": [shares], "shows": "plan"}
    said = studio.page.evaluate("view => dppa.words.layers(view)", view)
    assert said.replace("\u202f", " ") == sentence


@pytest.mark.long
def test_a_colour_of_a_share_means_the_same_at_every_rate(studio: Studio) -> None:
    studio.wait_exact(80)
    for quantity in ("density", "rate", "energy"):
        studio.choose("quantity", quantity)
        for rate in (80, 30):
            studio.set_rate(rate)
            scale = studio.page.evaluate("() => [dppa.view().scale.low, dppa.view().scale.high]")
            assert scale == [0, 1], quantity


@pytest.mark.long
@pytest.mark.keeps
def test_a_key_reaches_the_meaning_of_a_word(studio: Studio) -> None:
    studio.wait_exact(80)
    for selector in (".plot-heatmap .how .term", "#exact .term", "#status .term"):
        term = studio.page.locator(selector).first
        meaning = studio.page.locator(f"#{term.get_attribute('aria-describedby')}")
        assert not meaning.is_visible()
        term.focus()
        meaning.wait_for()
        assert meaning.inner_text().strip()


def test_the_first_view_follows_the_slider_visibly(studio: Studio) -> None:
    studio.wait_exact(80)
    title = studio.page.locator(".plot-heatmap h3")
    before, kept = title.inner_text(), studio.cells()
    studio.set_rate(40)
    assert title.inner_text() != before
    assert all(share > kept[cell] + 0.1 for cell, share in studio.cells().items())


@pytest.mark.long
def test_plots_stay_in_sight_while_the_sliders_scroll(visit: Visit) -> None:
    studio = visit(height=800)
    studio.wait_exact(80)
    studio.open_advanced()
    studio.page.locator("#k-module").scroll_into_view_if_needed()
    for selector in ("#k-module", "svg#heatmap"):
        box = studio.page.locator(selector).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 800, selector


def test_a_phone_opens_on_a_plot_with_its_sliders(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.wait_exact(80)
    foot = studio.page.locator("#panes nav").bounding_box()
    assert foot
    assert studio.page.locator("#panes button").first.inner_text() == "See"
    factors = "#amplify .factor-row input[type=range] >> nth=1"
    for selector in ("svg#heatmap", "#rate input[type=range]", factors):
        box = studio.page.locator(selector).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= foot["y"], selector
    studio.page.locator("svg#distribution").scroll_into_view_if_needed()
    box = studio.page.locator("#rate input[type=range]").bounding_box()
    assert box and 0 <= box["y"] <= 844


@pytest.mark.long
def test_plots_keep_their_place_and_size(studio: Studio) -> None:
    studio.wait_exact(80)
    script = """() => ['heatmap', 'kept', 'distribution'].map(id => {
        const box = document.getElementById(id).getBoundingClientRect();
        return [box.x, box.y, box.width, box.height].map(Math.round);
    })"""
    before = studio.page.evaluate(script)
    for rate in (0, 33, 85, 99):
        studio.set_rate(rate)
        assert studio.page.evaluate(script) == before, rate
    for quantity in ("density", "rate", "mean", "energy"):
        studio.choose("quantity", quantity)
        assert studio.page.evaluate(script) == before, quantity


CONTRAST = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const light = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => {
            const x = c / 255;
            return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const ground = document.querySelector('.gradio-container');
    const paper = light(getComputedStyle(ground).backgroundColor);
    const [first, second] = [0, 1].map((k) => getComputedStyle(
        document.querySelector(`#kept rect.band[data-partition="${k}"]`)));
    const mark = (style) =>
        Math.max(ratio(light(style.fill), paper), ratio(light(style.stroke), paper));
    return [mark(first), mark(second), ratio(light(first.fill), light(second.fill))];
}"""


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bands_stand_out_from_the_paper_and_from_each_other(visit: Visit, theme: str) -> None:
    studio = visit(theme=theme)
    studio.wait_exact(80)
    for reference in (MATH, FINANCE, LAW):
        switch(studio, reference, on=False)
        switch(studio, reference, on=True)
        wait_focus(studio, reference)
        studio.wait_frame()
        first, second, apart = studio.page.evaluate(CONTRAST)
        assert first >= 3 and second >= 3 and apart >= 1.5, reference
