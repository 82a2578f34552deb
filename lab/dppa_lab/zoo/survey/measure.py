"""Measures each delta of a set alone, at several rates; what was measured before is cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import Target
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import kept_energy
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.advice.run import profile_facts
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import choose
from dppa_lab.zoo.results.entry import EMBEDDED, Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.survey.shrunk import shrunk_coefficient
from dppa_lab.zoo.trained_set import trained_set

RATES = (0.5, 0.8, 0.9, 0.95, 0.98)
SEARCHED_AT = (0.9, 0.95)
"""Rates at which every method's numbers are searched by default."""
PRUNED = ("magnitude", "dare")
"""Methods whose retention is measured at every rate with nothing chosen."""
SHRUNK = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Factors by which the modules' deltas are shrunk, with nothing dropped."""
FACTORS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Factors on what magnitude pruning keeps, with which the loss of right answers is measured."""
LOSS_ITEMS = 60
"""Most search items whose loss is measured; every one is read 11 times at a rate."""
BANDS = {"magnitude": 1, "dppa": 2, "dare": 1}
"""Method -> number of factors."""
SHIPPED = "zoo"
"""Stands for the embedded models where a folder is expected."""
Say = Callable[[str], None]


def survey_set(
    folder: Path,
    *,
    limit: int | None = None,
    search_items: int = JOINT_ITEMS,
    searched_at: Sequence[float] = SEARCHED_AT,
    scale: float = 1.0,
    say: Say = lambda _: None,
) -> list[dict[str, Any]]:
    """A JSON-ready record for each domain model of a set, each pruned alone.

    Rates count the entries of the modules; embeddings and norms stay whole.

    Args:
        folder: A set that `dppa zoo train` made, or `zoo` for the embedded models.
        limit: Test items per domain; all if None.
        search_items: Search items per domain, on which the numbers of a method are chosen.
        searched_at: Rates at which they are chosen, which takes most of a survey's time.
        scale: The models surveyed are base + scale · delta, above 0; other than 1 is not searched.

    Raises:
        MissingCheckpoint: a model of the set is not there.
    """
    if str(folder) == SHIPPED:
        references: Mapping[str, str] = EMBEDDED
        told: Mapping[str, Any] = {
            "size": "embedded",
            "regime": "settled",
            "seed": 0,
            "base": references["base"],
        }
    else:
        models = trained_set(folder)
        references, told = models.references, models.record
    told = {**told, "base": open_checkpoint(references["base"]).content_hash()}
    if scale != 1:
        told, searched_at = {**told, "scale": scale}, ()
    examiner, found = MergeExaminer(limit, search_items), []
    for domain in (name for name in DOMAINS if name in references):
        delta = _delta(references, domain, examiner, searched_at, scale)
        found.append({"set": told, "search_items": search_items, **delta})
        say(f"{folder.name}: {domain}")
    return found


def _delta(
    references: Mapping[str, str],
    domain: str,
    examiner: MergeExaminer,
    searched_at: Sequence[float],
    scale: float,
) -> dict[str, Any]:
    profile = cached_profile(references["base"], references[domain])
    places = [
        {
            "rate": rate,
            "energy": kept_energy(profile, rate),
            **_at_rate(rate, references, domain, examiner, scale),
        }
        for rate in RATES
    ]
    for place in places:
        if place["rate"] in searched_at:
            place["searched"] = _searched(place["rate"], references, domain, examiner)
    facts = profile_facts(profile)

    def whole(factor: float) -> str:
        target: Target = references[domain]
        if scale != 1 or factor != 1:
            coefficient = scale if factor == 1 else shrunk_coefficient(factor, profile, scale)
            model = DomainModel(references[domain], coefficient=coefficient)
            target = MergeRecipe(references["base"], (model,), method="task_arithmetic")
        return bits(examiner.hits(target, domain, "test"))

    return {
        "domain": domain,
        "change": scale * facts.relative_change,
        "significance": list(facts.significance),
        "own": whole(1.0),
        "shrunk": {f"{factor:g}": whole(factor) for factor in SHRUNK},
        "places": places,
    }


def _at_rate(
    rate: float,
    references: Mapping[str, str],
    domain: str,
    examiner: MergeExaminer,
    scale: float,
) -> dict[str, Any]:
    """Hits with nothing chosen; and losses, unless the delta is scaled."""
    entries = {method: entry_alone(method, rate, references, domain) for method in PRUNED}
    found: dict[str, Any] = {
        "pruned": {
            method: bits(_scaled_hits(entry, scale, domain, examiner))
            for method, entry in entries.items()
        }
    }
    if scale == 1:
        found["loss"] = _loss(entries["magnitude"].recipes()[domain], domain, examiner)
    return found


def _searched(
    rate: float, references: Mapping[str, str], domain: str, examiner: MergeExaminer
) -> dict[str, Any]:
    """Method -> the values that a search chooses, and the hits with them."""
    found = {}
    for method in BANDS:
        entry = entry_alone(method, rate, references, domain)
        chosen = choose(entry, examiner)
        hits = bits(_hits(entry, chosen.point, domain, examiner))
        found[method] = {"values": dict(chosen.values), "hits": hits}
    return found


def _loss(pruned: MergeRecipe, domain: str, examiner: MergeExaminer) -> dict[str, Any]:
    """Mean loss of right answers in nats per token: of the model itself, of the pruned one as
    foretold near it, and as measured with each of `FACTORS`; and the foretold best factor."""
    few = replace(examiner, search_items=min(examiner.search_items, LOSS_ITEMS))
    found = few.curvature(pruned, domain, FACTORS)
    return {
        "own": found.quadratic.loss,
        "foretold": found.quadratic.at(1.0),
        "best_factor": found.quadratic.best_factor,
        "measured": dict(zip(map("{:g}".format, FACTORS), found.losses, strict=True)),
    }


def entry_alone(method: str, rate: float, references: Mapping[str, str], domain: str) -> Entry:
    """One model pruned by a method; what is no module stays whole."""
    changes = {"other_tensors": "keep"}
    return Entry(
        *(get_method(method), changes, BANDS[method]),
        rate=rate,
        references=references,
        domains=(domain,),
    )


def _scaled_hits(
    entry: Entry, scale: float, domain: str, examiner: MergeExaminer
) -> tuple[bool, ...]:
    """Of the pruned delta times a scale; nothing is chosen."""
    recipe = entry.recipes()[domain]
    models = tuple(replace(one, coefficient=scale) for one in recipe.models)
    return examiner.hits(replace(recipe, models=models), domain, "test")


def _hits(
    entry: Entry, point: tuple[float, ...], domain: str, examiner: MergeExaminer
) -> tuple[bool, ...]:
    return examiner.hits(entry.recipes(point)[domain], domain, "test")
