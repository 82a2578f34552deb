"""How a model reads a given text after a prompt: its loss, and the tokens that may come next."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dppa_core.models.decode import answer_ids, end_ids, prompt_ids, room
from dppa_core.models.reply import LIKELIEST, TEMPERATURES, NextToken, Prompt, Reading, check_prompt
from dppa_core.models.resident import Resident
from dppa_core.models.texts import texts_of


@torch.inference_mode()
def read_text(resident: Resident, prompt: Prompt, text: str) -> Reading:
    """Read a text as the model's reply, in one forward pass.

    Args:
        prompt: The question, 1 to 2000 characters, or a conversation; in the chat template.
        text: The reply, or its beginning; may be empty.

    Raises:
        InvalidValue: both together exceed the positions of the model.
        NonFiniteWeights: the model computes NaN or infinity.
    """
    check_prompt(prompt)
    ids, reply = prompt_ids(resident, prompt), answer_ids(resident, text)
    ends = end_ids(resident.model, resident.tokenizer)
    body = reply[:-1] if reply and reply[-1] in ends else reply
    room(resident.model, len(ids) + len(body))
    logits = texts_of(resident.model).read([[*ids, *body]], [len(body) + 1])[0]
    loss = functional.cross_entropy(logits[: len(reply)], torch.tensor(reply)) if reply else None
    return Reading(
        None if loss is None else float(loss),
        _likeliest(resident, logits[-1], ends),
        tuple(float((logits[-1] / one).logsumexp(-1)) for one in TEMPERATURES),
    )


def _likeliest(
    resident: Resident, logits: Float[Tensor, " vocabulary"], ends: frozenset[int]
) -> tuple[NextToken, ...]:
    values, tokens = logits.topk(min(LIKELIEST, logits.numel()))
    decode = resident.tokenizer.decode
    return tuple(
        NextToken(
            "" if token in ends else decode([token], skip_special_tokens=True), token in ends, value
        )
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True)
    )
