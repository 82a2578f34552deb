"""What a newcomer meets: who answers, marks, the lines of words, and the way there by keys."""

import json
import re

import pytest
import torch
from playwright.sync_api import expect
from safetensors.torch import load_file
from torch import Tensor

from components.session.state import session_from_state
from components.views.see.verdict import shown_merges, verdict_of
from dppa_core.tasks.prompt_recognition import NUMBER_OF_KINDS
from tests.e2e.conftest import Visit
from tests.e2e.expected import ACTIVE, BASE, first_session, plan
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.panes.test_chat import example
from tests.e2e.server import ROOT

ZOO = ROOT / "assets" / "zoo"
MOST_TABS = 15
SCROLLS = """() => [...document.querySelectorAll('#side-column, #side-column *')].filter(one =>
    one.scrollHeight > one.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(one).overflowY)
    && one.matches(':not(textarea)')).map(one => one.id)"""
FOCUSED = """() => [document.activeElement.closest('#skip a')?.textContent ?? '',
    document.activeElement.matches('#examples button.example')]"""


@pytest.mark.long
def test_all_answer_an_example_and_are_marked(studio: Studio) -> None:
    studio.wait_models()
    studio.ask(example(studio))
    marks = {}
    for target in ("merged", BASE, *ACTIVE):
        mark = studio.wait_answer(target).locator(".right-mark")
        marks[target] = mark.get_attribute("data-right")
    assert marks["merged"] == marks["zoo:math"] == "true" and marks[BASE] == "false"
    wrong = studio.answer(BASE).locator(".right-mark")
    assert wrong.get_attribute("title") == "The right answer: 12 + 5 = 17. The answer is 17."
    assert re.search(r"\d\u202ftokens? · [\d.]+\u202f(ms|s)$", speed(studio))

    assert set(studio.page.evaluate(SCROLLS)) <= {"side-column"}  # all answers in one tall box
    assert not re.search("not asked|idle", studio.status.inner_text())


def weight(tensors: dict[str, Tensor], module: str) -> Tensor:
    return next(one for name, one in tensors.items() if name.endswith(f"{module}.weight")).double()


def speed(studio: Studio) -> str:
    return studio.answer().locator(".speed").inner_text()


def test_a_question_outside_of_what_was_learned_is_answered_and_told(studio: Studio) -> None:
    studio.wait_models()
    studio.ask("What is 2+2?")
    answer = studio.wait_answer()
    assert answer.locator(".right-mark").inner_text() == ""
    told = studio.page.locator("#transcript .turn").last.locator(".outside")
    expect(told).to_contain_text(f"learned only {NUMBER_OF_KINDS} kinds of question; this one is")


def test_keys_lead_to_prune_see_and_chat_and_to_the_first_example(visit: Visit) -> None:
    studio = visit(width=1440, height=900)
    stops, seen = [], []
    for _ in range(3):
        studio.page.keyboard.press("Tab")
        stops.append(studio.page.evaluate(FOCUSED)[0])
    assert stops == ["Skip to Prune", "Skip to See", "Skip to Chat"]
    studio.page.keyboard.press("Enter")
    while not (seen and seen[-1]) and len(stops) + len(seen) < MOST_TABS:
        studio.page.keyboard.press("Tab")
        seen.append(studio.page.evaluate(FOCUSED)[1])
    assert seen[-1]


@pytest.mark.long
def test_the_line_over_the_plots_tells_what_is_measured_and_never_of_other_settings(
    studio: Studio,
) -> None:
    studio.wait_exact()
    line = studio.page.locator(".verdict-box summary span").first
    expect(line).to_have_text(verdict_of(first_session().recipe()))
    expect(studio.page.locator("#pinned-text")).not_to_be_empty(timeout=ANSWER_MS)
    studio.set_rate(83)
    expect(line).to_contain_text("Not scored yet")
    studio.page.locator(".verdict-box summary").click()
    studio.page.get_by_role("button", name="All methods, ranked").click()
    expect(studio.page.get_by_role("heading", name="Honest comparison").first).to_be_visible()
    studio.page.locator("#learn-open").click()
    expect(studio.page.locator("#pinned-note")).to_contain_text("the same answer as before")


@pytest.mark.long
def test_clicks_prune_the_merge_and_amplify_it_and_keep_question_and_heatmap(
    studio: Studio,
) -> None:
    studio.wait_exact()
    line = studio.page.locator(".verdict-box summary span").first
    question = studio.page.locator("#pinned-choice").input_value()
    studio.choose("focus", "zoo:law")
    for merge in shown_merges()[:4]:
        name = f"{merge['name']} {100 * merge['kept']:.0f}"
        button = studio.page.get_by_role("button", name=name)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(line).to_have_text(verdict_of(session_from_state(merge["state"]).recipe()))
        expect(studio.page.locator("#pinned-choice")).to_have_value(question)
        expect(studio.page.locator("#focus")).to_have_value("zoo:law")
    studio.page.locator("#undo").click()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_a_phone_has_the_four_merges_in_one_row(visit: Visit) -> None:
    studio = visit(width=390, height=844)
    studio.wait_exact()
    buttons = studio.page.locator(".shown-merges button.small")
    boxes = [button.bounding_box() for button in buttons.all()]
    assert len({box["y"] for box in boxes if box}) == 1
    label = studio.page.locator(".shown-what")
    expect(label).to_contain_text("For comparison, 80\u202f% pruned or whole")
    expect(label).to_be_visible()
    assert [" ".join(text.split()) for text in buttons.all_inner_texts()] == [
        f"{merge['name']} {100 * merge['kept']:.0f} %" for merge in shown_merges()[:4]
    ]


@pytest.mark.long
@pytest.mark.keeps
def test_the_distribution_says_what_is_kept_and_what_that_holds(studio: Studio) -> None:
    """Counted in the weights: the largest |d| of every matrix, as many as its plan keeps."""
    studio.wait_exact()
    base, math = (load_file(ZOO / name / "model.safetensors") for name in ("base", "math"))
    kept = numel = 0
    held = whole = 0.0
    for module in plan("math", 80).modules:
        d = (weight(math, module.name) - weight(base, module.name)).flatten().abs()
        d = torch.sort(d.square(), descending=True).values
        kept, numel = kept + module.kept, numel + d.numel()
        held, whole = held + float(d[: module.kept].sum()), whole + float(d.sum())
    title = studio.page.locator(".plot-distribution h3").inner_text()
    share, energy = 100 * kept / numel, 100 * held / whole
    assert title == (
        f"Math keeps {share:.1f}\u202f% of its changes, {energy:.0f}\u202f% of its squared change"
    )


@pytest.mark.long
def test_slot_b_says_that_it_begins_as_a_copy_and_own_models_are_called_own(
    studio: Studio,
) -> None:
    studio.wait_exact()
    studio.page.locator("#slot-B").click()
    expect(studio.page.locator(".tune-line")).to_contain_text("B begins as a copy of A")
    state = json.loads(studio.page.evaluate("() => dppa.stateText(dppa.stateNow())"))
    refs = [{**model, "ref": f"mine{i}"} for i, model in enumerate(state["models"])]
    studio.page.evaluate("models => dppa.set({models})", refs)
    expect(studio.page.locator("#preset-choice option").first).to_have_text("Own models")
    expect(studio.page.locator(".preset-note")).to_have_text("Choose a preset to go back.")


@pytest.mark.long
def test_a_drill_down_opens_where_it_is_seen(visit: Visit) -> None:
    studio = visit(width=1440, height=700)
    studio.wait_exact()
    studio.page.locator("#heatmap g.cell").last.click()
    expect(studio.page.locator("#drill-place h3")).to_be_in_viewport()


@pytest.mark.long
def test_a_refused_addition_leaves_no_text_but_its_notice(studio: Studio) -> None:
    studio.wait_models()
    studio.use_models("/nowhere")
    note = studio.page.locator("#own-models .field-note")
    expect(note).to_contain_text("nowhere: No such folder.")
    expect(studio.page.locator(".toast-body")).to_have_count(0)
    assert "Error" not in studio.page.locator("body").inner_text()
    studio.page.locator("#reference input").fill("zoo:math")
    expect(note).to_be_hidden()
    assert note.text_content() == ""


@pytest.mark.long
def test_attribution_begins_with_the_question_asked_last_and_duels_are_found(
    studio: Studio,
) -> None:
    studio.wait_models()
    expect(studio.page.locator("#against")).to_be_visible()
    studio.ask("Compare 3 and 4.")
    studio.wait_answer()
    studio.page.locator('#views [data-view="attribution"]').click()
    expect(studio.page.locator("#attribution-prompt textarea")).to_have_value("Compare 3 and 4.")
