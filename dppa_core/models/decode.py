"""Turning prompts into replies: the rendered prompt, one token at a time, and greedy batches.

Knows a model in memory and its tokenizer; no recipe, no pool, no task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import Any

import torch
from transformers import DynamicCache

from dppa_core.checkpoints.vocabulary.render import OF_ANOTHER, rendered_chat
from dppa_core.errors import DamagedCheckpoint, InvalidValue, NonFiniteWeights
from dppa_core.models.resident import Resident
from dppa_core.models.sampling import Chooser, greedy
from dppa_core.progress import Stop, check
from dppa_core.system.error_translation import ForeignCode

_MANY = 1 << 30


def rendered_prompt(resident: Resident, prompt: str) -> str:
    """One user turn in the tokenizer's chat template, as text, ready for a reply.

    A tokenizer without a template gets the prompt as it stands.

    Raises:
        DamagedCheckpoint: a template that fails, or that does not come to an end.
    """
    if not resident.tokenizer.chat_template:
        return prompt
    turns = [{"role": "user", "content": prompt}]
    return rendered_chat(resident.tokenizer, turns, f"{resident.key}: its chat template")


def prompt_ids(resident: Resident, prompt: str) -> list[int]:
    """The token ids of `rendered_prompt`; without a template, special tokens are added.

    Raises:
        DamagedCheckpoint: a template that fails, or a tokenizer of another model.
    """
    tokenizer = resident.tokenizer
    text = rendered_prompt(resident, prompt)
    with ForeignCode(f"{resident.key}: its tokenizer fails", OF_ANOTHER):
        special = not tokenizer.chat_template
        ids = [int(i) for i in tokenizer(text, add_special_tokens=special)["input_ids"]]
    rows = resident.model.get_input_embeddings().num_embeddings
    if not ids or max(ids) >= rows:
        made = f"has a token {max(ids)}, its model {rows} tokens" if ids else "makes no token of it"
        raise DamagedCheckpoint(
            f"{resident.key}: the prompt cannot be read: the tokenizer {made}. {OF_ANOTHER}"
        )
    return ids


def room(model: Any, used: int) -> int:
    """How many tokens a reply to a prompt of `used` tokens may have.

    Raises:
        InvalidValue: none, since the prompt fills all the positions of the model.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None:
        return _MANY
    if used >= positions:
        raise InvalidValue(
            f"The prompt takes {used} tokens and the model reads at most {positions}. Shorten it."
        )
    return int(positions - used)


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end a reply: the tokenizer's and the generation config's."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(int(i) for i in (*listed, tokenizer.eos_token_id) if i is not None)


def answer_ids(resident: Resident, answer: str) -> list[int]:
    """The token ids of a whole answer, with the one that ends it where the model has such."""
    tokenizer = resident.tokenizer
    ids = [int(i) for i in tokenizer(answer, add_special_tokens=False)["input_ids"]]
    end = tokenizer.eos_token_id
    if end is None:
        end = min(end_ids(resident.model, tokenizer), default=None)
    return ids if end is None else [*ids, int(end)]


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a reply, finished or not; a last character that lacks bytes is left out."""
    return decoded(tokenizer, ids).strip()


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """As `text_of`, with the white space around it."""
    return str(tokenizer.decode(ids, skip_special_tokens=True)).rstrip("\ufffd")


def token_steps(
    model: Any, ids: torch.Tensor, choose: Chooser, *, limit: int, stop: Stop | None = None
) -> Iterator[torch.Tensor]:
    """Yield the next token of every text in turn, at most `limit` times.

    Args:
        ids: Prompts of equal length, (texts, tokens).
        choose: Picks the next tokens from the last position's float32 logits.
        limit: Most tokens to yield.
        stop: Looked at before each token; raises Cancelled once set.

    Raises:
        NonFiniteWeights: the model computes no numbers.
    """
    remembered = {cache_argument(model): DynamicCache(config=model.config)}
    away = model.device.type == "meta"  # weights on disk: accelerate moves what they meet
    for _ in range(limit):
        check(stop)
        # Not around the yield: the caller's own code must not run in inference mode.
        with torch.inference_mode():
            out = model(
                input_ids=ids if away else ids.to(model.device),
                use_cache=True,
                logits_to_keep=1,
                **remembered,
            )
            logits = out.logits[:, -1].float().cpu()  # drawn there: a seed means the same
            check_logits(logits)
            ids = choose(logits)[:, None]
        yield ids[:, 0]


def check_logits(logits: torch.Tensor) -> None:
    """Refuse logits, (…, vocab), of which one row has no largest number.

    Raises:
        NonFiniteWeights: naming the usual cause.
    """
    if not bool(torch.isfinite(logits.amax(-1)).all()):  # -inf is a token that never comes
        raise NonFiniteWeights(
            "The model computes no numbers (NaN or infinity) for its next token, so it has no "
            "answer. Large factors or coefficients of a merge are the usual cause."
        )


def cache_argument(model: Any) -> str:
    """What a model's forward calls what it remembers."""
    # Renamed within transformers 5; the old name warns in the newer releases.
    known = signature(model.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def greedy_replies(
    resident: Resident,
    prompts: Sequence[str],
    *,
    limit: int = 48,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> list[str]:
    """Greedy replies to many prompts, in their order.

    Prompts of equal length share a batch, so nothing is padded and a reply does not depend on
    the attention mask.

    Args:
        limit: Most tokens in a reply.
        batch: Most prompts computed together.
        progress: Called with the number of prompts answered so far.
        stop: Looked at before each token; raises Cancelled once set.
    """
    model, tokenizer = resident.model, resident.tokenizer
    encoded = [prompt_ids(resident, prompt) for prompt in prompts]
    ends = end_ids(model, tokenizer)
    written = greedy_tokens(
        model, encoded, ends, limit=limit, batch=batch, progress=progress, stop=stop
    )
    return [
        text_of(tokenizer, tokens[:-1] if tokens and tokens[-1] in ends else tokens)
        for tokens in written
    ]


def greedy_tokens(
    model: Any,
    encoded: Sequence[list[int]],
    ends: frozenset[int],
    *,
    limit: int = 48,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> list[list[int]]:
    """Greedy replies to prompts of token ids, in their order, each with the token that ends it.

    Args:
        encoded: Prompts; see `greedy_replies` for how they are put together.
        ends: Ids that end a reply.
        limit: Most tokens in a reply, the one that ends it included.
        batch: Most prompts computed together.
        progress: Called with the number of prompts answered so far.
        stop: Looked at before each token; raises Cancelled once set.
    """
    replies: list[list[int]] = [[] for _ in encoded]
    answered = 0
    for rows in _equal_lengths(encoded, batch):
        ids = torch.tensor([encoded[row] for row in rows])
        written = _until_all_end(model, ids, ends, min(limit, room(model, ids.shape[1])), stop)
        for row, tokens in zip(rows, written, strict=True):
            replies[row] = tokens
        answered += len(rows)
        if progress:
            progress(answered)
    return replies


def _equal_lengths(encoded: Sequence[list[int]], batch: int) -> Iterator[list[int]]:
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(encoded):
        by_length.setdefault(len(ids), []).append(row)
    for length in sorted(by_length):
        rows = by_length[length]
        for start in range(0, len(rows), batch):
            yield rows[start : start + batch]


def _until_all_end(
    model: Any, ids: torch.Tensor, ends: frozenset[int], limit: int, stop: Stop | None
) -> list[list[int]]:
    written: list[list[int]] = [[] for _ in range(len(ids))]
    running = set(range(len(ids)))
    for tokens in token_steps(model, ids, greedy, limit=limit, stop=stop):
        for row in tuple(running):
            token = int(tokens[row])
            written[row].append(token)
            if token in ends:
                running.discard(row)
        if not running:
            break
    return written
