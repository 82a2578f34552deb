"""Measures every number of the results page on the embedded models.

Scores the base, the domain models, merges of all three by four methods that prune, and each domain
pruned by two of them: as pruned, and with the numbers that a joint search chose on the search
split, at one budget for all.
Results come from the test split; they are cached, so that a run can resume.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch

from dppa_core.evaluation.scores import target_name
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import ChosenValues, choose
from dppa_lab.zoo.results.entry import Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import DomainHits, paired_gain, retained, scores

BASE = "zoo:base"
WHOLE = "task_arithmetic"
METHODS = ("magnitude", "dare", "dp", "dppa")
ALONE = ("magnitude", "dppa")
"""Methods that also prune each domain's delta alone: the simplest, and DPPA."""
RATES = (0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class SearchedMerge:
    """One merge before and after its numbers were chosen: recipes, and hits on its domains."""

    plain: tuple[MergeRecipe, DomainHits]
    """Factors and coefficient 1, the method's own settings; of DPPA, one partition, as of DP."""
    choice: ChosenValues
    best: tuple[MergeRecipe, DomainHits]
    """With the chosen values."""


@dataclass(frozen=True, slots=True)
class MethodResults:
    """One method at one rate."""

    method: str
    rate: float
    alone: Mapping[str, SearchedMerge]
    """Each domain's pruned delta on the base, scored on its own domain; empty if not measured."""
    merged: SearchedMerge
    """All three."""


def entry(method: str, rate: float, domains: Sequence[str] = DOMAINS) -> Entry:
    """A method of the report: `dp` is DPPA with one partition, at factor 1 before its search."""
    if method == WHOLE:
        return Entry(get_method(WHOLE), domains=domains)
    # For a fair comparison: by default DARE would also drop from embeddings and norms.
    changes = {"other_tensors": "keep"} if method == "dare" else {}
    partitions = 2 if method == "dppa" else 1
    method = "dppa" if method == "dp" else method
    return Entry(get_method(method), changes, partitions=partitions, rate=rate, domains=domains)


def measure_results(
    *,
    limit: int | None = None,
    search_limit: int = JOINT_ITEMS,
    workers: int = 2,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure everything, ready for JSON; takes an hour and a half on two cores at the defaults,
    unless cached.

    Args:
        limit: Test items per domain; all if None.
        search_limit: Search items per domain.
    """
    examiner = MergeExaminer(limit, search_limit)
    models = {
        name: {domain: examiner.hits(f"zoo:{name}", domain, "test") for domain in DOMAINS}
        for name in ("base", *DOMAINS)
    }
    for name, hits in models.items():
        say(f"{name}: {_line(hits)}")
    whole = searched(WHOLE, 0.0, DOMAINS, examiner)
    say(f"task arithmetic: {_line(whole.best[1])} {dict(whole.choice.values)}")
    results = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as processes:
        rows = [(method, rate) for rate in RATES for method in METHODS]
        for job in [processes.submit(_measured, limit, search_limit, *row) for row in rows]:
            results.append(row := job.result())
            values = dict(row.merged.choice.values)
            say(f"{row.method} {row.rate}: {_line(row.merged.best[1])} {values}")
    return results_json(models, whole, results, limit, search_limit)


def _one_thread() -> None:
    """Use one thread: two processes of two threads each slow each other down on two cores."""
    torch.set_num_threads(1)


def _measured(limit: int | None, search_limit: int, method: str, rate: float) -> MethodResults:
    examiner = MergeExaminer(limit, search_limit)
    domains = DOMAINS if method in ALONE else ()
    alone = {domain: searched(method, rate, [domain], examiner) for domain in domains}
    return MethodResults(method, rate, alone, searched(method, rate, DOMAINS, examiner))


def searched(
    method: str, rate: float, domains: Sequence[str], examiner: MergeExaminer
) -> SearchedMerge:
    """Score a merge as it is, choose its numbers on the search split, and score it with them."""
    searching = entry(method, rate, domains)
    before = entry("dp", rate, domains) if method == "dppa" else searching  # the same at 1
    choice = choose(searching, examiner)

    def scored(recipe: MergeRecipe) -> tuple[MergeRecipe, DomainHits]:
        return recipe, {domain: examiner.hits(recipe, domain, "test") for domain in domains}

    best = scored(searching.recipes(choice.point)[domains[0]])
    return SearchedMerge(scored(before.recipes()[domains[0]]), choice, best)


def _line(hits: DomainHits) -> str:
    return ", ".join(f"{d} {100 * s.accuracy:.0f} %" for d, s in scores(hits).domains.items())


def results_json(
    models: Mapping[str, DomainHits],
    whole: SearchedMerge,
    results: Sequence[MethodResults],
    test_items: int | None,
    search_items: int,
) -> dict[str, Any]:
    """Everything that was measured on the test split, ready for JSON.

    Args:
        models: base and every domain -> the hits of its model on each domain.
        whole: Task arithmetic: the whole deltas of all three.
        results: Magnitude at a rate before the others.
    """
    accuracies = {domain: scores(models[domain]).domains[domain].accuracy for domain in DOMAINS}
    rows = [{"method": WHOLE, "rate": 0.0, "merged": _merge_json(whole, {}, accuracies)}]
    simplest = {result.rate: result for result in results if result.method == "magnitude"}
    for result in results:
        plain = simplest[result.rate]
        alone = {
            domain: _merge_json(merge, _magnitudes(plain.alone[domain]), accuracies)
            for domain, merge in result.alone.items()
        }
        others = {WHOLE: whole.best[1], **_magnitudes(plain.merged)}
        merged = _merge_json(result.merged, others, accuracies)
        rows.append(
            {"method": result.method, "rate": result.rate, "alone": alone, "merged": merged}
        )
    return {
        "models": {name: _score_json(hits) for name, hits in models.items()},
        "sizes": {d: delta_size(cached_profile(BASE, f"zoo:{d}")).relative for d in DOMAINS},
        "merges": rows,
        "test_items": test_items,
        "search_items": search_items,
    }


def _magnitudes(merge: SearchedMerge) -> dict[str, DomainHits]:
    return {"magnitude": merge.best[1], "magnitude_as_pruned": merge.plain[1]}


def _merge_json(
    merge: SearchedMerge, others: Mapping[str, DomainHits], accuracies: Mapping[str, float]
) -> dict[str, Any]:
    """A merge before and after its search, with the difference from others on the same items."""
    best = merge.best[1]
    accuracies = {domain: accuracies[domain] for domain in best}
    return {
        "values": dict(merge.choice.values),
        "tried": merge.choice.tried,
        "gain": asdict(paired_gain(best, merge.plain[1], accuracies)),
        "minus": {
            name: asdict(paired_gain(best, hits, accuracies)) for name, hits in others.items()
        },
        **{
            when: {
                "recipe": dump_recipe(recipe),
                "hash": target_name(recipe),
                "kept": retained(hits, accuracies),
                "domains": _score_json(hits),
            }
            for when, (recipe, hits) in (("plain", merge.plain), ("best", merge.best))
        },
    }


def _score_json(hits: DomainHits) -> dict[str, Any]:
    return {domain: score.figures() for domain, score in scores(hits).domains.items()}
