"""Replies from prompts: the rendered prompt, one token at a time, and greedy batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from dppa_core.checkpoints.vocabulary.render import OF_ANOTHER, rendered_chat
from dppa_core.errors import DamagedCheckpoint, InvalidValue
from dppa_core.models.reply import Conversation, Prompt
from dppa_core.models.resident import Resident, check_writes
from dppa_core.models.sampling import Chooser, TokenNumbers, token_numbers
from dppa_core.models.texts import texts_of
from dppa_core.progress import Stop, check
from dppa_core.system.error_translation import ForeignCode

_UNLIMITED_TOKENS = 1 << 30
_BATCH_PROMPTS = 64
"""Most prompts computed together."""


def rendered_prompt(resident: Resident, prompt: Prompt) -> str:
    """A question in the tokenizer's chat template, as text, ready for a reply.

    Without a template the texts stand one below the other; a single question is unchanged.

    Raises:
        DamagedCheckpoint: the template fails, or does not end.
        NotAllowed: the model is an encoder.
    """
    check_writes(resident.model, resident.key)
    conversation = prompt if isinstance(prompt, Conversation) else Conversation(prompt)
    turns = conversation.messages()
    if not resident.tokenizer.chat_template:
        return "\n".join(turn["content"] for turn in turns)
    return rendered_chat(resident.tokenizer, turns, f"{resident.key}: its chat template")


def prompt_ids(resident: Resident, prompt: Prompt) -> list[int]:
    """The token ids of `rendered_prompt`; without a template, special tokens are added.

    Raises:
        DamagedCheckpoint: the template fails, or the tokenizer belongs to another model.
    """
    tokenizer = resident.tokenizer
    text = rendered_prompt(resident, prompt)
    with ForeignCode(f"{resident.key}: its tokenizer fails", OF_ANOTHER):
        special = not tokenizer.chat_template
        ids = [int(i) for i in tokenizer(text, add_special_tokens=special)["input_ids"]]
    rows = len(resident.model.get_input_embeddings().weight)
    if not ids or max(ids) >= rows:
        problem = (
            f"has a token {max(ids)}, its model {rows} tokens" if ids else "makes no tokens of it"
        )
        raise DamagedCheckpoint(
            f"{resident.key}: the prompt cannot be read: the tokenizer {problem}. {OF_ANOTHER}"
        )
    return ids


def room(model: Any, used: int) -> int:
    """Number of tokens that a reply to a prompt of `used` tokens may have.

    Raises:
        InvalidValue: the prompt fills all positions of the model.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None:
        return _UNLIMITED_TOKENS
    if used >= positions:
        raise InvalidValue(
            f"The prompt takes {used} tokens and the model reads at most {positions}. Shorten it."
        )
    return int(positions - used)


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end a reply: the tokenizer's and the generation config's."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(int(i) for i in (*listed, tokenizer.eos_token_id) if i is not None)


def answer_ids(resident: Resident, answer: str) -> list[int]:
    """The token ids of a whole answer, followed by the end token if the model has one."""
    tokenizer = resident.tokenizer
    ids = [int(i) for i in tokenizer(answer, add_special_tokens=False)["input_ids"]]
    end = tokenizer.eos_token_id
    if end is None:
        end = min(end_ids(resident.model, tokenizer), default=None)
    return ids if end is None else [*ids, int(end)]


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a reply, finished or not; an incomplete last character is left out."""
    return decoded(tokenizer, ids).strip()


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """As `text_of`, with surrounding white space."""
    return str(tokenizer.decode(ids, skip_special_tokens=True)).rstrip("\ufffd")


def token_steps(
    model: Any, prompt: Sequence[int], choose: Chooser, limit: int, stop: Stop | None = None
) -> Iterator[tuple[int, TokenNumbers]]:
    """Yield at most `limit` tokens that continue a prompt, each with its loss and entropy.

    Args:
        prompt: Token ids, at least one.
        choose: Picks the next token from the last position's float32 logits, (1, vocabulary).
        limit: Most tokens to yield.
        stop: Checked before each token; raises Cancelled once set.

    Raises:
        NonFiniteWeights: the model computes NaN or infinity.
    """
    texts = texts_of(model)
    token: torch.Tensor | None = None
    for _ in range(limit):
        check(stop)
        logits = texts.read([prompt], [1])[0] if token is None else texts.step(token)
        token = choose(logits)
        yield int(token), token_numbers(logits, token)[0]


def greedy_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    ends: frozenset[int],
    *,
    limit: int,
    stop: Stop | None = None,
) -> list[list[int]]:
    """Greedy replies to prompts of token ids, in their order, each with its end token.

    Prompts of similar length share a batch; no reply depends on the others of its batch.

    Args:
        ends: Ids that end a reply.
        limit: Most tokens in a reply, the end token included.
        stop: Checked before each token; raises Cancelled once set.
    """
    replies: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for start in range(0, len(order), _BATCH_PROMPTS):
        rows = order[start : start + _BATCH_PROMPTS]
        written = _until_all_end(model, [prompts[row] for row in rows], ends, limit, stop)
        replies |= zip(rows, written, strict=True)
    return [replies[row] for row in range(len(prompts))]


def _until_all_end(
    model: Any,
    prompts: Sequence[Sequence[int]],
    ends: frozenset[int],
    limit: int,
    stop: Stop | None,
) -> list[list[int]]:
    texts, written = texts_of(model), [list[int]() for _ in prompts]
    most = [min(limit, room(model, len(prompt))) for prompt in prompts]
    check(stop)
    logits = torch.cat(texts.read(prompts, [1] * len(prompts)))
    rows = list(range(len(prompts)))
    while True:
        tokens = logits.argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            written[row].append(token)
        going = [
            place
            for place, row in enumerate(rows)
            if written[row][-1] not in ends and len(written[row]) < most[row]
        ]
        if not going:
            return written
        if len(going) < len(rows):
            texts.keep(going)
            rows, tokens = [rows[place] for place in going], tokens[going]
        check(stop)
        logits = texts.step(tokens)
