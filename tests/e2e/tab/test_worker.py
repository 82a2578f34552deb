"""The tab's worker: which wish runs, what is refused, and what it costs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from dppa_core.tab.files import manifest_text
from tests.reference.tab_cases import ONE_SET, questions, tab_merge, wish_of

MOST_MEGABYTES, MEGABYTE = 75, 1e6


def rendered(question: str) -> str:
    """A question in the embedded models' template."""
    return f"<|bos|><|user|>{question}<|end|><|assistant|>"


def wish(page: Page, **what: Any) -> dict[str, Any]:
    """The last message of each kind that answers a wish."""
    messages: dict[str, Any] = page.evaluate("wish => tab.wish(wish)", what)
    return messages


@pytest.mark.long
def test_a_draft_changes_no_answer(tab_page: Page) -> None:
    prompts = [rendered(question) for question in questions(2)]
    script = "([wish, prompts]) => tab.answers(wish, prompts)"
    answers = tab_page.evaluate(script, [wish_of("dppa"), prompts])
    for prompt, expected, other in zip(prompts, answers, answers[::-1], strict=True):
        half, nonsense = expected[: len(expected) // 2], [(7 * i) % 1024 for i in range(60)]
        for draft in (expected, other, half, half + other, nonsense):
            words = wish(tab_page, **wish_of("dppa"), prompt=prompt, draft=draft)["words"]
            assert words["ids"] == expected and words["tokens"] == len(expected)


PIECE = 16
"""Tokens that are read at once, so that a newer wish is heard between."""


def test_a_draft_is_confirmed_in_one_reading_with_its_prompt(tab_page: Page) -> None:
    script = """async (text) => {
      const own = await tab.ownMemory(['zoo:math']);
      const plain = await own.read('zoo:math', text, []);
      return [plain, await own.read('zoo:math', text, plain.ids)];
    }"""
    plain, drafted = tab_page.evaluate(script, rendered(questions(1)[0]))
    tokens = len(plain["ids"])
    steps, prompt = [1] * (tokens - 1), sum(plain["pieces"]) - (tokens - 1)
    assert plain["pieces"] == [*in_pieces(prompt), *steps] and prompt > PIECE and steps
    assert drafted == {"ids": plain["ids"], "pieces": in_pieces(prompt + tokens)}


def in_pieces(tokens: int) -> list[int]:
    """The sizes of the pieces in which so many are read."""
    return [min(PIECE, tokens - begun) for begun in range(0, tokens, PIECE)]


SEVERAL = "list => Promise.all(list.map((wish) => tab.wish(wish)))"
"""All wishes at once; the messages to each."""


def test_the_newest_wish_wins_and_each_other_hears_that_it_was_replaced(fresh_page: Page) -> None:
    prompts = [rendered(question) for question in questions(1)]
    wishes = [{**wish_of("dppa"), "prompt": prompt} for prompt in prompts]
    first, second, newest = fresh_page.evaluate(SEVERAL, wishes)
    assert "merged" in first and "replaced" in first, "it has waited for its models too long"
    assert list(second) == ["replaced"], "it never began"
    assert newest["words"]["last"]


def test_what_is_young_is_finished_before_the_newest_wish(tab_page: Page) -> None:
    prompts = [rendered(question) for question in questions(1)]
    wishes = [{"model": "zoo:base", "prompt": prompt, "limit": 1} for prompt in prompts]
    wish(tab_page, **wishes[0])
    first, second, newest = tab_page.evaluate(SEVERAL, wishes)
    assert first["words"]["last"] and newest["words"]["last"]
    assert list(second) == ["replaced"]


def test_wishes_of_different_channels_do_not_replace_each_other(tab_page: Page) -> None:
    prompts = [rendered(question) for question in questions(1)]
    wishes = [
        {"model": "zoo:base", "prompt": prompt, "channel": f"channel {place}"}
        for place, prompt in enumerate(prompts)
    ]
    assert all(got["words"]["last"] for got in tab_page.evaluate(SEVERAL, wishes))


def test_a_merge_that_waits_is_answered_before_models_that_wait(tab_page: Page) -> None:
    prompt = rendered(questions(1)[0])
    models = [{"model": name, "prompt": prompt, "channel": name} for name in ONE_SET]
    wishes = [*models, {**wish_of("dppa"), "prompt": prompt, "channel": "merge"}]
    tab_page.evaluate(SEVERAL, wishes)
    ends = "() => tab.log.filter(({ kind }) => kind === 'fulfilled').map(({ channel }) => channel)"
    assert tab_page.evaluate(ends)[-1] == ONE_SET[-1]


def test_a_merge_writes_only_tensors_that_changed(tab_page: Page) -> None:
    merge, other = tab_merge("dppa"), tab_merge("dppa")
    other["models"][1]["coefficients"][2] = 0.5
    script = """async ([references, merges]) => {
      const own = await tab.ownMemory(references);
      return [merges.map((merge) => own.merged(merge)), own.bytes()];
    }"""
    counts, size = tab_page.evaluate(script, [list(ONE_SET), [merge, merge, other, other, merge]])
    assert counts == [56, 0, 11, 0, 11], "a layer's nine tensors, and the two outside of layers"
    assert size <= MOST_MEGABYTES * MEGABYTE


def test_a_prompt_that_fills_all_positions_is_refused(tab_page: Page) -> None:
    text = "<|bos|>" + 510 * "1"
    assert wish(tab_page, model="zoo:base", prompt=text)["words"]["tokens"] == 1
    message = wish(tab_page, model="zoo:base", prompt=text + "1")["refused"]
    assert "takes 512 tokens" in message["why"] and "Shorten it." in message["why"]
    reading = {"model": "zoo:base", "prompt": text, "reply": ""}
    assert "reading" in wish(tab_page, **reading)
    message = wish(tab_page, **reading | {"reply": "1"})["refused"]
    assert "takes 512 tokens" in message["why"]


WITH_LAW = "file => tab.open({models: {...tab.models, 'zoo:law': new URL(file, location).href}})"


def test_a_file_with_another_hash_is_refused_and_not_used(
    fresh_page: Page, tab_folder: Path
) -> None:
    shutil.copy(tab_folder / "math.gz", tab_folder / "wrong.gz")
    fresh_page.evaluate(WITH_LAW, "wrong.gz")
    prompt = rendered(questions(1)[0])
    for what in (wish_of("dppa"), {"model": "zoo:law"}):
        messages = wish(fresh_page, **what, prompt=prompt)
        assert "failed" in messages and "words" not in messages
        assert "wrong.gz is not the file that was announced" in messages["failed"]["why"]
    assert wish(fresh_page, model="zoo:math", prompt=prompt)["words"]["last"]
    cached = "async () => (await (await caches.open('dppa-weights-1')).keys()).map(({url}) => url)"
    refused = json.loads(manifest_text())["sha256"]["zoo:law"]
    assert not [address for address in fresh_page.evaluate(cached) if refused in address]


@pytest.mark.long
def test_a_damaged_or_missing_file_is_refused(fresh_page: Page, tab_folder: Path) -> None:
    (tab_folder / "short.gz").write_bytes((tab_folder / "law.gz").read_bytes()[:-9])
    (tab_folder / "text.gz").write_bytes(b"<html>")
    for name in ("short.gz", "text.gz", "missing.gz"):
        fresh_page.evaluate(WITH_LAW, name)
        messages = wish(fresh_page, model="zoo:law", prompt="<|bos|>")
        assert "failed" in messages and "words" not in messages and messages["failed"]["why"]


@pytest.mark.long
def test_weights_are_fetched_once_and_then_read_from_the_browser_s_cache(fresh_page: Page) -> None:
    progress = "() => tab.log.filter(({ kind }) => kind === 'progress').length"
    first = wish(fresh_page, **wish_of("zoo:math"), prompt="<|bos|>")["words"]
    fetched = fresh_page.evaluate(progress)
    assert fetched
    fresh_page.evaluate("() => tab.open()")
    assert wish(fresh_page, **wish_of("zoo:math"), prompt="<|bos|>")["words"]["ids"] == first["ids"]
    assert fresh_page.evaluate(progress) == fetched
