"""The merge of some coefficients, scored on held-out items.

Knows a model in memory and the scripts of the domains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from dppa_core.evaluation.evaluate import domain_score
from dppa_core.models.answer_loss import (
    Exchange,
    entropy,
    grouped,
    own_replies,
    reply_logits,
    surprise,
)
from dppa_core.models.decode import end_ids, text_of
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop
from dppa_core.tuning.adamerging.replies import Script
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.snapshot import DomainFigures


def score_domain(
    resident: Resident, script: Script, settings: AdaMergeSettings, stop: Stop | None = None
) -> DomainFigures:
    """Entropy, perplexity and accuracy on the held-out items of one domain."""
    read, accuracy = script.held_out_taught, None
    if script.domain.scored or not read:
        written = own_replies(resident, script.held_out, longest=settings.longest, stop=stop)
        read = read or written
        if script.domain.scored:
            accuracy = _accuracy(resident, script, written)
    with torch.inference_mode():
        unsure, _ = _means(resident.model, read, settings.together)
        _, surprised = _means(resident.model, script.references, settings.together)
    return DomainFigures(unsure, math.exp(surprised), accuracy, len(script.held_out))


def _accuracy(resident: Resident, script: Script, written: Sequence[Exchange]) -> float:
    ends = end_ids(resident.model, resident.tokenizer)
    texts = [
        text_of(resident.tokenizer, [token for token in one.reply if token not in ends])
        for one in written
    ]
    return domain_score(script.domain.held_out, texts).accuracy


def _means(model: Any, exchanges: Sequence[Exchange], together: int) -> tuple[float, float]:
    """Mean entropy, and mean negative log-likelihood of the replies, per position, in nats."""
    entropies, surprises, count = 0.0, 0.0, 0
    for group in grouped(exchanges, together):
        logits, tokens = reply_logits(model, group)
        entropies += float(entropy(logits).double().sum())
        surprises += float(surprise(logits, tokens).double().sum())
        count += len(tokens)
    return entropies / count, surprises / count
