"""Careless or hostile input: one notice, nothing executed, the state kept."""

import json
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Locator

from tests.e2e.page_driver import Studio
from tests.e2e.server import Server

EVIL = "${window.pwned='t'}{{constructor}}`<img src=x onerror=\"window.pwned='h'\"><b id=evil>b</b>"


def told(studio: Studio) -> str:
    """The text below the buttons of the box."""
    note = studio.page.locator(".field-note:visible")
    note.wait_for()
    return note.inner_text()


def state(studio: Studio) -> tuple[object, ...]:
    """State a mistake must keep."""
    models = studio.page.locator("#models .model-row")
    names = tuple(models.nth(i).get_attribute("data-model") for i in range(models.count()))
    return (studio.recipe, studio.rate.input_value(), names, studio.exact("kept"))


def add_model(studio: Studio, reference: str) -> None:
    """Ask for a model by its reference, as a person would."""
    studio.use_models(reference)


@pytest.mark.long
@pytest.mark.keeps
def test_every_model_switched_off_is_said_not_crashed(studio: Studio) -> None:
    studio.wait_exact(80)
    for box in studio.page.locator("#models .model-row input[type=checkbox]").all():
        box.uncheck()
    studio.page.wait_for_timeout(1500)
    for box in studio.page.locator("#models .model-row input[type=checkbox]").all():
        box.check()
    studio.wait_exact(80)


@pytest.mark.keeps
@pytest.mark.parametrize("reference", ["/no/such/folder", "zoo:mathh", "owner/name", EVIL])
def test_a_model_that_is_not_there_gives_a_notice(studio: Studio, reference: str) -> None:
    studio.wait_exact(80)
    before = state(studio)
    add_model(studio, reference)
    message = told(studio)
    assert message.strip() and "Traceback" not in message
    assert "something went wrong" not in message.lower(), "an expected mistake, called a bug"
    assert state(studio) == before
    assert studio.page.evaluate("() => window.pwned") is None
    assert studio.page.locator("#evil").count() == 0


@pytest.mark.keeps
def test_a_coefficient_out_of_range_says_what_it_became(studio: Studio) -> None:
    studio.wait_exact(80)
    box = studio.page.locator("#models .model-row input[type=number]").first
    box.fill("5")
    box.press("Tab")
    assert told(studio) == "Coefficient of math (×): -1 to 2. 5 became 2.00."
    box.fill("1")
    box.press("Tab")
    assert studio.page.locator(".field-note:visible").count() == 0, (
        "it is over with the next number"
    )


def type_levels(studio: Studio, text: str, key: str) -> Locator:
    """Write into the box of levels, and leave it by a key."""
    studio.open_advanced()
    box = studio.page.locator("#levels input, #levels textarea").first
    box.fill(text)
    box.press(key)
    return box


@pytest.mark.long
@pytest.mark.keeps
@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_impossible_levels_are_marked(studio: Studio, key: str) -> None:
    studio.wait_exact(80)
    studio.open_advanced()
    for levels in ("80, 95", "120, 50", "abc", "80, 80", EVIL):
        impossible(studio, levels, key)


def impossible(studio: Studio, levels: str, key: str) -> None:
    """Invalid levels change nothing, are marked, and can be corrected."""
    studio.wait_exact()
    before = state(studio)
    box = type_levels(studio, levels, key)
    message = studio.page.locator("#levels-problem")
    message.wait_for()
    assert box.get_attribute("aria-invalid") == "true", levels
    assert "Write 1 to 4 pruning rates" in message.inner_text(), levels
    assert state(studio) == before, levels
    assert studio.page.evaluate("() => window.pwned") is None
    box.fill("90, 80")
    box.press("Tab")
    message.wait_for(state="hidden")
    assert box.get_attribute("aria-invalid") == "false"


@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_explicit_levels_are_followed(studio: Studio, key: str) -> None:
    studio.wait_exact(80)
    type_levels(studio, "97, 85", key)
    studio.wait_exact(85)
    assert float(studio.exact("kept")) == pytest.approx(15.0, abs=0.1)
    assert "97\u202f%, 85\u202f%" in studio.page.locator("#levels-now").inner_text()


@pytest.mark.long
def test_passing_through_the_levels_changes_nothing(studio: Studio) -> None:
    studio.wait_exact(80)
    box = type_levels(studio, "97, 85", "Tab")
    studio.wait_exact(85)
    studio.set_rate(70)
    box.focus()
    box.press("Tab")
    studio.page.wait_for_timeout(500)
    assert studio.drawn("rate") == "70"


@pytest.mark.long
def test_a_rate_outside_its_range_never_reaches_the_plan(studio: Studio) -> None:
    studio.wait_exact(80)
    box = studio.page.locator("#rate input[type=number]")
    for text in ("150", "-5", "80.5"):
        box.fill(text)
        box.press("Tab")
        studio.page.wait_for_timeout(800)
        studio.wait_exact()
        assert 0 <= float(studio.drawn("rate")) <= 99, text
        assert 0 <= float(studio.exact("kept")) <= 100, text


def test_text_in_a_question_is_shown_and_never_run(studio: Studio) -> None:
    studio.wait_models()
    studio.ask(EVIL)
    studio.wait_answer("merged", "done", "stopped", "failed")
    question = studio.page.locator("#transcript .turn .question").last.inner_text()
    assert "${window.pwned" in question and "<img" in question
    assert studio.page.evaluate("() => window.pwned") is None
    assert studio.page.locator("#evil").count() == 0


def get(url: str) -> int:
    """The status the server answers with."""
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path",
    ["monitoring", "monitoring/summary", "gradio_api/file=/etc/passwd", "gradio_api/mcp/sse"],
)
def test_what_is_not_for_visitors_is_closed(server: Server, path: str) -> None:
    assert get(f"{server.url}/{path}") in (401, 403, 404, 405)


def test_handlers_refuse_what_the_page_would_never_send(server: Server) -> None:
    """Any handler accepts a bare POST; none may answer it with a traceback."""
    with urllib.request.urlopen(f"{server.url}/config", timeout=20) as reply:
        config = json.load(reply)
    for number, _ in enumerate(config["dependencies"]):
        body = json.dumps({"fn_index": number, "data": [None] * 3, "session_hash": "stranger"})
        request = urllib.request.Request(
            f"{server.url}/gradio_api/run/predict",
            data=body.encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        assert "Traceback" not in text and "/components/" not in text
    assert server.process.poll() is None
