"""Texts of any lengths that one model continues together: read, stepped, cut, dropped.

Two implementations: `OwnTexts` computes with `OwnStep`, `ForeignTexts` with transformers' own
forward pass, for every other family and device. Their results carry no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import chain, takewhile
from math import isfinite
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dppa_core.errors import NonFiniteWeights
from dppa_core.models.devices import input_device
from dppa_core.models.own_step import OwnStep, knows

Logits = Float[Tensor, "positions vocabulary"]
MAX_READ_TOKENS = 512
"""Most tokens, padding included, that several texts are read in together: buffers of this size stay
in the cache and are not mapped anew for each product."""
MIN_SAVED_TOKENS = 64
"""Least number of tokens that reading a shared prefix once must save: it costs one more pass over
the weights, about as much as 48 tokens of a layer 576 wide."""


@runtime_checkable
class Texts(Protocol):
    """Some texts and the model's memory of them. Used by one thread at a time."""

    @property
    def can_cut(self) -> bool:
        """True if `cut` works; not if a model remembers its past in one state."""

    def read(self, texts: Sequence[Sequence[int]], kept: Sequence[int]) -> list[Logits]:
        """Append texts, and read them whole.

        Args:
            texts: Token ids, at least one each.
            kept: For each text, how many of its last positions give logits; at least one.

        Returns:
            Float32 logits of the next token at these positions.

        Raises:
            NonFiniteWeights: the model computes NaN or infinity there.
        """

    def step(self, tokens: Int[Tensor, " texts"]) -> Float[Tensor, "texts vocabulary"]:
        """Read one more token of every text; float32 logits of the next one. Raises as `read`."""

    def cut(self, lengths: Sequence[int]) -> None:
        """Forget the tokens beyond the given length of each text."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these texts, in ascending order, and forget the others."""


def texts_of(model: Any) -> Texts:
    """No texts yet, for a model: `OwnTexts` on the processor if `OwnStep` knows it."""
    return OwnTexts(OwnStep(model)) if knows(model) else ForeignTexts(model)


def shared_prefix(texts: Sequence[Sequence[int]], kept: Sequence[int]) -> int:
    """Tokens of the prefix that all texts share, before any kept position; 0 if reading it once
    would save fewer than `MIN_SAVED_TOKENS`. SmolLM2's chat template begins every text with 31."""
    last = min(len(text) - count for text, count in zip(texts, kept, strict=True))
    columns = zip(*(text[:last] for text in texts), strict=True)
    length = len(list(takewhile(lambda tokens: len(set(tokens)) == 1, columns)))
    return length if (len(texts) - 1) * length >= MIN_SAVED_TOKENS else 0


def check_logits(logits: Tensor) -> None:
    """Refuse logits, (…, vocab), if a row has no finite maximum.

    Raises:
        NonFiniteWeights: naming the usual cause.
    """
    if not all(map(isfinite, logits.amax(-1).tolist())):  # -inf is an impossible token
        raise NonFiniteWeights(
            "The model computes NaN or infinity for its next token, so it has no "
            "answer. Large factors or coefficients of a merge are the usual cause."
        )


class OwnTexts:
    """Texts of a model that `OwnStep` knows."""

    can_cut = True

    def __init__(self, step: OwnStep) -> None:
        self._step, self._past = step, step.empty()
        self._lengths: list[int] = []

    @torch.inference_mode()
    def read(self, texts: Sequence[Sequence[int]], kept: Sequence[int]) -> list[Logits]:
        """See `Texts`."""
        longest, first = max(map(len, texts)), shared_prefix(texts, kept)
        self._past.reserve(len(self._lengths) + len(texts), longest)
        if first:
            row, nothing = len(self._lengths), torch.zeros(0, dtype=torch.long)
            self._step.read(torch.tensor([texts[0][:first]]), self._past, row, nothing)
            self._past.repeat(row, len(texts), first)
        rows, logits = max(1, MAX_READ_TOKENS // (longest - first)), list[Logits]()
        for start in range(0, len(texts), rows):
            piece = [text[first:] for text in texts[start : start + rows]]
            logits += self._read(piece, kept[start : start + rows], first)
        return logits

    def _read(
        self, texts: Sequence[Sequence[int]], kept: Sequence[int], first: int
    ) -> tuple[Logits, ...]:
        ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
        predicts = torch.zeros(ids.shape, dtype=torch.bool)
        for row, (text, last) in enumerate(zip(texts, kept, strict=True)):
            ids[row, : len(text)] = torch.tensor(text)
            predicts[row, len(text) - last : len(text)] = True
        places = predicts.flatten().nonzero()[:, 0]
        hidden = self._step.read(ids, self._past, len(self._lengths), places, first)
        logits = self._step.logits(hidden)
        self._lengths += (first + len(text) for text in texts)
        check_logits(logits)
        return torch.split(logits, list(kept))

    @torch.inference_mode()
    def step(self, tokens: Int[Tensor, " texts"]) -> Float[Tensor, "texts vocabulary"]:
        """See `Texts`."""
        logits = self._step.step(tokens, self._past, self._lengths)
        check_logits(logits)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def cut(self, lengths: Sequence[int]) -> None:
        """See `Texts`."""
        self._lengths = list(lengths)  # positions beyond are overwritten before they are read

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """See `Texts`."""
        self._lengths = [self._lengths[row] for row in rows]
        self._past.keep(rows, max(self._lengths, default=0))


@dataclass(slots=True)
class _Group:
    """Texts that were read together, and transformers' cache of them."""

    cache: Any
    columns: Bool[Tensor, "texts columns"]
    """The columns of the cache that belong to each text."""


class ForeignTexts:
    """Texts of any causal language model of transformers, on any device."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._argument = cache_argument(model)
        self.can_cut = _reads_padded(model)
        self._groups: list[_Group] = []

    @torch.inference_mode()
    def read(self, texts: Sequence[Sequence[int]], kept: Sequence[int]) -> list[Logits]:
        """See `Texts`."""
        results: list[Logits] = []
        for start, end in self._together(texts):
            group = self._group(texts[start:end])
            ids = torch.zeros(group.columns.shape, dtype=torch.long)
            ids[group.columns] = torch.tensor([*chain(*texts[start:end])])
            logits = self._forward(group, ids, group.columns.shape[1], max(kept[start:end]))
            for row, last in enumerate(kept[start:end]):
                check_logits(logits[row, -last:])
                results.append(logits[row, -last:])
            self._groups.append(group)
        return results

    def _together(self, texts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
        """Neighbours that share a group: all, or only those of equal length."""
        if self.can_cut:
            return [(0, len(texts))]
        edges = [i for i in range(1, len(texts)) if len(texts[i]) != len(texts[i - 1])]
        return list(zip([0, *edges], [*edges, len(texts)], strict=True))

    def _group(self, texts: Sequence[Sequence[int]]) -> _Group:
        from transformers import DynamicCache  # noqa: PLC0415  (heavy: most models need none)

        longest = max(map(len, texts))
        first = torch.tensor([[longest - len(text)] for text in texts])
        return _Group(DynamicCache(config=self._model.config), torch.arange(longest) >= first)

    @torch.inference_mode()
    def step(self, tokens: Int[Tensor, " texts"]) -> Float[Tensor, "texts vocabulary"]:
        """See `Texts`."""
        results, start = [], 0
        for group in self._groups:
            rows = len(group.columns)
            group.columns = torch.cat([group.columns, torch.ones(rows, 1, dtype=torch.bool)], -1)
            results.append(self._forward(group, tokens[start : start + rows, None], 1, 1)[:, -1])
            start += rows
        logits = torch.cat(results)
        check_logits(logits)
        return logits

    def _forward(
        self, group: _Group, ids: Int[Tensor, "texts new"], new: int, kept: int
    ) -> Float[Tensor, "texts kept vocabulary"]:
        device = input_device(self._model)
        more: dict[str, Tensor] = {}
        if not bool(group.columns.all()):
            positions = (group.columns.long().cumsum(-1) - 1).clamp(min=0)[:, -new:]
            more = {"attention_mask": group.columns.long(), "position_ids": positions}
        out = self._model(
            input_ids=ids.to(device),
            use_cache=True,
            logits_to_keep=kept,
            **{self._argument: group.cache},
            **{name: value.to(device) for name, value in more.items()},
        )
        logits: Tensor = out.logits[:, -kept:].cpu().float()  # sampled on the CPU: seeds agree
        return logits

    def cut(self, lengths: Sequence[int]) -> None:
        """See `Texts`."""
        start = 0
        for group in self._groups:
            rows = len(group.columns)
            limits = torch.tensor(lengths[start : start + rows])[:, None]
            group.columns = group.columns & (group.columns.long().cumsum(-1) <= limits)
            start += rows

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """See `Texts`."""
        start, left = 0, []
        for group in self._groups:
            kept = [row - start for row in rows if start <= row < start + len(group.columns)]
            start += len(group.columns)
            if kept and len(kept) < len(group.columns):
                group.cache.batch_select_indices(torch.tensor(kept))
                group.columns = group.columns[kept]
            if kept:
                left.append(group)
        self._groups = left


def _reads_padded(model: Any) -> bool:
    """Return True if texts of different lengths may share a batch: all the cache can be masked."""
    if "position_ids" not in signature(model.forward).parameters:
        return False
    from transformers.cache_utils import DynamicCache, DynamicLayer  # noqa: PLC0415  (heavy)

    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def cache_argument(model: Any) -> str:
    """Name of the cache argument of a model's forward pass."""
    # Renamed within transformers 5; the old name warns in the newer releases.
    parameters = signature(model.forward).parameters
    return "cache" if "cache" in parameters else "past_key_values"
