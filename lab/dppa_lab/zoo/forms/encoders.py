"""Published encoders: what each form keeps of a fine-tune, of its weights and of its vectors, and
how far two fine-tunes disagree.

A text's vector is the last layer's at its first token. No answers are scored: the head of a
fine-tune answers for its own task alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.evaluation.form_sizes import form_sizes, kept_alone, whole_size
from dppa_core.evaluation.scores import Target
from dppa_core.forms.store import Store
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.devices import input_device
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from dppa_core.pruning.rate_table import RATES
from dppa_lab.zoo.forms.measured_forms import FACTORS, STORES

CONFLICT_RATES = (0.0, 0.9)
"""Rates at which pairs are compared: all entries, and the largest tenth of each model."""
Vectors = Float64[ndarray, "texts width"]


def measure_encoders(
    base: Path,
    models: Sequence[Path],
    texts: Sequence[str],
    *,
    stores: Sequence[Store] = STORES,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """A JSON-ready record of fine-tunes of one base.

    Args:
        base: A masked language model.
        texts: One a line; every other one chooses a form's factor, the rest are measured.

    Raises:
        CheckpointError: a model cannot be read, or is no fine-tune of the base.
    """
    records = []
    for model in models:
        records.append(_record(str(base), model, texts, stores))
        say(model.name)
    meetings = count_meetings(str(base), list(map(str, models))) if len(models) > 1 else ()
    names = combinations([model.name for model in models], 2)
    pairs = [
        {"models": list(pair), "rates": [_disagreement(meeting, rate) for rate in CONFLICT_RATES]}
        for pair, meeting in zip(names, meetings, strict=True)
    ]
    return {"base": base.name, "texts": len(texts), "models": records, "pairs": pairs}


def kept_share(vectors: Vectors, whole: Vectors, base: Vectors) -> float:
    """The share of the way from the base's vectors to the fine-tune's: 1 - |v - w|² / |b - w|²."""
    return float(1 - ((vectors - whole) ** 2).sum() / ((base - whole) ** 2).sum())


def _record(
    base: str, model: Path, texts: Sequence[str], stores: Sequence[Store]
) -> dict[str, Any]:
    pool = ModelPool()

    def vectors(target: Target) -> Vectors:
        return text_vectors(pool, target, texts)

    start, end = vectors(base), vectors(kept_alone(base, str(model), heads="base"))
    forms = []
    for size in form_sizes(base, str(model), stores):
        shares = {}
        for factor in FACTORS:
            target = kept_alone(base, str(model), size.store, factor, heads="base")
            rows = vectors(target)
            shares[factor] = [kept_share(rows[n::2], end[n::2], start[n::2]) for n in (0, 1)]
        factor = max(FACTORS, key=lambda factor: shares[factor][0])
        kept = {"factor": factor, "kept": shares[factor][1], "kept plain": shares[1.0][1]}
        forms.append(asdict(size) | kept)
    return {
        "model": model.name,
        "change": delta_size(cached_profile(base, str(model))).relative,
        "whole": whole_size(str(model)).nbytes,
        "forms": forms,
    }


@torch.inference_mode()
def text_vectors(pool: ModelPool, target: Target, texts: Sequence[str]) -> Vectors:
    """The vector of each text, in float64."""
    with pool.lend(target) as resident:
        device, body = input_device(resident.model), resident.model.base_model
        rows = []
        for text in texts:
            ids = torch.tensor([resident.tokenizer(text)["input_ids"]], device=device)
            rows.append(body(input_ids=ids).last_hidden_state[0, 0].double().cpu().numpy())
    return np.stack(rows)


def _disagreement(meeting: Any, rate: float) -> dict[str, float]:
    """Of what both models keep at a rate the share they change in opposite directions; and of what
    one keeps the share that the other keeps, too."""
    place = round(rate * (RATES - 1))
    both = int(meeting.both[:, place].sum())
    return {
        "rate": rate,
        "opposed": int(meeting.opposed[:, place].sum()) / both,
        "shared": both / int(meeting.kept[0, :, place].sum()),
    }
