"""Logits and hidden states of a model at the positions of a reply, and losses of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dppa_core.errors import NonFiniteWeights
from dppa_core.models.decode import answer_ids, end_ids, greedy_tokens, room
from dppa_core.models.devices import input_device
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and a reply to it, as token ids; neither is empty."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    """With its end token, if it has one."""


def grouped(exchanges: Sequence[Exchange], together: int) -> Iterator[tuple[Exchange, ...]]:
    """Groups of at most `together`, of similar length, to save padding."""
    by_length = sorted(exchanges, key=lambda exchange: (len(exchange.prompt), len(exchange.reply)))
    for start in range(0, len(by_length), together):
        yield tuple(by_length[start : start + together])


def reply_logits(
    model: Any, exchanges: Sequence[Exchange]
) -> tuple[Float[Tensor, "positions vocab"], Int[Tensor, " positions"]]:
    """Float32 logits at every position that predicts a reply's token, and those tokens.

    Both lie where the model computes. Texts are padded at their ends: no position sees what comes
    after it.

    Raises:
        NonFiniteWeights: the model computes NaN or infinity.
    """
    logits, tokens, _ = _read(model, exchanges)
    return logits, tokens


@dataclass(frozen=True, slots=True, eq=False)
class ReplyStates:
    """What a model computes at every position that predicts a reply's token."""

    logits: Float[Tensor, "positions vocab"]
    hidden: tuple[Float[Tensor, "positions width"], ...]
    """Output of every block, the last one normalised for the head."""


def reply_states(model: Any, exchanges: Sequence[Exchange]) -> ReplyStates:
    """As `reply_logits`, with float32 hidden states."""
    logits, _, hidden = _read(model, exchanges, output_hidden_states=True)
    return ReplyStates(logits, hidden)


def _read(
    model: Any, exchanges: Sequence[Exchange], **asked: bool
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    device = input_device(model)
    texts = [exchange.prompt + exchange.reply for exchange in exchanges]
    longest = max(map(len, texts))
    ids = torch.zeros((len(texts), longest), dtype=torch.long)
    predicts = torch.zeros((len(texts), longest), dtype=torch.bool)
    for row, (exchange, text) in enumerate(zip(exchanges, texts, strict=True)):
        ids[row, : len(text)] = torch.tensor(text)
        predicts[row, len(exchange.prompt) - 1 : len(text) - 1] = True
    kept = longest - min(len(exchange.prompt) for exchange in exchanges) + 1
    ids, predicts = ids.to(device), predicts.to(device)
    out = model(input_ids=ids, use_cache=False, logits_to_keep=kept, **asked)
    logits = out.logits[predicts[:, -kept:]].float()
    if not bool(torch.isfinite(logits.amax(-1)).all()):
        raise NonFiniteWeights(
            "The model computes NaN or infinity at the positions of an answer. Large "
            "factors, coefficients or learning rates are the usual cause."
        )
    hidden = tuple(layer[predicts].float() for layer in out.hidden_states[1:]) if asked else ()
    return logits, ids.roll(-1, 1)[predicts], hidden


def entropy(logits: Float[Tensor, "positions vocab"]) -> Float[Tensor, " positions"]:
    """Shannon entropy of the softmax of each row, in nats: -sum of p log p."""
    logs = logits.log_softmax(-1)
    # A token that never comes has a logit of -inf: 0 log 0 is 0.
    return -(logs.exp() * logs.masked_fill(logs == -torch.inf, 0.0)).sum(-1)


def surprise(
    logits: Float[Tensor, "positions vocab"], tokens: Int[Tensor, " positions"]
) -> Float[Tensor, " positions"]:
    """Negative log-likelihood of each token, in nats."""
    return functional.cross_entropy(logits, tokens, reduction="none")


def divergence(
    logits: Float[Tensor, "positions vocab"], of: Float[Tensor, "positions vocab"]
) -> Float[Tensor, " positions"]:
    """Kullback-Leibler divergence KL(p || q) in nats: p is the softmax of `of`, q of `logits`."""
    logs, given = logits.log_softmax(-1), of.log_softmax(-1)
    # A token that never comes has a logit of -inf: 0 log 0 is 0.
    gaps = (given - logs).masked_fill(given == -torch.inf, 0.0)
    return (given.exp() * gaps).sum(-1)


def distance(states: ReplyStates, of: ReplyStates) -> Float[Tensor, " positions"]:
    """|h - g|^2 / |g|^2 of hidden states h and those `of` another model, g: mean of the blocks."""
    shares = [
        (layer - given).square().sum(-1) / given.square().sum(-1)
        for layer, given in zip(states.hidden, of.hidden, strict=True)
    ]
    return torch.stack(shares).mean(0)


def own_replies(
    resident: Resident, prompts: Sequence[tuple[int, ...]], *, longest: int, stop: Stop | None
) -> tuple[Exchange, ...]:
    """The model's own greedy replies, each with its end token."""
    model, tokenizer = resident.model, resident.tokenizer
    ends = end_ids(model, tokenizer)
    written = greedy_tokens(model, prompts, ends, limit=longest, stop=stop)
    return tuple(
        Exchange(prompt, tuple(reply)) for prompt, reply in zip(prompts, written, strict=True)
    )


def reference(resident: Resident, prompt: tuple[int, ...], answer: str) -> Exchange:
    """A prompt with a given answer, cut at the model's last position.

    Args:
        prompt: Token ids.
        answer: The reference answer as text.
    """
    whole = answer_ids(resident, answer)
    return Exchange(prompt, tuple(whole[: room(resident.model, len(prompt))]))
