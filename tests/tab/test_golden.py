"""Golden values of the tab are what the library computes now: a part of each kind, again."""

import pytest

from tests.reference.tab_cases import ANSWERERS, READINGS, RECIPES, random_plans, sample, texts
from tests.reference.tab_golden import (
    TOGETHER,
    answers,
    digests,
    gaps,
    golden,
    kept_counts,
    reading,
    split,
    tokens,
    weights,
)

TIE = 1e-3
"""Where the two best logits lie closer, another processor may take the other token."""
CLOSE = 1e-4


def test_golden_plans_are_those_of_the_library() -> None:
    assert digests(kept_counts(random_plans(200))) == split(golden()["plans"])[: 200 // TOGETHER]


@pytest.mark.cases(2)
@pytest.mark.parametrize("name", RECIPES)
def test_golden_weights_are_those_of_the_library(name: str) -> None:
    assert weights(name) == split(golden()["weights"][name])


def test_golden_tokens_are_those_of_the_library() -> None:
    assert digests(tokens(texts())) == split(golden()["texts"])


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.cases(2)
@pytest.mark.parametrize("answerer", ANSWERERS)
def test_golden_answers_are_those_of_the_library(answerer: str) -> None:
    asked = sample(answerer)[:TOGETHER]
    written = answers(answerer, asked)
    if digests(written) != split(golden()["answers"][answerer])[:1]:
        least = min(min(gaps(answerer, *pair)) for pair in zip(asked, written, strict=True))
        assert least < TIE


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.cases(3)
@pytest.mark.parametrize("place", range(len(READINGS)))
def test_golden_readings_are_those_of_the_library(place: int) -> None:
    now, recorded = reading(*READINGS[place]), golden()["readings"][place]
    assert now["loss"] == pytest.approx(recorded["loss"], abs=CLOSE)
    assert now["log_sums"] == pytest.approx(recorded["log_sums"], abs=CLOSE, rel=CLOSE)
    for ours, theirs in zip(now["next"], recorded["next"], strict=True):
        assert ours[:2] == theirs[:2] and ours[2] == pytest.approx(theirs[2], abs=CLOSE)


def test_all_that_is_compared_is_recorded() -> None:
    assert golden()["weights"].keys() == RECIPES.keys()
    assert golden()["answers"].keys() == set(ANSWERERS)
    assert len(golden()["readings"]) == len(READINGS)
