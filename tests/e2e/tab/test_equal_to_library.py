"""Plans, weights, texts, answers and readings of a browser's tab are those of the library."""

import itertools
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.sync_api import Page

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.models.loading import load_tokenizer
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.teaching.failures.cases import RUNS, run_case
from dppa_core.teaching.failures.workshop import Workshop
from tests.reference.tab_cases import (
    ANSWERERS,
    BASE,
    READINGS,
    RECIPES,
    questions,
    random_plans,
    sample,
    tab_merge,
    texts,
    wish_of,
)
from tests.reference.tab_golden import (
    DIGITS,
    TOGETHER,
    answers,
    digests,
    gaps,
    golden,
    kept_counts,
    split,
    tokens,
)

ALL = os.environ.get("DPPA_CASES") == "all"
"""All test questions, by `make test-all`; else those whose answers are recorded."""
TIE = 1e-3
"""Where the two best logits of the library lie closer, another token may be the best one."""
CLOSE = 1e-4
"""Losses and logits differ by less: sums in another order."""


def rendered(question: str) -> str:
    return f"<|bos|><|user|>{question}<|end|><|assistant|>"


def differing(values: Sequence[Any], joined: str) -> list[int]:
    """Places whose group has another digest than the recorded one."""
    expected = split(joined)
    assert len(expected) == -(-len(values) // TOGETHER)
    pairs = enumerate(zip(digests(values), expected, strict=True))
    groups = [group for group, (ours, theirs) in pairs if ours != theirs]
    return [
        place for group in groups for place in range(len(values))[group * TOGETHER :][:TOGETHER]
    ]


def test_a_thousand_random_plans_keep_as_many_elements(tab_page: Page) -> None:
    plans = random_plans()
    counts = json.loads(tab_page.evaluate("plans => tab.plans(plans)", plans))
    places = differing(counts, golden()["plans"])
    expected = kept_counts(plans[place] for place in places)
    wrong = {
        plans[p]: counts[p] for p, want in zip(places, expected, strict=True) if counts[p] != want
    }
    assert not wrong


def test_texts_become_the_same_tokens_and_these_the_same_texts(tab_page: Page) -> None:
    parts = texts()
    assert len(parts) > 2000
    values = json.loads(tab_page.evaluate("texts => tab.tokens(texts)", parts))
    places = differing(values, golden()["texts"])
    expected = tokens(parts[place] for place in places)
    wrong = {
        parts[place]: (values[place], want)
        for place, want in zip(places, expected, strict=True)
        if values[place] != list(want)
    }
    assert not wrong


def test_every_token_alone_is_the_same_text(tab_page: Page) -> None:
    tokenizer = load_tokenizer(open_checkpoint(BASE))
    tokens = [[token] for token in range(len(tokenizer))]
    assert tab_page.evaluate("tokens => tab.decoded(tokens)", tokens) == [
        tokenizer.decode(ids, skip_special_tokens=True) for ids in tokens
    ]


def test_merged_weights_have_the_same_hashes(tab_page: Page) -> None:
    wrong = {}
    for name in RECIPES:
        hashes = dict(tab_page.evaluate("merge => tab.hashes(merge)", tab_merge(name)))
        recorded = zip(sorted(hashes), split(golden()["weights"][name]), strict=True)
        wrong[name] = [tensor for tensor, value in recorded if hashes[tensor][:DIGITS] != value]
    assert not any(wrong.values()), wrong


@pytest.mark.long
def test_thresholds_and_energies_are_those_of_the_plan(tab_page: Page) -> None:
    for name in ("dppa of three levels", "dppa by layer", "magnitude"):
        recipe = RECIPES[name]
        messages = tab_page.evaluate("merge => tab.wish({merge})", tab_merge(name))
        strength = tab_merge(name)["strength"]
        for part in recipe.models:
            parameters = PruningParameters(strength=strength)
            plan = plan_pruning(cached_profile(BASE, part.model), part.levels, parameters)
            ours = messages["plans"]["plans"][part.model]
            for k, thresholds in enumerate(ours["thresholds"]):
                expected = [module.levels[k].threshold for module in plan.modules]
                assert thresholds == pytest.approx(expected, rel=1e-6)
            shares = [kept / whole for kept, whole in ours["energy"]]
            assert shares == pytest.approx([module.energy for module in plan.modules], abs=2e-3)


def is_tie(answerer: str, question: str, ours: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether two answers part where the two best logits of the library are nearly equal."""
    parted = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    return gaps(answerer, question, theirs)[parted] < TIE


def different(answerer: str, asked: list[str], ours: list[list[int]]) -> list[tuple[str, Any, Any]]:
    """Questions whose answer is not the library's, with both answers."""
    places = list(range(len(asked)))
    if not ALL:
        places = differing(ours, golden()["answers"][answerer])
    theirs = answers(answerer, [asked[place] for place in places])
    pairs = zip(places, theirs, strict=True)
    return [(asked[place], ours[place], ids) for place, ids in pairs if ours[place] != ids]


def test_answers_to_test_questions_are_equal_token_by_token(tab_page: Page) -> None:
    compared, ties, wrong = 0, [], []
    for answerer in ANSWERERS:
        asked = questions() if ALL else sample(answerer)
        wish = [wish_of(answerer), [rendered(question) for question in asked]]
        ours = tab_page.evaluate("([wish, prompts]) => tab.answers(wish, prompts)", wish)
        compared += len(ours)
        for case in different(answerer, asked, ours):
            (ties if is_tie(answerer, *case) else wrong).append((answerer, *case))
    sys.stdout.write(f"{compared} answers, {len(ties)} differ where two logits are nearly equal\n")
    assert not wrong


def test_readings_have_the_same_loss_and_next_tokens(tab_page: Page) -> None:
    asked, script = questions(), "wish => tab.wish(wish)"
    for (answerer, question, reply), expected in zip(READINGS, golden()["readings"], strict=True):
        wish = wish_of(answerer) | {"prompt": rendered(asked[question]), "reply": reply}
        read = tab_page.evaluate(script, wish)["reading"]
        assert read["loss"] == pytest.approx(expected["loss"], abs=CLOSE)
        assert read["log_sums"] == pytest.approx(expected["log_sums"], abs=CLOSE, rel=CLOSE)
        for ours, (text, end, logit) in zip(read["next"], expected["next"], strict=True):
            assert (ours["text"], ours["end"]) == (text, end)
            assert ours["logit"] == pytest.approx(logit, abs=CLOSE)


@pytest.mark.long
def test_answers_of_failing_merges_have_the_library_s_texts(tab_page: Page) -> None:
    workshop, merges = Workshop(questions=1), set[tuple[str, bool]]()
    for name, repaired in itertools.product(RUNS, (False, True)):
        case = run_case(name, repaired, workshop)
        prompt = {"prompt": rendered(case["prompt"]), "limit": case["limit"]}
        for answer in case["answers"]:
            if wish := answer["wish"]:
                words = tab_page.evaluate("wish => tab.wish(wish)", wish | prompt)["words"]
                assert words["text"] == answer["text"], (name, repaired, answer["who"])
                merges |= {(name, repaired)} if answer["who"] == "the merge" else set()
    workshop.close()
    both = itertools.product(("one-percent", "factor-six"), (False, True))
    assert merges == {*both, *((n, True) for n in ("wrong-base", "tied-twice", "vocabulary"))}
