"""What the math model says once its weights were spoilt as those of a case: shown as a chat.

Knows a model in memory that is nobody else's. The library itself refuses these merges: the damage
is done to weights in memory, to show what a program without such a check would give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dppa_core.errors import NonFiniteWeights
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from dppa_core.studies.teaching.failures.case import CaseAnswer, CaseTask
from dppa_core.studies.teaching.failures.workshop import (
    BYTES,
    DOMAIN,
    LONGEST,
    MODEL,
    SHOWN_QUESTION,
)
from dppa_core.tasks import items, score


@dataclass(frozen=True, slots=True)
class Chat:
    """One question and the answers to it."""

    done: str
    """What was done to the weights; empty where nothing was."""
    prompt: str
    answers: tuple[CaseAnswer, ...]


Spoil = Callable[[Any], str]
"""Changes a transformers model in memory, and says what was done."""


def spoken(task: CaseTask, spoil: Spoil) -> Chat:
    """Ask the math model one question, sound and spoilt.

    Args:
        task: Its `stop` ends an answer within one token.
        spoil: Done to a copy of our own.
    """
    resident = ModelPool(BYTES).get(MODEL, stop=task.stop)
    item = items(DOMAIN, "search", SHOWN_QUESTION + 1)[SHOWN_QUESTION]
    settings = GenerationSettings(max_new_tokens=LONGEST)

    def answer(who: str) -> CaseAnswer:
        try:
            said = list(stream_reply(resident, item.prompt, settings, task.stop))
        except NonFiniteWeights as error:
            return CaseAnswer(who, f"(no answer) {error}", right=False)
        reply = said[-1] if said else ""
        return CaseAnswer(who, reply or "(nothing: it ends at once)", score(item, reply))

    sound = answer("math alone")
    with torch.no_grad():
        done = spoil(resident.model)
    return Chat(done, item.prompt, (sound, answer("the merge")))


def large_values(largest: float, dtype: torch.dtype) -> Spoil:
    """Values in layer 0 that are as large as `largest`, stored as `dtype`.

    What comes out of them is made smaller by the same factor, which changes no answer by itself.
    """

    def spoil(model: Any) -> str:
        attention = model.model.layers[0].self_attn
        values, out = attention.v_proj.weight, attention.o_proj.weight
        scale = largest / float(values.abs().max())
        stored = (values.float() * scale).to(dtype)
        values.copy_(stored)
        out.div_(scale)
        many = int(torch.isinf(stored).sum())
        return f"{many} of {stored.numel():,} weights {'is' if many == 1 else 'are'} infinity."

    return spoil


def moved_rows(model: Any) -> str:
    """An embedding whose rows stand one later from row 1 on, as if matched by their number."""
    rows = model.get_input_embeddings().weight
    before = rows.clone()
    rows[2:] = before[1:-1]
    rows[1] = before.mean(dim=0)  # of the word that was added
    return f"{len(rows) - 1:,} of {len(rows):,} rows are another word's."


def as_it_was(_model: Any) -> str:
    """Nothing is spoilt."""
    return ""
