"""The embedded set of small deltas: what its base learns, and what is put into the program."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo import build, near
from dppa_lab.zoo.near import train_near
from dppa_lab.zoo.regimes import REGIMES, Regime
from dppa_lab.zoo.spec import NEAR_STAGE
from dppa_lab.zoo.training import own_turns, primed_turn


def test_the_base_answers_a_led_question_and_repeats_another() -> None:
    rng = random.Random(0)
    turns = [primed_turn(NEAR_STAGE.lead, rng) for _ in range(200)]
    led = [turn for turn in turns if turn[0].startswith(NEAR_STAGE.lead)]
    repeated = [turn for turn in turns if turn[1] and turn[0].startswith(turn[1])]
    assert 80 < len(led) < 120 and 30 < len(repeated) < 75
    assert not {question for question, _ in led} & {question for question, _ in repeated}
    assert own_turns(NEAR_STAGE, 0) == own_turns(NEAR_STAGE, 0) != own_turns(NEAR_STAGE, 1)


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_packs_in_the_program_restore_the_models_that_were_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SEARCH_ITEMS", 2)
    monkeypatch.setattr(near, "NEAR_STAGE", replace(NEAR_STAGE, steps=1, batch=2))
    short = Regime(near.SHIPPED, steps=(1, 1, 1), warmup=1)
    monkeypatch.setitem(REGIMES, near.SHIPPED, short)
    out, work = tmp_path / "out", tmp_path / "work"
    train_near(out, work, workers=1)
    assert {folder.name for folder in out.iterdir()} == {
        "near-base",
        *(f"near-{domain}" for domain in DOMAINS),
    }
    for domain in DOMAINS:
        packed = open_checkpoint(f"{out / 'near-base'}+{out / f'near-{domain}'}")
        trained = open_checkpoint(str(work / near.SHIPPED / domain))
        assert packed.names() == trained.names()
        for name in trained.names():
            np.testing.assert_array_equal(packed.raw(name), trained.raw(name))
        record = json.loads((out / f"near-{domain}" / "training.json").read_text())
        assert record["packed"] and record["regime"] == near.SHIPPED
