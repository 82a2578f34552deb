"""The texts of a run as token ids: prompts, and the replies whose positions are read.

One model in memory writes the replies of all domain models, with the weights of each in turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dppa_core.models.answer_loss import Exchange, own_replies, reference
from dppa_core.models.decode import prompt_ids
from dppa_core.models.devices import place_of
from dppa_core.models.resident import Resident
from dppa_core.progress import Progress, Stop, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.tuning.adamerging.model import PreparedDeltas, TunableModel
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import Domain


@dataclass(frozen=True, slots=True)
class DomainTokens:
    """The texts of one domain as token ids."""

    domain: Domain
    prompts: tuple[tuple[int, ...], ...]
    held_out: tuple[tuple[int, ...], ...]
    references: tuple[Exchange, ...]
    """The held-out prompts with their reference answers."""
    taught: tuple[Exchange, ...] = ()
    """`prompts` with the domain model's replies; empty if the merge's own replies are used."""
    held_out_taught: tuple[Exchange, ...] = ()
    """The same for `held_out`."""


def encode(resident: Resident, domain: Domain) -> DomainTokens:
    """The texts of a domain, encoded with the merge's tokenizer.

    Raises:
        DamagedCheckpoint: a tokenizer of another model.
        InvalidValue: a prompt fills all positions of the model.
    """
    held_out = [tuple(prompt_ids(resident, item.prompt)) for item in domain.held_out]
    answers = [item.answer for item in domain.held_out]
    return DomainTokens(
        domain,
        tuple(tuple(prompt_ids(resident, prompt)) for prompt in domain.prompts),
        tuple(held_out),
        tuple(
            reference(resident, prompt, answer)
            for prompt, answer in zip(held_out, answers, strict=True)
        ),
    )


def teach(
    resident: Resident,
    scripts: Sequence[DomainTokens],
    recipe: MergeRecipe,
    settings: AdaMergeSettings,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[DomainTokens, ...]:
    """Add each domain model's own greedy replies to the prompts of its domain.

    The cache keeps them by the hashes of weights and prompts.

    Args:
        resident: Holds the base's weights, before and after.
        scripts: One per model of the recipe.
    """
    taught = []
    for index, (model, script) in enumerate(zip(recipe.models, scripts, strict=True)):
        report(progress, index, len(scripts), f"replies of {model.model}")
        deltas = _deltas_alone(recipe, model, stop)
        prompts = script.prompts + script.held_out
        entry = _entry(deltas, prompts, settings, place_of(resident.model))
        replies = _remembered(entry, prompts)
        if replies is None:
            weights = TunableModel(deltas, resident.model, per_layer=False)
            weights.write(weights.start(1.0))
            replies = own_replies(resident, prompts, longest=settings.longest, stop=stop)
            weights.write(weights.start(0.0))
            store(entry, json.dumps([exchange.reply for exchange in replies]).encode())
        count = len(script.prompts)
        taught.append(replace(script, taught=replies[:count], held_out_taught=replies[count:]))
    return tuple(taught)


def domain_models(
    resident: Resident, recipe: MergeRecipe, stop: Stop | None
) -> tuple[TunableModel, ...]:
    """The weights of each domain model, in the memory of the base, with coefficient 1."""
    return tuple(
        TunableModel(_deltas_alone(recipe, model, stop), resident.model, per_layer=False)
        for model in recipe.models
    )


def _deltas_alone(recipe: MergeRecipe, model: DomainModel, stop: Stop | None) -> PreparedDeltas:
    """Of base + 1 x (model - base): the domain model itself, in the memory of the base."""
    alone = MergeRecipe(
        recipe.base, (DomainModel(model.model),), method="task_arithmetic", dtype="float32"
    )
    return PreparedDeltas(alone, byte_budget=0, stop=stop)


def _remembered(entry: Path, prompts: Sequence[tuple[int, ...]]) -> tuple[Exchange, ...] | None:
    data = load(entry)
    if data is None:
        return None
    replies = json.loads(data)
    return tuple(Exchange(*map(tuple, pair)) for pair in zip(prompts, replies, strict=True))


def _entry(
    deltas: PreparedDeltas,
    prompts: Sequence[tuple[int, ...]],
    settings: AdaMergeSettings,
    place: Sequence[str],
) -> Path:
    merger = deltas.merger
    checkpoints = (merger.base, *merger.inputs.tuned)
    weights = [checkpoint.content_hash() for checkpoint in checkpoints]
    text = json.dumps([weights, settings.longest, prompts, *place])
    return cache_folder("replies") / hashlib.sha256(text.encode()).hexdigest()
