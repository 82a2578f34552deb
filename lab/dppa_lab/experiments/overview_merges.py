"""Merges of DPPA beside others at one rate, from lab/data/results.json and lab/data/study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from dppa_core.checkpoints.sources.zoo import APART
from dppa_core.errors import many
from dppa_core.recipes.yaml_text import dump_recipe
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Interval
from dppa_lab.zoo.regimes import BETWEEN
from dppa_lab.zoo.results.retained import sides
from dppa_lab.zoo.study.merges import MODULES, recipe_of
from dppa_lab.zoo.study.seed_comparison import (
    EQUAL,
    LEAST_SEEDS,
    gap_over_items,
    hits_of,
    retention,
    unmerged_retention,
)
from dppa_lab.zoo.study.study_sets import by_kind, claim_rates, compare

EMBEDDED = "embedded, together"
TOO_LOW = "too low"
"""The outcome where both merges keep less than one model that is not merged."""
OUTCOMES = {
    "more": "wins",
    "less": "loses",
    "alike": "ties",
    "open": "undecided",
    "worthless": TOO_LOW,
}
"""Verdict of the study on DPPA against another merge -> the outcome."""
WHOLE, SIMPLEST, AS_PRUNED = "task_arithmetic", "magnitude", "magnitude_as_pruned"
RIVALS = {WHOLE: "task arithmetic", AS_PRUNED: "magnitude as pruned", SIMPLEST: "magnitude"}
"""Key of a difference in the results -> the rival's name."""
SHIPPED = {
    ("embedded", BETWEEN, 1): ("base", *APART),
    ("smollm2", "lora", 0): ("smollm2", *(f"smollm2-{domain}" for domain in DOMAINS)),
}
"""Size, regime and seed of sets that came along -> names of base, math, finance and law."""
PLAIN_NAMES = {
    "smollm2": "SmolLM2",
    "settled": "together",
    "plain": "apart",
    BETWEEN: "apart, replay",
    "large": "apart, longer",
    "full": "all weights",
    "lora": "LoRA",
}
"""Size or regime -> the name that readers see; the map's legend explains it."""
ORDINALS = {0: "first", 1: "second", 2: "third"}
"""Seed -> the name of its training."""
PRUNED = "dp_as_pruned"
NAMES = {**RIVALS, PRUNED: "DP as pruned", "dp": "DP", "dppa": "DPPA"}


@dataclass(frozen=True, slots=True)
class RatedMerge:
    """DPPA at one rate beside the others."""

    set: str
    domain: str
    """Of a single model; empty for several."""
    size: float | None
    """‖d‖ ÷ ‖W‖ of a single model; None for several."""
    rate: float
    kept: Mapping[str, float]
    """By the keys of `NAMES`: mean retention, as a fraction."""
    minus: Mapping[str, Interval]
    """Rival -> DPPA's mean retention minus the rival's, as a fraction."""
    recipe: str | None
    """None if the models did not come along."""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Rival -> one of the `OUTCOMES`, for DPPA against it; empty where too few seeds allow
    no claim."""
    too_low: tuple[str, ...] = ()
    """Of few seeds: rivals that keep less than one model that is not merged, as DPPA does."""


def of_results(results: Mapping[str, Any]) -> tuple[list[RatedMerge], list[RatedMerge]]:
    """The embedded models merged, and each alone, with outcomes corrected for all differences."""
    rows = {(row["method"], row["rate"]): row for row in results["merges"]}
    rates, sizes = [rate for method, rate in rows if method == "dppa"], results["sizes"]
    merged = [_of_rate(rows, rate) for rate in rates]
    alone = [_of_rate(rows, rate, *model) for model in sizes.items() for rate in rates]
    decided = _decided([*merged, *alone])
    return decided[: len(merged)], decided[len(merged) :]


def of_studies(studies: Sequence[Mapping[str, Any]]) -> list[RatedMerge]:
    """Sets of at least `LEAST_SEEDS` seeds together, at their `claim_rates`; others one by one,
    without an outcome."""
    merges = list[RatedMerge]()
    for sets in by_kind(studies).values():
        rates = claim_rates(sets) if len(sets) >= LEAST_SEEDS else ()
        if rates:
            merges += [_over_seeds(sets, rate) for rate in rates]
        else:
            merges += [row for study in sets for row in _of_set(study)]
    return merges


def _of_rate(
    rows: Mapping[tuple[str, float], Any], rate: float, domain: str = "", size: float | None = None
) -> RatedMerge:
    """DPPA at a rate beside the others: all embedded models merged, or one alone."""

    def merge(method: str) -> Any:
        row = rows[method, rate]
        return row["alone"][domain] if domain else row["merged"]

    ours, names = merge("dppa"), (SIMPLEST, "dppa") if domain else (SIMPLEST, "dp", "dppa")
    kept = {name: merge(name)["best"]["kept"] for name in names}
    kept |= {AS_PRUNED: merge(SIMPLEST)["plain"]["kept"], PRUNED: ours["plain"]["kept"]}
    if not domain:
        kept[WHOLE] = rows[WHOLE, 0.0]["merged"]["best"]["kept"]
    minus = {name: Interval(**ends) for name, ends in ours["minus"].items()}
    return RatedMerge(EMBEDDED, domain, size, rate, kept, minus, ours["best"]["recipe"])


def _of_set(study: Mapping[str, Any]) -> Iterator[RatedMerge]:
    """The set's merges, one for each rate of all entries at which DPPA was measured."""
    about, unpruned = study["set"], study["own"]
    merges = {
        (row["name"], row["rate"]): row for row in study["merges"] if row["budget"] != MODULES
    }
    for (name, rate), ours in merges.items():
        if name == "dppa":
            hits = {n: merges[n, rate]["hits"] for n in (SIMPLEST, "dp") if (n, rate) in merges}
            hits |= {WHOLE: merges[WHOLE, 0.0]["hits"], "dppa": ours["hits"]}
            kept = {n: retention(of_one, unpruned) for n, of_one in hits.items()}
            minus = {n: gap_over_items(ours["hits"], hits[n], unpruned) for n in (WHOLE, SIMPLEST)}
            recipe, least = _recipe_of(about, ours), unmerged_retention(study)
            low = tuple(n for n in minus if max(kept[n], kept["dppa"]) < least)
            seed = about["seed"]
            title = _plain_title(about, f"{ORDINALS.get(seed, f'{seed + 1}th')} training")
            yield RatedMerge(title, "", None, rate, kept, minus, recipe, too_low=low)


def _recipe_of(about: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """The recipe of a measured merge, if its set's models came along."""
    names = SHIPPED.get((about["size"], about["regime"], about["seed"]))
    if names is None:
        return None
    models = {name: f"zoo:{model}" for name, model in zip(("base", *DOMAINS), names, strict=True)}
    return dump_recipe(recipe_of(row, models))


def _over_seeds(sets: Sequence[Mapping[str, Any]], rate: float) -> RatedMerge:
    """Means over the seeds; differences with the intervals and outcomes of the study."""
    names = (SIMPLEST, "dp", WHOLE, "dppa")
    kept = {
        n: fmean(retention(hits_of(study, n, rate), study["own"]) for study in sets) for n in names
    }
    comparisons = {gap.rival: gap for gap in compare(sets, rate) if gap.merge == "dppa"}
    minus = {name: comparisons[name].interval for name in (WHOLE, SIMPLEST)}
    outcomes = {name: OUTCOMES[comparisons[name].verdict] for name in minus}
    title = _plain_title(sets[0]["set"], many(len(sets), "training"))
    return RatedMerge(title, "", None, rate, kept, minus, None, outcomes)


def _plain_title(about: Mapping[str, Any], trainings: str) -> str:
    """Size, regime and trainings of a set, in the words of `PLAIN_NAMES`."""
    parts = (PLAIN_NAMES.get(about[name], about[name]) for name in ("size", "regime"))
    return ", ".join((*parts, trainings))


def _decided(rows: Sequence[RatedMerge]) -> list[RatedMerge]:
    """The rows with their outcomes, corrected for the number of differences."""
    decided = iter(sides([gap for row in rows for gap in row.minus.values()]))
    outcomes = [
        {name: _outcome(gap, next(decided)) for name, gap in row.minus.items()} for row in rows
    ]
    return [replace(row, outcomes=of_row) for row, of_row in zip(rows, outcomes, strict=True)]


def _outcome(difference: Interval, side: int) -> str:
    if side:
        return "wins" if side > 0 else "loses"
    return "ties" if -EQUAL < difference.low and difference.high < EQUAL else "undecided"
