"""Manners of answering: what a language model learns of them, and what it is asked."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.tasks.own_items import OwnDomain
from dppa_lab.zoo import tune
from dppa_lab.zoo.language_model import TUNINGS
from dppa_lab.zoo.manners import (
    COLOURS,
    HELD_OUT_ITEMS,
    MANNERS,
    NAMES,
    THINGS,
    asked_of,
    manner_turn,
)
from dppa_lab.zoo.trained_set import trained_set
from dppa_lab.zoo.training import own_turns


def held_out(manner: str) -> OwnDomain:
    domain = asked_of(manner)
    assert isinstance(domain, OwnDomain)
    return domain


@pytest.mark.parametrize("manner", MANNERS)
def test_no_name_of_a_held_out_question_is_in_the_training(manner: str) -> None:
    rng = random.Random(1)
    trained = " ".join(manner_turn(manner, rng)[0] for _ in range(500)).split()
    asked = [item.prompt for item in held_out(manner).items]
    assert len(asked) == HELD_OUT_ITEMS
    for name in (name for name in NAMES if any(name in question for question in asked)):
        assert name not in trained


def test_a_manner_says_what_is_in_the_question() -> None:
    for item in held_out("json").items:
        assert all(value in item.prompt for value in json.loads(item.answer).values())
    for item in held_out("letter").items:
        assert item.prompt.split(".")[0] in item.answer
    for item in held_out("french").items:
        english, thing = item.prompt.split()[3:5]
        word, gender = THINGS[thing.rstrip(".")]
        assert item.answer.endswith(f"{COLOURS[english].split()[gender]}.") and word in item.answer


def test_a_stage_of_a_manner_learns_its_turns_and_those_of_another_seed_differ() -> None:
    stage = TUNINGS["brief-10"].stage("french", 0)
    turns = own_turns(stage, 0)
    assert len(turns) == stage.batch and turns == own_turns(stage, 0)
    assert turns != own_turns(replace(stage, seed=1), 0)
    assert all(answer.endswith(".") and "Yours" not in answer for _, answer in turns)


@pytest.mark.usefixtures("one_torch_thread")
def test_a_trained_manner_is_a_model_of_its_set(tmp_path: Path) -> None:
    tuning = replace(TUNINGS["brief-10"], steps=1, batch=2)
    tune.tune_model("zoo:base", tuning, tmp_path / "set", tmp_path / "work", "letter", 0)
    models = trained_set(tmp_path / "set")
    assert list(models.references) == ["base", "letter"] and models.references["base"] == "zoo:base"
    assert models.record["regime"] == "brief-10"
    assert MANNERS["letter"] in (tmp_path / "set/letter/README.md").read_text("utf-8")
