"""Loss of an encoder at masked tokens of a text: the same masks for models of one tokenizer.

Each line is read by itself, a long one in windows side by side. Losses are float32; their sums are
float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from dppa_core.errors import DamagedCheckpoint, InvalidValue
from dppa_core.evaluation.perplexity import USUAL_CAUSE, WINDOW_TOKENS
from dppa_core.models.devices import input_device
from dppa_core.models.resident import Resident
from dppa_core.models.texts import check_logits
from dppa_core.progress import Stop, check
from dppa_core.system.error_translation import ForeignCode
from dppa_core.tasks.intervals import Interval, mean_interval

MASKED_SHARE, SEED = 0.15, 0
_MAX_BATCH_LOGITS = 1 << 26
"""Most logits computed together; a single window may have more."""


@dataclass(frozen=True, slots=True)
class MaskedLoss:
    """The loss of a masked language model on a text."""

    loss: Interval
    """Nats per masked token; the bootstrap draws whole windows."""
    masked: int
    """Tokens that were masked and predicted."""
    tokens: int
    """Tokens of the text, without those that the tokenizer adds."""
    unknown: int
    """Of them those that the tokenizer does not know; never masked."""
    window: int
    windows: int


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text as windows of token ids; those added around each window are apart."""

    windows: tuple[tuple[int, ...], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    masks: tuple[Bool[ndarray, " tokens"], ...]
    """For each window, True at the tokens to predict."""


def masked_loss(
    resident: Resident, text: str, *, window: int = WINDOW_TOKENS, stop: Stop | None = None
) -> MaskedLoss:
    """Mask 15 % of a text's tokens, drawn from a fixed seed, and predict them.

    Args:
        window: Tokens read together, those around the text included; at most the model's positions.

    Raises:
        InvalidValue: a window out of range, a text without tokens to mask.
        DamagedCheckpoint: the tokenizer has no mask, or belongs to another model.
        NonFiniteWeights: the model's outputs are not finite.
    """
    tokenizer, model = resident.tokenizer, resident.model
    window = min(window, _positions(model) or window)
    read = masked_text(resident, text, window)
    rows, mask = model.get_input_embeddings().num_embeddings, tokenizer.mask_token_id
    highest = max(max(ids) for ids in (*read.windows, read.before, read.after, (mask or 0,)) if ids)
    if mask is None or highest >= rows:
        problem = f"a token {highest}, its model {rows} tokens" if mask is not None else "no mask"
        raise DamagedCheckpoint(f"{resident.key}: its tokenizer has {problem}. {USUAL_CAUSE}")
    sums = [0.0] * len(read.windows)
    for batch in _batches(read, model.config.vocab_size):
        check(stop)
        for row, losses in zip(batch, _losses(model, tokenizer, read, batch), strict=True):
            sums[row] = float(losses.double().sum())
    counts = [int(places.sum()) for places in read.masks]
    used = [row for row, count in enumerate(counts) if count]
    return MaskedLoss(
        mean_interval([sums[row] for row in used], [counts[row] for row in used]),
        masked=sum(counts),
        tokens=sum(map(len, read.windows)),
        unknown=sum(ids.count(tokenizer.unk_token_id) for ids in read.windows),
        window=window,
        windows=len(read.windows),
    )


def masked_text(resident: Resident, text: str, window: int) -> MaskedText:
    """The windows of a text, and the tokens to mask; they depend on the tokenizer alone."""
    tokenizer: Any = resident.tokenizer
    lines = [line for line in text.splitlines() if line.strip()]
    with ForeignCode(f"{resident.key}: its tokenizer fails", USUAL_CAUSE):
        plain = [list(map(int, i)) for i in tokenizer(lines, add_special_tokens=False)["input_ids"]]
        some = next((n for n, ids in enumerate(plain) if ids), 0)
        whole = [int(i) for i in tokenizer(lines[some])["input_ids"]]
        special = {int(i) for i in tokenizer.all_special_ids}
    count = len(plain[some])
    first = next((n for n in range(len(whole)) if whole[n : n + count] == plain[some]), 0)
    before, after = tuple(whole[:first]), tuple(whole[first + count :])
    room = window - len(before) - len(after)
    if room < 1:
        raise InvalidValue(f"window must be more than {window - room} tokens, got {window}.")
    parts = [ids[at : at + room] for ids in plain for at in range(0, len(ids), room)]
    kept = tuple(map(tuple, parts))
    free = np.array([token not in special for part in kept for token in part], bool)
    if not free.any():
        raise InvalidValue(
            "The text has no token that could be masked: the tokenizer knows none of it. A text "
            "for another model is the usual cause."
        )
    ends = np.cumsum([len(part) for part in kept])[:-1]
    return MaskedText(kept, before, after, tuple(np.split(choose_masks(free), ends)))


def choose_masks(free: Bool[ndarray, " tokens"], seed: int = SEED) -> Bool[ndarray, " tokens"]:
    """Draw 15 % of the tokens that may be masked, at least one."""
    places = np.flatnonzero(free)
    count = max(1, round(MASKED_SHARE * places.size))
    masks = np.zeros(free.size, bool)
    masks[np.random.default_rng(seed).permutation(places)[:count]] = True
    return masks


def _positions(model: Any) -> int | None:
    """Tokens that a model can read; some families count positions from behind their padding."""
    positions = getattr(model.config, "max_position_embeddings", None)
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return positions if not positions or padding is None else positions - padding - 1


def _batches(read: MaskedText, vocabulary: int) -> Iterator[list[int]]:
    """Windows with masks, long ones first, in batches of bounded size."""
    around = len(read.before) + len(read.after)
    rows = [row for row, places in enumerate(read.masks) if places.any()]
    rows.sort(key=lambda row: -len(read.windows[row]))
    while rows:
        longest = len(read.windows[rows[0]]) + around
        count = max(1, _MAX_BATCH_LOGITS // (longest * vocabulary))
        yield rows[:count]
        rows = rows[count:]


@torch.inference_mode()
def _losses(
    model: Any, tokenizer: Any, read: MaskedText, batch: Sequence[int]
) -> tuple[Tensor, ...]:
    """The losses of each window of a batch at its masks, in nats."""
    first, device = len(read.before), input_device(model)
    texts = [read.before + read.windows[row] + read.after for row in batch]
    ids = torch.full((len(batch), max(map(len, texts))), tokenizer.pad_token_id or 0)
    reads, masks = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for place, (row, text) in enumerate(zip(batch, texts, strict=True)):
        ids[place, : len(text)], reads[place, : len(text)] = torch.tensor(text), 1
        masks[place, first : first + len(read.windows[row])] = torch.from_numpy(read.masks[row])
    hidden = ids.masked_fill(masks, tokenizer.mask_token_id).to(device)
    logits = model(input_ids=hidden, attention_mask=reads.to(device)).logits
    predicted = logits[masks.to(device)].float()
    check_logits(predicted)
    losses = functional.cross_entropy(predicted, ids[masks].to(device), reduction="none").cpu()
    return torch.split(losses, masks.sum(1).tolist())
