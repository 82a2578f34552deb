"""Page behaviour: what opens can be closed, notices can be read, keys work as labelled."""

import pytest
from playwright.sync_api import expect

from components.session.presets import presets
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.panes.test_score import run, wait_state

INSIDE_AND_ABOVE = """bubble => {
    const box = bubble.getBoundingClientRect();
    bubble.style.pointerEvents = 'auto';  // a bubble lets the pointer through: not for this look
    const corners = [[4, 4], [box.width - 4, 4], [4, box.height - 4],
        [box.width - 4, box.height - 4], [box.width / 2, box.height / 2]];
    const seen = corners.every(
        ([x, y]) => document.elementFromPoint(box.x + x, box.y + y) === bubble);
    bubble.style.pointerEvents = '';
    return seen && box.width > 100;
}"""


@pytest.mark.long
def test_a_key_chooses_a_preset(studio: Studio) -> None:
    studio.wait_exact(80)
    box = studio.page.get_by_label("Preset")
    assert box.input_value() == next(iter(presets()))
    box.focus()
    studio.page.keyboard.press("ArrowDown")
    title, following = list(presets().items())[1]
    first = following.models[0].reference
    studio.page.wait_for_function("ref => window.dppa.state.models[0].ref === ref", arg=first)
    expect(box).to_have_value(title)


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_meanings_lie_within_the_window_and_above_everything(visit: Visit, width: int) -> None:
    studio = visit(width=width, height=900 if width > 900 else 844)
    studio.wait_exact(80)
    studio.page.mouse.move(1, 1)  # where the test before left it, it may lie on a term
    if width > 900:  # its term is the last to come: terms are counted from the first
        studio.page.locator("#pinned-note .term").wait_for(timeout=ANSWER_MS)
    terms = studio.page.locator(".term:visible").all()
    assert len(terms) >= 5
    for term in terms:
        bubble = studio.page.locator(f"#{term.get_attribute('aria-describedby')}")
        term.focus()
        bubble.wait_for()
        assert bubble.evaluate(INSIDE_AND_ABOVE), bubble.inner_text()
        term.blur()
        bubble.wait_for(state="hidden")
    terms[0].hover()
    bubble = studio.page.locator(f"#{terms[0].get_attribute('aria-describedby')}")
    bubble.wait_for()
    studio.page.keyboard.press("Escape")
    bubble.wait_for(state="hidden")


@pytest.mark.long
@pytest.mark.parametrize(("rate", "partitions"), [(53, 2), (7, 4)])
def test_names_of_bands_end_before_their_sliders(
    studio: Studio, rate: int, partitions: int
) -> None:
    studio.wait_exact(80)
    studio.page.evaluate("n => window.dppa.set({partitions: n, shares: []})", partitions)
    studio.page.evaluate("rate => window.dppa.move('rate', rate)", rate)
    row = f'#amplify .factor-row[data-partition="{partitions - 1}"]'
    studio.page.locator(row).wait_for()
    room = studio.page.eval_on_selector_all(
        "#amplify .factor-row",
        """rows => rows.map(row => {
            const text = document.createRange();
            text.selectNodeContents(row.querySelector('.factor-name'));
            const track = row.querySelector('input[type=range]').getBoundingClientRect();
            return track.left - text.getBoundingClientRect().right;
        })""",
    )
    assert min(room) >= 4


@pytest.mark.long
def test_no_word_of_the_framework_stays_after_scoring(studio: Studio) -> None:
    run(studio, 4)
    wait_state(studio, "done", "failed")
    for _ in range(14):  # Gradio shows notices up to five seconds late, for one second
        assert "common." not in studio.page.evaluate("() => document.body.innerText")
        studio.page.wait_for_timeout(500)


@pytest.mark.long
def test_only_a_key_frames_the_heatmap(studio: Studio) -> None:
    studio.wait_exact(80)
    outline = "() => getComputedStyle(document.querySelector('svg#heatmap')).outlineStyle"
    studio.page.locator("#heatmap g.cell").nth(5).click()
    assert studio.page.evaluate(outline) == "none"
    studio.page.locator("#quantity").focus()
    studio.page.keyboard.press("Tab")
    for _ in range(6):
        if studio.page.evaluate("() => document.activeElement.id") == "heatmap":
            break
        studio.page.keyboard.press("Tab")
    assert studio.page.evaluate(outline) == "solid"


@pytest.mark.long
@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter", "Shift+Enter"])
def test_keys_send_the_question(studio: Studio, keys: str) -> None:
    studio.wait_models()
    box = studio.page.locator("#prompt textarea")
    box.fill("What is 2 + 2?")
    box.press(keys)
    studio.wait_answer("merged")
    assert studio.page.locator("#transcript .turn").count() == 1
    assert "Shift+Enter" in studio.page.locator("#prompt-hint").inner_text()


@pytest.mark.long
def test_tab_passes_the_preset_and_opens_nothing(studio: Studio) -> None:
    studio.wait_exact(80)
    for _ in range(4):
        studio.page.keyboard.press("Tab")
    assert studio.page.locator("[role=listbox]:visible, ul.options:visible").count() == 0
