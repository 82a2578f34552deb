"""What a model makes of questions whose answers are known: its replies, and the answers' losses.

Knows a model in memory and token ids; no task, no recipe. The right answer is the draft of the
reply: read once behind its prompt, it gives its own loss and as much of the greedy reply as agrees
with it; only the rest is written token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from dppa_core.models.answer_loss import Exchange, own_replies, reply_logits, surprise
from dppa_core.models.decode import cache_argument, check_logits, end_ids, room, text_of
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop, check

LONGEST = 48
"""Most tokens of a reply."""
TOGETHER = 64
"""Most questions computed together."""


@dataclass(frozen=True, slots=True)
class DraftedAnswer:
    """What a model makes of one question."""

    reply: str
    """Its greedy reply."""
    loss: float
    """Negative log-likelihood of the right answer, summed over its tokens, in nats."""
    tokens: int
    """Of the right answer, the one that ends it included."""


def answers(
    resident: Resident,
    exchanges: Sequence[Exchange],
    *,
    longest: int = LONGEST,
    together: int = TOGETHER,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> tuple[DraftedAnswer, ...]:
    """Reply to questions greedily, and measure the loss of their right answers.

    Args:
        exchanges: Prompts with their right answers.
        longest: Most tokens in a reply.
        together: Most questions computed at once.
        progress: Called with the number of questions answered so far.
        stop: Looked at before each token; raises Cancelled once set.

    Raises:
        InvalidValue: a prompt that fills all the positions of the model.
        NonFiniteWeights: the model computes no numbers.
    """
    ask = _drafted if _reads_padded(resident.model) else _apart
    found: list[DraftedAnswer | None] = [None] * len(exchanges)
    order = sorted(range(len(exchanges)), key=lambda row: _length(exchanges[row]))
    done = 0
    for start in range(0, len(order), together):
        rows = order[start : start + together]
        for row, answer in zip(
            rows, ask(resident, [exchanges[row] for row in rows], longest, stop), strict=True
        ):
            found[row] = answer
        done += len(rows)
        if progress:
            progress(done)
    return tuple(one for one in found if one is not None)


def _length(exchange: Exchange) -> tuple[int, int]:
    return len(exchange.prompt), len(exchange.reply)


def _reads_padded(model: Any) -> bool:
    """Whether texts of other lengths may share a batch: all that is remembered can be masked."""
    if "position_ids" not in signature(model.forward).parameters:
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def _apart(
    resident: Resident, exchanges: Sequence[Exchange], longest: int, stop: Stop | None
) -> Iterator[DraftedAnswer]:
    """For models that remember what cannot be masked: replies of equal length, then the losses."""
    prompts = [one.prompt for one in exchanges]
    written = own_replies(resident, prompts, longest=longest, stop=stop)
    for exchange, own in zip(exchanges, written, strict=True):
        check(stop)
        with torch.inference_mode():
            loss = surprise(*reply_logits(resident.model, [exchange])).double().sum()
        yield DraftedAnswer(_text(resident, own.reply), float(loss), len(exchange.reply))


def _text(resident: Resident, reply: Sequence[int]) -> str:
    ends = end_ids(resident.model, resident.tokenizer)
    return text_of(resident.tokenizer, reply[:-1] if reply and reply[-1] in ends else reply)


def _drafted(
    resident: Resident, exchanges: Sequence[Exchange], longest: int, stop: Stop | None
) -> Iterator[DraftedAnswer]:
    check(stop)
    batch = _Batch(resident, exchanges, longest)
    with torch.inference_mode():
        losses, likeliest = batch.read()
    drafts = [
        _agreed(one.reply, row.tolist()) for one, row in zip(exchanges, likeliest, strict=True)
    ]
    replies = batch.finished(drafts, stop)
    for exchange, loss, reply in zip(exchanges, losses.tolist(), replies, strict=True):
        yield DraftedAnswer(_text(resident, reply), loss, len(exchange.reply))


def _agreed(right: Sequence[int], likeliest: Sequence[int]) -> list[int]:
    """The greedy reply as far as it is known: what agrees with the right answer, and one more.

    Args:
        right: Tokens of the right answer.
        likeliest: What the model would have said in the place of each, and after the last.
    """
    same = 0
    while same < len(right) and likeliest[same] == right[same]:
        same += 1
    return list(likeliest[: same + 1])


class _Batch:
    """Questions read together: prompts end in one column, right answers begin in the next."""

    def __init__(self, resident: Resident, exchanges: Sequence[Exchange], longest: int) -> None:
        self._model = resident.model
        self._ends = end_ids(resident.model, resident.tokenizer)
        self._asked = [len(one.prompt) for one in exchanges]
        self._limits = [min(longest, room(self._model, asked)) for asked in self._asked]
        self._width = max(self._asked)
        self._answer = max(len(one.reply) for one in exchanges)
        shape = (len(exchanges), self._width + self._answer)
        self._ids = torch.zeros(shape, dtype=torch.long)
        self._seen: Bool[Tensor, "rows columns"] = torch.zeros(shape, dtype=torch.bool)
        for row, one in enumerate(exchanges):
            first, text = self._width - len(one.prompt), one.prompt + one.reply
            self._ids[row, first : first + len(text)] = torch.tensor(text)
            self._seen[row, first : first + len(text)] = True
        self._cache = DynamicCache(config=self._model.config)

    def _forward(
        self,
        ids: Int[Tensor, "rows new"],
        seen: Bool[Tensor, "rows columns"],
        positions: Int[Tensor, "rows new"],
        kept: int,
    ) -> Float[Tensor, "rows kept vocab"]:
        out = self._model(
            input_ids=ids,
            attention_mask=seen.long(),
            position_ids=positions,
            use_cache=True,
            logits_to_keep=kept,
            **{cache_argument(self._model): self._cache},
        )
        logits: Tensor = out.logits.float()
        return logits

    def read(self) -> tuple[Float[Tensor, " rows"], Int[Tensor, "rows answer"]]:
        """Losses of the right answers, and the likeliest token at each of their places."""
        positions = (self._seen.long().cumsum(-1) - 1).clamp(min=0)
        logits = self._forward(self._ids, self._seen, positions, self._answer + 1)
        right, there = self._ids[:, self._width :], self._seen[:, self._width :]
        check_logits(logits[:, :-1][there])
        losses = functional.cross_entropy(logits[:, :-1].mT, right, reduction="none").double()
        return losses.where(there, 0).sum(-1), logits.argmax(-1)

    def finished(self, drafts: Sequence[list[int]], stop: Stop | None) -> list[list[int]]:
        """The whole replies, given how they begin."""
        replies = [self._cut(draft, most) for draft, most in zip(drafts, self._limits, strict=True)]
        rows = [row for row in range(len(replies)) if self._goes_on(replies, row)]
        if not rows:
            return replies
        # Of the right answer only what was said is seen: not where the reply left it.
        for row in rows:
            self._seen[row, self._width + len(replies[row]) - 1 :] = False
        seen = self._keep(rows, self._seen)
        while rows:
            check(stop)
            ids = torch.tensor([[replies[row][-1]] for row in rows])
            at = torch.tensor([[self._asked[row] + len(replies[row]) - 1] for row in rows])
            seen = torch.cat([seen, torch.ones(len(rows), 1, dtype=torch.bool)], -1)
            with torch.inference_mode():
                logits = self._forward(ids, seen, at, 1)[:, -1]
                check_logits(logits)
                tokens = logits.argmax(-1).tolist()
            for row, token in zip(rows, tokens, strict=True):
                replies[row].append(token)
            going = [place for place, row in enumerate(rows) if self._goes_on(replies, row)]
            if len(going) < len(rows):
                seen, rows = self._keep(going, seen), [rows[place] for place in going]
        return replies

    def _cut(self, draft: list[int], most: int) -> list[int]:
        """A reply as far as it counts: up to the token that ends it."""
        last = next((place for place, token in enumerate(draft) if token in self._ends), most)
        return draft[: min(last + 1, most)]

    def _goes_on(self, replies: Sequence[list[int]], row: int) -> bool:
        return replies[row][-1] not in self._ends and len(replies[row]) < self._limits[row]

    def _keep(
        self, rows: Sequence[int], seen: Bool[Tensor, "rows columns"]
    ) -> Bool[Tensor, "kept columns"]:
        """Forget the other questions of the batch."""
        if rows:
            self._cache.batch_select_indices(torch.tensor(rows))
        return seen[list(rows)]
