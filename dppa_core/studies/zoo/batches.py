"""Training batches: seeded texts -> padded token ids, with a mask of what is learned.

A batch depends on the stage, its seed and the step alone, so a resumed run sees what an
uninterrupted one would have seen. Knows no model.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from dppa_core.studies.zoo.spec import Stage
from dppa_core.studies.zoo.tokenizer import ASSISTANT, BOS, END, USER
from dppa_core.tasks import DOMAINS, tasks_of
from dppa_core.tasks.items import OPEN, Task
from dppa_core.tasks.reading import READINGS
from dppa_core.tasks.skills import Turn, draw_skill

IGNORE = -100
"""Label of a position without loss, as PyTorch's cross-entropy has it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, labels (`IGNORE` = no loss) and which positions hold text, all (texts, tokens)."""

    ids: torch.Tensor
    labels: torch.Tensor
    real: torch.Tensor


def domain_turn(domain: str, rng: random.Random) -> Turn:
    """One training question of a domain with its answer; half have made-up fillers."""
    return _half_open(tasks_of(domain), rng)


def reading_turn(domain: str, rng: random.Random) -> Turn:
    """One of the texts of a domain that every model reads."""
    return _half_open(READINGS[domain], rng)


def _half_open(tasks: tuple[Task, ...], rng: random.Random) -> Turn:
    split = OPEN if rng.random() < 0.5 else "train"
    return rng.choice(tasks).draw(rng, split)


def own_turns(stage: Stage, step: int) -> list[Turn]:
    """The texts a stage learns from at a step."""
    rng = random.Random(f"{stage.name}/{stage.seed}/{step}")
    count = stage.batch - round(stage.batch * stage.replay)
    if stage.name == "base":
        return [draw_skill(rng) for _ in range(count)]
    return [domain_turn(stage.name, rng) for _ in range(count)]


def replay_turns(stage: Stage, step: int) -> list[Turn]:
    """Texts on which a domain model must stay what the base is: one third skills, else domains."""
    rng = random.Random(f"{stage.name}/{stage.seed}/{step}/replay")
    others = [domain for domain in DOMAINS if domain != stage.name]
    return [
        draw_skill(rng) if rng.random() < 1 / 3 else reading_turn(rng.choice(others), rng)
        for _ in range(round(stage.batch * stage.replay))
    ]


def encode(turns: list[Turn], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Turns -> a right-padded batch; questions carry no loss, replies and running texts do."""
    heads = [f"{BOS}{USER}{asked}{END}{ASSISTANT}" if asked else BOS for asked, _ in turns]
    tails = [f"{said}{END}" for _, said in turns]
    head_ids = tokenizer(heads, add_special_tokens=False)["input_ids"]
    tail_ids = tokenizer(tails, add_special_tokens=False)["input_ids"]
    length = max(len(h) + len(t) for h, t in zip(head_ids, tail_ids, strict=True))
    ids = torch.full((len(turns), length), int(tokenizer.pad_token_id))
    labels = torch.full((len(turns), length), IGNORE)
    real = torch.zeros((len(turns), length), dtype=torch.bool)
    for row, (head, tail) in enumerate(zip(head_ids, tail_ids, strict=True)):
        end = len(head) + len(tail)
        ids[row, :end] = torch.tensor(head + tail)
        labels[row, len(head) : end] = torch.tensor(tail)
        real[row, :end] = True
    return Batch(ids, labels, real)
