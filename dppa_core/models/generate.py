"""One reply, streamed: its text as it grows, token by token; and how a model reads a given one.

Runs in the caller's thread: closing the generator ends the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from dppa_core.models.decode import answer_ids, decoded, end_ids, prompt_ids, room, token_steps
from dppa_core.models.reply import (
    LIKELIEST_TOKENS,
    TEMPERATURES,
    GenerationSettings,
    NextToken,
    Prompt,
    Reading,
    ReplyToken,
    check_prompt,
)
from dppa_core.models.resident import Resident
from dppa_core.models.sampling import Chooser, TokenNumbers, sampler
from dppa_core.models.texts import texts_of
from dppa_core.progress import Stop

Steps = Callable[
    [Any, Sequence[int], Chooser, int, Stop | None], Iterator[tuple[int, TokenNumbers]]
]
"""Model, prompt, chooser, most tokens, stop -> tokens as they come; see `token_steps`."""


def stream_tokens(
    resident: Resident,
    prompt: Prompt,
    settings: GenerationSettings = GenerationSettings(),  # noqa: B008  (frozen)
    stop: Stop | None = None,
    steps: Steps = token_steps,
) -> Iterator[ReplyToken]:
    """Yield the reply after every token, the end token included.

    Loss and entropy are of the model's own distribution, before temperature and top-p.

    Args:
        prompt: The question, 1 to 2000 characters, or a conversation; in the chat template.
        stop: Checked before each token; raises Cancelled once set.
        steps: Computes the tokens: alone in this thread, or `Engine.steps`.
    """
    model, tokenizer = resident.model, resident.tokenizer
    check_prompt(prompt)
    ids = prompt_ids(resident, prompt)
    ends, written = end_ids(model, tokenizer), list[int]()
    limit = min(settings.max_new_tokens, room(model, len(ids)))
    draw = sampler(settings.temperature, settings.top_p, settings.seed)
    for token, numbers in steps(model, ids, draw, limit, stop):
        last = token in ends
        if not last:
            written.append(token)
        raw = decoded(tokenizer, written).lstrip()
        yield ReplyToken(token, raw.rstrip(), len(raw), numbers.loss, numbers.entropy, last)
        if last:
            return


def stream_reply(
    resident: Resident,
    prompt: Prompt,
    settings: GenerationSettings = GenerationSettings(),  # noqa: B008  (frozen)
    stop: Stop | None = None,
) -> Iterator[str]:
    """Yield the reply so far after every token; ends at the end token or the length limit.

    Args:
        prompt: The question, 1 to 2000 characters, or a conversation; in the chat template.
        stop: Checked before each token; raises Cancelled once set.
    """
    for token in stream_tokens(resident, prompt, settings, stop):
        if not token.last:
            yield token.text


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
        tuple(float((logits[-1] / temperature).logsumexp(-1)) for temperature in TEMPERATURES),
    )


def _likeliest(
    resident: Resident, logits: Float[Tensor, " vocabulary"], ends: frozenset[int]
) -> tuple[NextToken, ...]:
    values, tokens = logits.topk(min(LIKELIEST_TOKENS, logits.numel()))
    decode = resident.tokenizer.decode
    return tuple(
        NextToken(
            "" if token in ends else decode([token], skip_special_tokens=True), token in ends, value
        )
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True)
    )
