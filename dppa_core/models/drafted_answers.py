"""Greedy replies to questions with known answers, the losses of those answers, and the divergence
of two models along them.

The right answer is the draft of the reply: read once behind its prompt, it gives its own loss and
the part of the greedy reply that agrees with it; only the rest is written token by token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from dppa_core.models.answer_loss import (
    Exchange,
    divergence,
    own_replies,
    reply_logits,
    surprise,
)
from dppa_core.models.decode import end_ids, room, text_of
from dppa_core.models.devices import free_memory
from dppa_core.models.resident import Resident
from dppa_core.models.texts import Logits, Texts, texts_of
from dppa_core.progress import Stop, check
from dppa_core.system.threads import SparePool, available_cores, side_by_side
from dppa_core.tasks.loops import is_loop

MAX_REPLY_TOKENS = 48
"""Most tokens of a reply."""
MAX_BATCH_QUESTIONS = 64
"""Most questions computed together."""
_MEMORY_PARTS = 4
"""A batch takes at most a fourth of the free memory."""
_CORES = threading.BoundedSemaphore(available_cores())
"""Batches computed at a time in this process, whoever asks."""


@dataclass(frozen=True, slots=True)
class DraftedAnswer:
    """Reply to one question, and loss of its right answer."""

    reply: str
    """Its greedy reply."""
    loss: float
    """Negative log-likelihood of the right answer, summed over its tokens, in nats."""
    tokens: int
    """Tokens of the right answer, its end token included."""
    length: int
    """Tokens of the reply, its end token included."""
    loops: bool
    """True if the reply did not end by itself, and `is_loop`."""


def answers(
    resident: Resident,
    exchanges: Sequence[Exchange],
    *,
    longest: int = MAX_REPLY_TOKENS,
    together: int = MAX_BATCH_QUESTIONS,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> tuple[DraftedAnswer, ...]:
    """Reply to questions greedily, and measure the loss of their right answers.

    Args:
        exchanges: Prompts with their right answers.
        longest: Most tokens in a reply.
        together: Most questions computed at once by a worker; fewer where memory is short.
        workers: Threads, for a model that `OwnStep` knows; they change no reply and no loss.
        progress: Called with the number of questions answered so far.
        stop: Checked before each token; raises Cancelled once set.

    Raises:
        InvalidValue: a prompt fills all positions of the model.
        NonFiniteWeights: the model computes NaN or infinity.
    """
    pool = SparePool(partial(texts_of, resident.model))
    together = _together(resident.model, exchanges, longest, together, workers)

    def ask(rows: Sequence[int]) -> list[DraftedAnswer]:
        with _CORES, pool.use() as texts:
            way = _drafted if texts.can_cut else _apart
            return list(way(resident, texts, [exchanges[row] for row in rows], longest, stop))

    order = sorted(range(len(exchanges)), key=lambda row: -_length(exchanges[row]))
    batches = [order[start : start + together] for start in range(0, len(order), together)]
    by_row: dict[int, DraftedAnswer] = {}
    tasks = [partial(ask, rows) for rows in batches]
    for rows, answered in zip(batches, side_by_side(tasks, workers), strict=True):
        by_row |= zip(rows, answered, strict=True)
        if progress:
            progress(len(by_row))
    return tuple(by_row[row] for row in range(len(exchanges)))


def _together(
    model: Any, exchanges: Sequence[Exchange], longest: int, most: int, workers: int
) -> int:
    """Questions in a batch, of at most `most`; see `fitting`."""
    free = free_memory(model)
    fit = None if free is None else fitting(model, exchanges, longest, free // workers)
    return most if fit is None else min(most, fit)


def fitting(model: Any, exchanges: Sequence[Exchange], longest: int, free: int) -> int | None:
    """Questions whose keys, values and logits take a fourth of some free bytes, at least 1; None
    for a model whose configuration does not tell how many these are."""
    config: Any = model.config
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()
    try:
        all_heads = config.num_attention_heads
        heads = int(getattr(config, "num_key_value_heads", None) or all_heads)
        width = int(getattr(config, "head_dim", None) or config.hidden_size // all_heads)
        layers, vocabulary = int(config.num_hidden_layers), int(config.vocab_size)
    except (AttributeError, TypeError, RuntimeError):  # the last: they differ by layer
        return None
    keys = 2 * layers * heads * width * int(model.dtype.itemsize)
    tokens = max(map(_length, exchanges), default=0) + longest
    logits = 4 * vocabulary * (max((len(e.reply) for e in exchanges), default=0) + 1)
    return max(1, free // _MEMORY_PARTS // (keys * tokens + logits))


def _length(exchange: Exchange) -> int:
    return len(exchange.prompt) + len(exchange.reply)


def _apart(
    resident: Resident, texts: Texts, exchanges: Sequence[Exchange], longest: int, stop: Stop | None
) -> Iterator[DraftedAnswer]:
    """For models whose state cannot be masked: replies of equal length, then the losses."""
    prompts = [exchange.prompt for exchange in exchanges]
    written = own_replies(resident, prompts, longest=longest, stop=stop)
    for exchange, greedy in zip(exchanges, written, strict=True):
        check(stop)
        with torch.inference_mode():
            loss = surprise(*reply_logits(resident.model, [exchange])).double().sum()
        yield drafted_answer(resident, greedy.reply, float(loss), exchange)


def drafted_answer(
    resident: Resident, reply: Sequence[int], loss: float, exchange: Exchange
) -> DraftedAnswer:
    """A reply, given its tokens, with the loss of the right answer."""
    ended = bool(reply) and reply[-1] in end_ids(resident.model, resident.tokenizer)
    text = text_of(resident.tokenizer, reply[:-1] if ended else reply)
    lengths = len(exchange.reply), len(reply)
    return DraftedAnswer(text, loss, *lengths, not ended and is_loop(reply))


def divergences(
    resident: Resident, base: Resident, exchanges: Sequence[Exchange], stop: Stop | None = None
) -> tuple[float, ...] | None:
    """KL(model || base) of the next token, summed over the tokens of each right answer, in nats.

    Both read the right answers, not their own; the distributions are float32.

    Returns:
        None if the models have different numbers of tokens.
    """
    sums = list[float]()
    batch = _together(resident.model, exchanges, 0, MAX_BATCH_QUESTIONS, 2)
    for start in range(0, len(exchanges), batch):
        check(stop)
        part = exchanges[start : start + batch]
        pair = (_read(texts_of(model), part) for model in (resident.model, base.model))
        for logits, reference in zip(*pair, strict=True):
            if logits.shape != reference.shape:
                return None
            sums.append(float(divergence(reference[:-1], of=logits[:-1]).double().sum()))
    return tuple(sums)


def _read(texts: Texts, exchanges: Sequence[Exchange]) -> list[Logits]:
    """Logits of every token of the right answers, and of the one after them."""
    return texts.read(
        [exchange.prompt + exchange.reply for exchange in exchanges],
        [len(exchange.reply) + 1 for exchange in exchanges],
    )


def _drafted(
    resident: Resident, texts: Texts, exchanges: Sequence[Exchange], longest: int, stop: Stop | None
) -> Iterator[DraftedAnswer]:
    check(stop)
    losses, drafts = list[float](), list[list[int]]()
    read = _read(texts, exchanges)
    for exchange, logits in zip(exchanges, read, strict=True):
        losses.append(float(surprise(logits[:-1], torch.tensor(exchange.reply)).double().sum()))
        drafts.append(_agreed(exchange.reply, logits.argmax(-1).tolist()))
    del read
    replies = _finished(resident, texts, exchanges, drafts, longest, stop)
    for exchange, reply, loss in zip(exchanges, replies, losses, strict=True):
        yield drafted_answer(resident, reply, loss, exchange)


def _agreed(right: Sequence[int], likeliest: Sequence[int]) -> list[int]:
    """The known part of the greedy reply: its agreement with the right answer, and one more token.

    Args:
        right: Tokens of the right answer.
        likeliest: The model's likeliest token in place of each, and after the last.
    """
    same = 0
    while same < len(right) and likeliest[same] == right[same]:
        same += 1
    return list(likeliest[: same + 1])


def _finished(
    resident: Resident,
    texts: Texts,
    exchanges: Sequence[Exchange],
    drafts: Sequence[list[int]],
    longest: int,
    stop: Stop | None,
) -> list[list[int]]:
    """The whole replies, given their beginnings and texts that have read the right answers."""
    ends = end_ids(resident.model, resident.tokenizer)
    most = [min(longest, room(resident.model, len(exchange.prompt))) for exchange in exchanges]
    replies = [_cut(draft, ends, limit) for draft, limit in zip(drafts, most, strict=True)]

    def goes_on(row: int) -> bool:
        return replies[row][-1] not in ends and len(replies[row]) < most[row]

    texts.cut([len(e.prompt) + len(r) - 1 for e, r in zip(exchanges, replies, strict=True)])
    rows = [row for row in range(len(replies)) if goes_on(row)]
    texts.keep(rows)
    while rows:
        check(stop)
        tokens = texts.step(torch.tensor([replies[row][-1] for row in rows])).argmax(-1).tolist()
        for row, token in zip(rows, tokens, strict=True):
            replies[row].append(token)
        going = [place for place, row in enumerate(rows) if goes_on(row)]
        if len(going) < len(rows):
            texts.keep(going)
            rows = [rows[place] for place in going]
    return replies


def _cut(draft: list[int], ends: frozenset[int], most: int) -> list[int]:
    """A reply up to its first end token, at most `most` tokens."""
    last = next((place for place, token in enumerate(draft) if token in ends), most)
    return draft[: min(last + 1, most)]
