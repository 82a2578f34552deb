"""Scripts of the page by themselves, in a browser without a server."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from components.widgets.scripts import sources

BUTTONS = """
<button id="send">Send</button><button id="stop">Stop</button>
<script>
  window.heard = [];
  for (const id of ["send", "stop"]) {  // as Gradio does
    document.getElementById(id).onclick = () => {
      window.heard.push(id);
      if (id === "stop") scripts.setActivity("chat", "idle");
    };
  }
</script>
"""
SITE = "http://scripts.test/"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.route(f"{SITE}**", serve)
    page.goto(SITE)
    yield page
    page.close()


def serve(route: Route) -> None:
    """The modules at their places below an empty page."""
    name = route.request.url.removeprefix(SITE)
    if name in sources():
        route.fulfill(body=sources()[name], content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


def load(page: Page, *names: str) -> None:
    """Import modules; `scripts` is then all that they export."""
    page.evaluate(
        """async names => {
            const found = await Promise.all(names.map(name => import(`/${name}.js`)));
            window.scripts = Object.assign({}, ...found);
        }""",
        list(names),
    )


def test_a_click_right_after_stop_waits_until_the_old_run_has_ended(page: Page) -> None:
    page.set_content(BUTTONS)
    load(page, "controls/start_and_stop", "session/server", "session/frames")
    heard = lambda: page.evaluate("() => window.heard.splice(0)")  # noqa: E731
    activity = lambda: page.evaluate("() => scripts.server.activity.chat")  # noqa: E731
    press = lambda name: page.evaluate(f"() => document.getElementById('{name}').click()")  # noqa: E731
    end = "() => scripts.ended('chat')"
    frame = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"

    press("send")
    press("send")
    assert heard() == ["send"] and activity() == "waiting"  # a double click asks once
    press("stop")
    press("send")
    assert heard() == ["stop"] and activity() == "waiting"  # Gradio would drop it
    for _ in range(2):  # Gradio tells it twice, and takes no press before
        page.evaluate(end)
        assert heard() == []
    page.wait_for_function("() => window.heard.length > 0")
    assert heard() == ["send"] and activity() == "waiting"
    press("stop")
    press("send")
    press("stop")
    page.evaluate(end)
    assert heard() == ["stop"] and activity() == "idle"  # who stops again wants no answer
    press("send")
    page.evaluate(end)  # it failed
    assert heard() == ["send"] and activity() == "idle"
    press("send")
    press("stop")
    assert heard() == ["send", "stop"]
    for state in ("answering", "idle"):  # Stop came too early, and Gradio ends nothing
        page.evaluate("what => scripts.setActivity('chat', what)", state)
        page.evaluate(frame)
    press("send")
    assert heard() == ["send"] and activity() == "waiting"


def test_a_change_made_at_once_after_opening_is_a_step(page: Page) -> None:
    load(page, "session/history", "session/controls", "session/server", "session/frames")
    page.evaluate("() => { scripts.server.trouble = 'no plan yet'; scripts.redraw(); }")
    page.wait_for_function("() => scripts.history().ready")
    page.evaluate("() => scripts.set({ rate: 70 })")
    page.wait_for_function("() => scripts.history().back === 'pruning rate'")  # once it rests
    page.evaluate("() => scripts.undo()")
    assert page.evaluate("() => scripts.history().state.rate") == 0.8


def test_labels_of_near_levels_stand_side_by_side_in_their_order(page: Page) -> None:
    load(page, "base/shapes")
    spread = lambda places: page.evaluate("(x) => scripts.spread(x, 300, 48)", places)  # noqa: E731
    assert spread([50, 150, 250]) == [50, 150, 250]
    assert spread([100, 110, 120]) == [100, 148, 196]
    assert spread([280, 290, 297]) == [204, 252, 300]
    assert spread([]) == []


def test_marks_of_an_axis_are_round(page: Page) -> None:
    load(page, "base/shapes")
    ask = lambda name, *of: page.evaluate(f"(of) => scripts.{name}(...of)", list(of))  # noqa: E731
    assert ask("ticks", 1, 10) == [2, 4, 6, 8, 10]
    assert ask("ticks", 1, 1.5) == [1, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert ask("ticks", 0, 9.16, 4) == [0, 2.5, 5, 7.5]
    assert ask("ticks", 0.3, 0.3) == []
    tenths = [0.6, 0.7, 0.8, 0.9, 1]
    assert ask("axis", 0.63, 1) == {"low": 0.6, "high": 1, "marks": tenths}
    # An interval that is a little more than all makes no axis of 125 %.
    assert ask("axis", 0, 102.3) == {"low": 0, "high": 102.3, "marks": [0, 25, 50, 75, 100]}
    assert ask("axis", 5, 5)["marks"] == [5, 5.2]
    assert (ask("three", -1.7), ask("percent", -0.3)) == ("−1.7", "−30\u2009%")  # no hyphens


def test_what_was_found_is_a_sentence_or_two_that_hold_few_figures(page: Page) -> None:
    load(page, "plots/experiments")
    ask = lambda text: page.evaluate("(text) => scripts.findings(text)", text)  # noqa: E731
    few, many = "It adds at 95 %.", "At 80 %: DPPA 90 %, TIES 88.5 %, DARE 88 %."
    assert ask(f"{few} It is worse at 80 %. More.") == [f"{few} It is worse at 80 %.", "More."]
    assert ask(f"{many} At 90 %: DPPA 80 %, DARE 70 %. More.") == [
        *(many, "At 90 %: DPPA 80 %, DARE 70 %.", "More.")
    ]


def test_a_decimal_comma_is_a_decimal_point(page: Page) -> None:
    """Chromium drops it where the page's language writes a point: 0,5 would be 05."""
    page.set_content('<input type="number" step="any"><input id="text">')
    load(page, "base/number_boxes")
    for kind, expected in (("[type=number]", "0.5"), ("#text", "0,5")):
        page.locator(f"input{kind}").focus()
        page.keyboard.type("0,5")
        assert page.locator(f"input{kind}").input_value() == expected
