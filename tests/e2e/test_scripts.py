"""Scripts of the page, tested in a browser without a server."""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from components.session.state import schema
from components.widgets.scripts import data_tag, sources
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import SCALINGS, Override, PruningParameters
from dppa_core.pruning.rate_table import pack_table, rate_table
from dppa_core.tasks import DOMAINS, answer_reader, draw_items, example_items, items, score
from dppa_core.tasks.item_files import item_line
from dppa_core.tasks.own_items import OwnItem, question_text
from dppa_core.tasks.prompt_recognition import MAX_PROMPT_CHARACTERS, WORDING, is_known_kind
from tests.helpers.random_profiles import pair

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
        body = f"<!doctype html>{data_tag('session-schema', schema())}"
        route.fulfill(body=body, content_type="text/html")


def load(page: Page, *names: str) -> None:
    """Import modules; `scripts` is then all that they export."""
    page.evaluate(
        """async names => {
            const found = await Promise.all(names.map(name => import(`/${name}.js`)));
            window.scripts = Object.assign({}, ...found);
        }""",
        list(names),
    )


def test_of_two_scores_the_one_on_more_questions_comes_first(page: Page) -> None:
    load(page, "plots/plot_sentences")
    both = lambda here, before: page.evaluate("x => scripts.bothScores(...x)", [here, before])  # noqa: E731
    few, many = ({"text": f"Of {n}.", "questions": n} for n in (60, 1600))
    assert both(few, many) == both(many, few) == "Of 1600. Of 60."
    assert both(few, None) == "Of 60."


def test_a_curve_names_what_does_not_change_only_once_all_is_measured(page: Page) -> None:
    load(page, "pinned/curve_words")
    one, all_of = [[0, 0.1, "a"]], [[0, 0.1, "a"], [0.5, 0.1, "a"], [0.99, 0.2, "a"]]

    def said(points: list[Any], more: bool, changes: Any = ()) -> str:
        curve = {"start": 0, "points": points, "changes": list(changes)}
        script = "x => scripts.changesIn({axis: 'rate'}, ...x)"
        return str(page.evaluate(script, [curve, more])).replace("\u202f", " ")

    assert said(one, True) == "Measuring …"
    assert said(all_of, True) == "No change so far. Measuring more …"
    assert said(all_of, False) == "The answer is the same from 0 % to 99 %."
    changed = [[0.5, 0.99]]
    assert said(all_of, True, changed).startswith("The answer first changes between 50 % and 99 %.")


@pytest.mark.long
def test_the_page_marks_replies_as_the_library_does(page: Page) -> None:
    load(page, "tab/marks")
    every = [item for domain in DOMAINS for item in (*items(domain), *example_items(domain))]
    odd = ("", "5", "١٢", "007", "It is (B) or (A).", "rose, fell", "UNFAIR!", "x" * 9 + "1" * 19)
    cases = []
    for place, item in enumerate(every):
        said = [every[(place + step) % len(every)].answer for step in (0, 1, 2, 3, 601)]
        cut = item.answer[: place % len(item.answer)]
        cases += [(item, reply) for reply in (*said, cut, said[1] + item.answer, *odd)]
    forms = [[{"answer": i.answer, "read": answer_reader(i)}, reply] for i, reply in cases]
    marks = page.evaluate("cases => cases.map(one => scripts.isRight(...one))", forms)
    assert len(marks) > 20_000
    wrong = [case for case, mark in zip(cases, marks, strict=True) if score(*case) != mark]
    assert not wrong


def own_items() -> list[OwnItem]:
    """One's own questions of every scorer that the page knows."""
    answers = {
        "exact": ("New York.", "Straße"),
        "number": ("It costs $1,234.50.", "-3", "0", "7 apples", "0.5 %"),
        "contains": ("governing law", "C++", "a.b*c"),
    }
    plain = [
        OwnItem("own", scorer, "q", answer, "q")
        for scorer, several in answers.items()
        for answer in several
    ]
    choices = ("termination", "governing law", "New York")
    prompt = question_text("q", choices)
    return [*plain, *(OwnItem("own", "choice", prompt, letter, "q", choices) for letter in "ABC")]


def test_the_page_marks_replies_to_own_questions_as_the_library_does(page: Page) -> None:
    load(page, "tab/own_marks")
    pieces = (
        *("New York", "new  york.", "Governing  Law", "termination", "laws", "C++", "a.b*c", "axb"),
        *("1,234.50", "1234.5", "-1234.5", "-3", "5-3", "a -3", "007", "7.", "-0.00", ".5", "0.50"),
        *("(B)", "b)", "B.", "c", "A, surely", "The answer is B", "Option: C", "(A) or (B)"),
        *("STRASSE", "straße", "é", "", " ", "x" * 2100),
    )
    rng = random.Random(0)
    mixed = [" ".join(rng.choices(pieces, k=rng.randint(2, 4))) for _ in range(600)]
    cases = [(item, reply) for item in own_items() for reply in (*pieces, *mixed)]
    script = "cases => cases.map(([line, reply]) => scripts.ownItem(line).isRight(reply))"
    marks = page.evaluate(script, [[item_line(item), reply] for item, reply in cases])
    wrong = [case for case, mark in zip(cases, marks, strict=True) if score(*case) != mark]
    assert not wrong
    pattern = OwnItem("own", "regex", "q", "yes", "q", (), "(yes)")
    assert page.evaluate("line => scripts.ownItem(line)", item_line(pattern)) is None


def heading(page: Page, quantity: str, values: list[list[float]]) -> str:
    """The sentence over a heatmap of 3 layers by 3 kinds of matrix, which keep 20 % each."""
    cells = [
        {"layer": layer, "kind": kind, "value": value, "kept": 0.2, "numel": 100}
        for layer, row in enumerate(values)
        for kind, value in zip(("q", "k", "down"), row, strict=True)
    ]
    view = {"quantity": quantity, "cells": cells, "rate": 0.8, "energy": 0.68, "shows": "plan"}
    said = page.evaluate("view => scripts.heatmap(view, 'Fr')", view)
    return str(said).replace("\u202f", " ")


def test_of_outliers_that_are_nowhere_no_matrix_has_most(page: Page) -> None:
    load(page, "plots/plot_sentences")
    none = [[0.0] * 3] * 3
    few = [[1e-6, 3e-5, 0.0], [0.0, 2e-6, 4e-5], [1e-5, 0.0, 0.0]]  # 0.00 % as shown
    assert heading(page, "significance", none) == "Fr has no outliers; its matrices keep 20 %"
    assert heading(page, "significance", few) == (
        "Fr has hardly any outliers, 0.00 % in every kind of matrix; they keep 20 %"
    )
    most = [[0.001, 0.001, 0.004]] * 3
    assert heading(page, "significance", most) == (
        "Fr has most outliers in its down matrices; they keep 20 %"
    )


def test_what_is_the_same_everywhere_is_least_in_no_matrix(page: Page) -> None:
    load(page, "plots/plot_sentences")
    said = heading(page, "energy", [[0.68] * 3] * 3)
    assert said == "Fr keeps 68 % of its squared change, alike in all matrices"
    least = heading(page, "energy", [[0.7, 0.7, 0.5]] * 3)
    assert least == "Fr keeps 68 % of its squared change, down matrices least"


def test_a_click_right_after_stop_waits_until_the_old_run_has_ended(page: Page) -> None:
    page.set_content(BUTTONS)
    load(page, "controls/start_and_stop", "session/parts")
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
    for _ in range(2):  # Gradio sends it twice, and ignores clicks before
        page.evaluate(end)
        assert heard() == []
    page.wait_for_function("() => window.heard.length > 0")
    assert heard() == ["send"] and activity() == "waiting"
    press("stop")
    press("send")
    press("stop")
    page.evaluate(end)
    assert heard() == ["stop"] and activity() == "idle"  # Stop drops the waiting Send
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
    load(page, "session/history", "session/controls", "session/parts")
    page.evaluate("() => { scripts.server.trouble = 'no plan yet'; scripts.redraw(); }")
    page.wait_for_function("() => scripts.history().ready")
    page.evaluate("() => scripts.set({ rate: 70 })")
    page.wait_for_function("() => scripts.history().back === 'pruning rate'")  # once it rests
    page.evaluate("() => scripts.undo()")
    assert page.evaluate("() => scripts.history().state.rate") == 0.8


MADE_UP = {"key": "sharpness", "title": "Sharpness", "element": "sharpness", "changes": "tables"}
MADE_UP |= {"span": [0, 1, 0.1], "scale": 1, "default": 0.5, "of_pruning": True, "hidden_by": ""}


def test_a_new_row_of_controls_needs_no_script(page: Page) -> None:
    add = """row => {
        const held = document.getElementById("session-schema");
        const schema = JSON.parse(held.textContent);
        schema.controls.push(row);
        held.textContent = JSON.stringify(schema);
        const box = Object.assign(document.createElement("div"), {id: row.element});
        box.innerHTML = '<input type="range" min="0" max="1" step="0.1">';
        document.body.append(box);
    }"""
    page.evaluate(add, MADE_UP)
    load(page, "session/history", "session/controls", "session/parts", "session/session_value")
    page.evaluate("() => { scripts.server.trouble = 'no plan yet'; scripts.redraw(); }")
    page.wait_for_function("() => scripts.history().ready")
    before = page.evaluate("() => scripts.key()")
    page.locator("#sharpness input").fill("0.7")
    page.wait_for_function("() => scripts.history().back === 'sharpness'")
    assert page.evaluate("() => scripts.stateNow().sharpness") == 0.7
    assert page.evaluate("() => scripts.key()") != before
    page.evaluate("() => scripts.move('sharpness', 3)")  # of no slider
    assert page.evaluate("() => scripts.stateNow().sharpness") == 0.7
    page.evaluate("() => { scripts.undo(); scripts.adoptState(scripts.history().state); }")
    assert page.evaluate("() => scripts.state.sharpness") == 0.5


@pytest.mark.long
def test_labels_of_near_levels_stand_side_by_side_in_their_order(page: Page) -> None:
    load(page, "base/shapes")
    spread = lambda places: page.evaluate("(x) => scripts.spread(x, 300, 48)", places)  # noqa: E731
    assert spread([50, 150, 250]) == [50, 150, 250]
    assert spread([100, 110, 120]) == [100, 148, 196]
    assert spread([280, 290, 297]) == [204, 252, 300]
    assert spread([]) == []


@pytest.mark.long
def test_marks_of_an_axis_are_round(page: Page) -> None:
    load(page, "base/shapes")
    ask = lambda name, *of: page.evaluate(f"(of) => scripts.{name}(...of)", list(of))  # noqa: E731
    assert ask("ticks", 1, 10) == [2, 4, 6, 8, 10]
    assert ask("ticks", 1, 1.5) == [1, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert ask("ticks", 0, 9.16, 4) == [0, 2.5, 5, 7.5]
    assert ask("ticks", 0.3, 0.3) == []
    tenths = [0.6, 0.7, 0.8, 0.9, 1]
    assert ask("axis", 0.63, 1) == {"low": 0.6, "high": 1, "marks": tenths}
    # An interval slightly above 100 % makes no axis of 125 %.
    assert ask("axis", 0, 102.3) == {"low": 0, "high": 102.3, "marks": [0, 25, 50, 75, 100]}
    assert ask("axis", 5, 5)["marks"] == [5, 5.2]
    assert (ask("three", -1.7), ask("percent", -0.3)) == ("−1.7", "−30\u202f%")  # no hyphens


def test_a_decimal_comma_is_a_decimal_point(page: Page) -> None:
    """Chromium drops it if the page's language uses a point: 0,5 would be 05."""
    page.set_content('<input type="number" step="any"><input id="text">')
    load(page, "base/number_boxes")
    for kind, expected in (("[type=number]", "0.5"), ("#text", "0,5")):
        page.locator(f"input{kind}").focus()
        page.keyboard.type("0,5")
        assert page.locator(f"input{kind}").input_value() == expected


def random_plan(seed: int) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """A table, rates of single modules and levels; and what Python keeps per module."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2000, 6000, int(rng.integers(2, 13)))
    heavy = [rng.standard_t(rng.integers(2, 7), size).astype(np.float32) for size in sizes]
    profile = pair([d * (rng.random(d.size) >= rng.choice([0, 0, 0.3])) for d in heavy])
    strength, scaling = float(rng.choice([0, 0.04, 0.08, 0.3])), str(rng.choice(SCALINGS))
    parameters = PruningParameters(strength=strength, scaling=scaling)
    levels = sorted(rng.choice(99, int(rng.integers(1, 4)), replace=False) / 100)[::-1]
    names = [one.module.name for one in profile.modules]
    chosen = rng.choice(names, int(rng.integers(0, len(names) + 1)), replace=False)
    held = {str(name): float(rng.integers(0, 100) / 100) for name in chosen}
    overrides = {name: Override(rate) for name, rate in held.items()}
    most = {item.module.name: item.nonzero / item.numel for item in profile.modules}
    kept = {
        module.name: [min(level.density, most[module.name]) for level in module.levels]
        for module in plan_pruning(profile, levels, parameters, overrides).modules
    }
    table = pack_table(rate_table(profile, parameters))
    return {"packed": table, "overrides": list(held.items()), "levels": list(levels)}, kept


@pytest.mark.long
def test_densities_are_those_of_python_on_random_plans(page: Page) -> None:
    """Between the table's rates, one percent apart, a curve is linear."""
    load(page, "session/densities", "session/tables")
    cases, expected = zip(*map(random_plan, range(200)), strict=True)
    found = page.evaluate(
        """cases => cases.map(({packed, overrides, levels}) => {
            const table = scripts.decode(packed), cells = scripts.cellsOf(table);
            const hold = scripts.holdOn(table, cells, overrides), last = levels.at(-1);
            const kept = (cell) => levels.map((level) => scripts.lookUp(
                table, cell, level, last, scripts.makesUp(hold, level, last))[0]);
            return Object.fromEntries(cells.map((cell) => [cell.modules[0], kept(cell)]));
        })""",
        list(cases),
    )
    for seed, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
        assert theirs.keys() == ours.keys()
        for name, shares in ours.items():
            assert theirs[name] == pytest.approx(shares, abs=4e-3), (seed, name)


def test_learned_questions_are_recognised_as_the_server_recognises_them(page: Page) -> None:
    load(page, "tab/marks")
    drawn = [item.prompt for name in DOMAINS for item in islice(draw_items(name, "test"), 100)]
    others = [text.replace("How", "Why").replace("Is ", "If ") for text in drawn]
    texts = [
        *drawn,
        *others,
        "Compare 3 and 4.",
        " 1 +  2 = ?\n",
        "1 + 2",
        "hi",
        "",
        "1 - 1?",
        "x" * 401,
    ]
    learned = {"wording": WORDING.pattern, "most": MAX_PROMPT_CHARACTERS}
    script = "([texts, learned]) => texts.map(text => scripts.isLearned(text, learned))"
    known = page.evaluate(script, [texts, learned])
    assert known == list(map(is_known_kind, texts)) and not all(known)


@pytest.mark.parametrize(
    ("other", "room"),
    [(200, 12), (20, 10.4), (4, 5)],  # a finger's; half of the way; never less than 5 pixels
)
def test_each_of_two_marks_that_stand_near_can_be_clicked(
    page: Page, other: float, room: float
) -> None:
    load(page, "plots/mark_places")
    chart = {
        "kind": "lines",
        "series": [{"x": ["80 %"], "y": [0]}, {"x": ["80 %"], "y": [other]}],
        "places": [[1], [1]],
    }
    script = """chart => {
        const at = { room: 40, x: () => 50, y: y => y };
        const x = 50 + scripts.shiftOf(chart, 0, at);
        return scripts.fingerRoom(chart, at)(x, 0);
    }"""
    assert page.evaluate(script, chart) == pytest.approx(room, abs=0.3)
