"""Layout: a new turn is in view from its question on, no jumps, no hidden buttons."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.panes.test_chat import choose_targets
from tests.e2e.panes.test_conversation import ask_example, open_settings, set_number

IN_VIEW = """() => {
    const turn = [...document.querySelectorAll('#transcript .turn')].at(-1);
    const [question, text] = ['.question', '[data-target="merged"] .answer-text']
        .map(part => turn.querySelector(part).getBoundingClientRect());
    const bar = document.querySelector('.talk-bar').getBoundingClientRect();
    const ask = document.querySelector('#chat-ask').getBoundingClientRect();
    return question.top >= bar.bottom - 1 && text.bottom <= ask.top
        && ask.bottom <= innerHeight + 1;
}"""
BOXES = """() => ['#preset-box', '#head', '.tune-bar'].map(part => {
    const {x, y, width, height} = document.querySelector(part).getBoundingClientRect();
    return [x, y + window.scrollY, width, height].map(Math.round).join(' ');
})"""
PASTE = """([place, text]) => {
    const box = document.querySelector(place), data = new DataTransfer();
    box.focus();
    data.setData('text', text);
    box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
    document.execCommand('insertText', false, text);
}"""


@pytest.mark.long
def test_the_second_turn_of_three_models_is_in_view_from_its_question_on(studio: Studio) -> None:
    studio.wait_models()
    choose_targets(studio, "merged", "base", "math")
    for _ in range(2):
        ask_example(studio)
        studio.wait_answer("zoo:math")
        studio.wait_frame()
        assert studio.page.evaluate(IN_VIEW)


@pytest.mark.long
def test_the_head_stays_where_it_is_while_something_runs(visit: Visit) -> None:
    studio = visit(width=1440, height=900)
    boxes = [studio.page.evaluate(BOXES)]
    for activity in ("scoring", "idle"):
        studio.page.evaluate(
            "activity => { dppa.activity.score = activity; dppa.redraw(); }", activity
        )
        studio.page.locator(f'[data-status][data-activity="{activity}"]').wait_for()
        boxes.append(studio.page.evaluate(BOXES))
        studio.wait_models()
    assert boxes[0] == boxes[1] == boxes[2]


@pytest.mark.long
def test_a_question_that_is_cut_says_so(studio: Studio) -> None:
    hint, box = studio.page.locator("#prompt-hint"), studio.page.locator("#prompt textarea")
    box.fill("a" * 1900)
    assert hint.inner_text() == "1,900 of 2,000 characters"
    studio.page.evaluate(PASTE, ["#prompt textarea", "b" * 200])
    assert len(box.input_value()) == 2000
    assert hint.inner_text() == "2,000 of 2,000 characters: the rest was cut"
    box.fill("a")
    assert hint.inner_text() == "Shift+Enter or Ctrl+Enter sends."


def test_a_pinned_question_that_is_cut_says_so(studio: Studio) -> None:
    choice, own = studio.page.locator("#pinned-choice"), studio.page.locator("#pinned-own")
    note, example = studio.page.locator("#pinned-length"), choice.input_value()
    choice.select_option(label="a question of your own …")
    studio.page.evaluate(PASTE, ["#pinned-own", "b" * 3000])
    assert len(own.input_value()) == 2000
    expect(note).to_have_text("2,000 of 2,000 characters: the rest was cut")
    own.blur()
    choice.select_option(example)
    expect(note).to_have_text("")


@pytest.mark.long
def test_what_is_wrong_with_the_seed_is_told_below_the_button(studio: Studio) -> None:
    studio.wait_models()
    open_settings(studio)
    set_number(studio, "seed", -7)
    studio.page.evaluate("() => scrollTo(0, 0)")
    studio.page.locator("#prompt textarea").fill("1 + 1?")
    studio.page.locator("#prompt textarea").press("Control+Enter")
    note = studio.page.locator("#chat-pane .field-note")
    expect(note).to_have_text("Seed must be a whole number from 0 to 2147483647, got -7.")
    expect(studio.page.locator(".toast-body")).to_have_count(0)
    set_number(studio, "seed", 7)
    expect(note).to_be_hidden()


CUT = """() => {
    const status = document.querySelector('[data-status]'), fresh = status.querySelector('.fresh');
    status.querySelector('.loaded').textContent = '8 models, 4 merges loaded';
    fresh.hidden = false;
    fresh.textContent = 'chat answer of 44cb05 is older than the settings';
    const bar = document.querySelector('#tools').getBoundingClientRect();
    return [...document.querySelectorAll('#head *')].filter(one => {
        if (!one.checkVisibility() || one.closest('.sr, select, [hidden]')) return false;
        const {left, right, width} = one.getBoundingClientRect();
        return width > 0 && (right > innerWidth || (one.closest('#tools') && left < bar.left - 1));
    }).map(one => one.textContent.trim());
}"""


@pytest.mark.parametrize("width", [901, 1000, 1100, 1240, 1366])
def test_the_head_cuts_no_text(visit: Visit, width: int) -> None:
    studio = visit(width=width, height=800)
    studio.wait_exact(80)
    assert studio.page.evaluate(CUT) == []
    head = studio.page.locator("#head").bounding_box()
    assert head and head["height"] <= 175


@pytest.mark.parametrize(("width", "height"), [(720, 450), (683, 384), (844, 390)])
def test_on_a_low_screen_no_slider_covers_the_answer(visit: Visit, width: int, height: int) -> None:
    """A screen of 1440 x 900 or 1366 x 768 at twice the size; a phone that lies on its side."""
    studio = visit(width=width, height=height)
    studio.wait_exact(80)
    page = studio.page
    expect(page.locator("#pinned-text")).not_to_be_empty(timeout=ANSWER_MS)
    answer, rate, tabs = (
        page.locator(name).bounding_box() for name in ("#pinned-text", "#rate", "#panes")
    )
    assert answer and rate and tabs
    for box in (answer, rate):  # both are seen whole, at the same time
        assert box["y"] >= 0 and box["y"] + box["height"] <= tabs["y"]
    middle = {"x": answer["x"] + 20, "y": answer["y"] + answer["height"] / 2}
    on_top = "({x, y}) => Boolean(document.elementFromPoint(x, y).closest('#pinned'))"
    assert page.evaluate(on_top, middle)
    page.locator("#heatmap").scroll_into_view_if_needed()
    rate = page.locator("#rate").bounding_box()
    assert rate and 0 <= rate["y"] <= tabs["y"] - rate["height"]  # it stays beside the plot
