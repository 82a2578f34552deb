"""The chat's answers: parallel, coloured, blind, exported, cleared; wide and narrow."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visit
from tests.e2e.expected import first_recipe
from tests.e2e.page_driver import Studio
from tests.e2e.panes.test_chat import choose_targets, example
from tests.e2e.panes.test_score import run, wait_state
from tests.e2e.server import ROOT
from tests.e2e.test_bad_input import EVIL, add_model
from tests.e2e.test_looks import AXE

WIDTHS = [(1440, 900), (390, 844)]


@pytest.fixture(params=WIDTHS, ids=lambda size: str(size[0]))
def talk(request: pytest.FixtureRequest, visit: Visit) -> Iterator[Studio]:
    width, height = request.param
    studio: Studio = visit(width=width, height=height)
    studio.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    studio.wait_models()
    studio.open_pane("chat")
    yield studio
    overflow = "() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
    assert studio.page.evaluate(overflow) <= 0


def wait_idle(studio: Studio) -> None:
    studio.page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")


def ask_example(studio: Studio, domain: str = "math") -> str:
    """Ask the first example of a domain, and wait for every answer."""
    prompt = example(studio, domain)
    studio.page.locator("#send").click()
    turn = studio.page.locator("#transcript .turn").last
    turn.locator('.answer[data-state="done"]').first.wait_for()
    wait_idle(studio)
    return prompt


def button(studio: Studio, title: str) -> Locator:
    return studio.page.locator("#transcript").get_by_role("button", name=title).last


def open_settings(studio: Studio) -> None:
    studio.unfold("answer-settings", "#max-tokens input[type=number]")


def compare_with(studio: Studio, value: str) -> None:
    studio.page.locator(f'#against option[value="{value}"]').wait_for(state="attached")
    studio.page.locator("#against").select_option(value)


def set_number(studio: Studio, name: str, value: float) -> None:
    box = studio.page.locator(f"#{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


WATCH_WRITERS = """() => {
    window.together = 0;
    const look = () => {
        const turn = [...document.querySelectorAll('#transcript .turn')].pop();
        const half = [...turn?.querySelectorAll('.answer[data-state="writing"] .answer-text') ?? []]
            .filter(text => text.textContent.trim());
        window.together = Math.max(window.together, half.length);
    };
    new MutationObserver(look).observe(document.querySelector('#transcript'),
        {subtree: true, childList: true, attributes: true, characterData: true});
}"""


STOP_WHEN_TWO_WRITE = """() => {
    // In the page, the moment two write: no round trip can miss it.
    const writing = '#transcript .answer[data-state="writing"] .answer-text';
    const watch = new MutationObserver(() => {
        const texts = [...document.querySelectorAll(writing)];
        if (texts.filter(text => text.textContent.trim()).length < 2) return;
        watch.disconnect();
        document.querySelector('#stop').click();
    });
    const options = {subtree: true, childList: true, attributes: true};
    watch.observe(document.querySelector('#transcript'), options);
}"""


LONG = f"Tom has 12 apples. {'Tom buys 5 more. ' * 40}How many apples does Tom have now?"
"""A question with long answers at the temperature 2."""


@pytest.mark.long
def test_models_write_at_the_same_time_and_say_how_fast_and_how_sure(talk: Studio) -> None:
    choose_targets(talk, "merged", "math", "law")
    open_settings(talk)
    for name, value in (("max-tokens", 256), ("temperature", 2)):
        set_number(talk, name, value)
    talk.page.evaluate(WATCH_WRITERS)
    talk.ask(LONG)
    talk.wait_answer("merged")
    wait_idle(talk)
    assert talk.page.evaluate("() => window.together") >= 2
    for target in ("merged", "zoo:math", "zoo:law"):
        answer = talk.wait_answer(target)
        speed = answer.locator(".speed").inner_text()
        assert re.fullmatch(r"\d+\stokens? · [\d.]+\s(tokens/s|ms|s)", speed), speed
        assert re.fullmatch(r"mean probability [\d.]+\s%", answer.locator(".sureness").inner_text())


@pytest.mark.long
def test_stop_ends_all_who_write(talk: Studio) -> None:
    choose_targets(talk, "merged", "math", "law")
    open_settings(talk)
    for name, value in (("max-tokens", 256), ("temperature", 2)):
        set_number(talk, name, value)
    talk.page.evaluate(STOP_WHEN_TWO_WRITE)
    talk.ask(LONG)
    turn = talk.page.locator("#transcript .turn").last
    turn.locator('.answer[data-state="stopped"]').first.wait_for()
    wait_idle(talk)
    assert turn.locator('.answer[data-state="writing"], .answer[data-state="waiting"]').count() == 0
    before = turn.inner_text()
    talk.page.wait_for_timeout(500)
    assert turn.inner_text() == before
    ask_example(talk)  # and the next question is answered


@pytest.mark.long
def test_tokens_take_colours_afterwards_and_keys_tell_their_bits(talk: Studio) -> None:
    choose_targets(talk, "merged", "base")
    ask_example(talk, "finance")
    text = talk.answer("zoo:base").locator(".answer-text")
    plain = text.inner_text()
    colours = button(talk, "Colour each token")
    colours.press("Enter")
    tokens = text.locator(".token")
    bits = [float(token.get_attribute("data-bits") or "nan") for token in tokens.all()]
    assert len(bits) > 2 and all(0 <= one < 20 for one in bits) and max(bits) > 0.5
    assert text.inner_text().split() == plain.split()
    shade = "token => getComputedStyle(token).backgroundColor"
    shades = {one: tokens.nth(i).evaluate(shade) for i, one in enumerate(bits)}
    assert shades[max(bits)] != shades[min(bits)]
    assert "bit" in (tokens.first.get_attribute("title") or "")
    assert talk.page.locator(".entropy-key").inner_text().split() == ["entropy", "0", "5+", "bits"]
    text.focus()
    told = talk.answer("zoo:base").locator(".token-line")
    for key, place in (("End", len(bits)), ("Home", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        talk.page.keyboard.press(key)
        assert f"token {place} of {len(bits)}" in told.inner_text()
    colours.press("Enter")
    assert text.get_attribute("data-coloured") == "false" and text.inner_text() == plain
    assert len({tokens.nth(i).evaluate(shade) for i in range(len(bits))}) == 1


@pytest.mark.long
def test_the_prompt_is_shown_as_the_models_read_it(talk: Studio) -> None:
    choose_targets(talk, "merged", "law")
    prompt = ask_example(talk, "law")
    button(talk, "Show the question as the models read it").click()
    (read,) = talk.page.locator(".rendered pre").all_inner_texts()  # one template for both
    assert prompt in read and read != prompt
    assert "merged, law" in talk.page.locator(".rendered .how").inner_text()


@pytest.mark.long
def test_no_serious_barrier_in_a_conversation_with_everything_open(talk: Studio) -> None:
    choose_targets(talk, "merged", "base")
    ask_example(talk)
    button(talk, "Colour each token").click()
    button(talk, "Show the question as the models read it").click()
    compare_with(talk, "zoo:math")
    ask_example(talk)
    talk.page.locator(".ballot").get_by_role("button", name="right").click()
    ask_example(talk)
    talk.page.locator(".ballot button:visible").first.wait_for()
    tally(talk)
    talk.page.add_script_tag(path=str(AXE))
    result = talk.page.evaluate("() => axe.run('#chat-pane', {resultTypes: ['violations']})")
    found = [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert not found, found


def tally(studio: Studio, count: int = 1) -> list[list[str]]:
    """The rows of the tally, once it has `count`."""
    rows = studio.page.locator("table.tally tbody tr")
    expect(rows).to_have_count(count)
    return [row.locator("th, td").all_inner_texts() for row in rows.all()]


@pytest.mark.long
def test_a_blind_vote_hides_who_answers_and_is_counted(talk: Studio) -> None:
    compare_with(talk, "zoo:math")
    ask_example(talk)
    turn = talk.page.locator("#transcript .turn").last
    shown = turn.inner_text()
    assert "merged" not in shown and "math" not in shown and "recipe" not in shown
    names = turn.locator(".answer header strong").all_inner_texts()
    assert names == ["left", "right"]
    assert turn.locator("[data-target='merged'], .stats:visible").count() == 0
    turn.get_by_role("button", name="left").click()
    assert talk.page.locator(".meaning:popover-open").count() == 0
    names = turn.locator(".answer header strong").all_inner_texts()
    assert sorted(names) == ["math", "merged"]
    better = "1" if names[0] == "merged" else "0"
    worse = "1" if names[0] == "math" else "0"
    row = [first_recipe()[:6], "math", better, "0", worse, "1"]
    assert tally(talk) == [row]
    assert "an anecdote" in turn.locator(".verdict").inner_text()
    assert turn.locator(".ballot button:visible").count() == 0  # one vote a question
    talk.page.reload(wait_until="commit")
    talk.wait_models()
    talk.open_pane("chat")
    open_settings(talk)
    assert tally(talk) == [row]  # kept by this browser
    talk.page.locator("#clear-votes").click()
    assert tally(talk, 0) == []
    assert talk.page.evaluate("() => Object.keys(localStorage).filter(k => /vote/.test(k))") == []


@pytest.mark.long
def test_a_merge_is_compared_with_the_recipe_before_it(studio: Studio) -> None:
    studio.wait_models()
    ask_example(studio)
    before = studio.recipe
    studio.set_rate(60)
    compare_with(studio, f"recipe:{before}")
    ask_example(studio)
    turn = studio.page.locator("#transcript .turn").last
    turn.get_by_role("button", name="no difference").click()
    recipes = {a.get_attribute("data-recipe") for a in turn.locator(".answer").all()}
    assert recipes == {before, studio.recipe}
    assert tally(studio) == [[studio.recipe[:6], f"recipe {before[:6]}", "0", "1", "0", "1"]]


@pytest.mark.long
def test_storage_that_somebody_else_wrote_does_no_harm(visit: Visit) -> None:
    studio = visit()
    rows = [{"recipe": EVIL, "against": 3}, None, {"recipe": "abc", "against": EVIL, "better": 1}]
    good = {"recipe": "abc", "against": EVIL, "better": 1, "same": 0, "worse": 0, "at": 1}
    studio.page.evaluate(
        "rows => localStorage.setItem('dppa.votes.1', JSON.stringify(rows))", [*rows, good]
    )
    studio.page.reload(wait_until="commit")
    studio.wait_models()
    studio.open_pane("chat")
    open_settings(studio)
    assert [row[1] for row in tally(studio)] == [EVIL]
    assert studio.page.evaluate("() => window.pwned") is None


def saved(studio: Studio, title: str) -> tuple[str, str]:
    """Name and text of a button's download."""
    with studio.page.expect_download() as download:
        button(studio, title).click()
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


@pytest.mark.long
def test_the_conversation_is_copied_downloaded_and_cleared(talk: Studio) -> None:
    question = f"```\n{EVIL}\n# no heading"
    choose_targets(talk, "merged", "base")
    talk.ask(question)
    texts = [
        talk.wait_answer(name).locator(".answer-text").inner_text()
        for name in ("merged", "zoo:base")
    ]
    wait_idle(talk)
    name, text = saved(talk, "Download as JSON")
    assert re.fullmatch(r"dppa-conversation-\d{8}-\d{4}\.json", name)
    (turn,) = json.loads(text)["turns"]
    assert turn["question"] == question
    assert turn["settings"] == {"max_tokens": 96, "temperature": 0, "top_p": 1, "seed": 0}
    merged, base = turn["answers"]
    assert merged["recipe"] == first_recipe() and base["recipe"] is None
    assert [merged["text"].split(), base["text"].split()] == [shown.split() for shown in texts]
    assert len(base["entropy_bits"]) == len(base["token_ends"]) == base["tokens"] > 0
    name, text = saved(talk, "Download as Markdown")
    assert name.endswith(".md") and f"````text\n{question}\n````" in text
    assert f"### merged, recipe {first_recipe()[:12]}" in text and "seed 0" in text
    read = "() => navigator.clipboard.readText()"
    button(talk, "Copy the conversation").click()
    assert talk.page.evaluate(read) == text
    talk.answer("merged").get_by_role("button", name="Copy this answer").click()
    assert talk.page.evaluate(read) == merged["text"]
    button(talk, "Clear the conversation").click()
    assert talk.page.locator("#transcript .turn").count() == 1  # it asks again
    button(talk, "Press again to clear").click()
    talk.page.locator("#transcript .turn").wait_for(state="detached")
    talk.page.locator("#transcript .empty").wait_for()
    ask_example(talk)
    assert talk.page.locator("#transcript .turn").count() == 1  # the old one stays gone


@pytest.mark.long
def test_one_who_fails_says_why_and_the_others_go_on(studio: Studio, tmp_path: Path) -> None:
    studio.wait_models()
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "assets" / "zoo" / "law", folder)
    add_model(studio, str(folder))
    studio.page.locator(f'#models .model-row[data-model="{folder}"]').wait_for()
    (folder / "model.safetensors").unlink()
    choose_targets(studio, "base", "mine")
    ask_example(studio)
    failed = studio.wait_answer(str(folder), "failed")
    assert str(folder) in failed.locator(".note").inner_text()
    assert studio.wait_answer("zoo:base").locator(".answer-text").inner_text()


@pytest.mark.long
def test_who_waits_is_told_how_many_are_before(visit: Visit) -> None:
    first, second, third = visit(), visit(), visit()
    run(first, 400)  # one at a time: a second score has to wait, a question does not
    wait_state(first, "running")
    lines = [studio.page.locator("#score .score-line") for studio in (second, third)]
    run(second, 4)
    expect(lines[0]).to_contain_text("waiting, 1 before it")
    run(third, 4)
    expect(lines[1]).to_contain_text("waiting, 2 before it")
    second.open_pane("chat")
    second.ask("1 + 1 = ?")
    second.wait_answer("merged")
    first.page.locator("#score-stop").click()
    wait_state(second, "done")
    wait_state(third, "done")
