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

from dppa_core.evaluation.scores import Evaluation, target_name
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import delta_size
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits, Interval
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import ChosenValues, choose
from dppa_lab.zoo.results.entry import Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import paired_gain, retained, scores

BASE = "zoo:base"
WHOLE = "task_arithmetic"
METHODS = ("magnitude", "dare", "dp", "dppa")
ALONE = ("magnitude", "dppa")
"""Methods that also prune each domain's delta alone: the simplest, and DPPA."""
RATES = (0.8, 0.9, 0.95)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ScoredMerge:
    """A merge, and its right answers to the test items of its domains."""

    recipe: MergeRecipe
    hits: Mapping[str, Hits]

    @property
    def found(self) -> Evaluation:
        """Domain -> accuracy with its interval."""
        return scores(self.hits)

    def kept(self, own: Mapping[str, float]) -> float:
        """Mean over the domains of its accuracy divided by the domain model's own."""
        return retained(self.found, own)


@dataclass(frozen=True, slots=True)
class SearchedMerge:
    """One merge before and after its numbers were chosen."""

    plain: ScoredMerge
    """Factors and coefficient 1, the method's own settings; of DPPA, one partition, as of DP."""
    chosen: ChosenValues
    best: ScoredMerge
    """With the chosen values."""


@dataclass(frozen=True, slots=True)
class MethodScores:
    """One method at one rate."""

    method: str
    rate: float
    alone: Mapping[str, SearchedMerge]
    """Each domain's pruned delta on the base, scored on its own domain; empty if not measured."""
    merged: SearchedMerge
    """All three."""


@dataclass(frozen=True, slots=True)
class ZooReport:
    """Everything measured, on the test split."""

    models: Mapping[str, Mapping[str, Hits]]
    """base and every domain -> the hits of its model on each domain."""
    whole: SearchedMerge
    """Task arithmetic: the whole deltas of all three."""
    treated: tuple[MethodScores, ...]
    test_items: int | None
    search_items: int

    @property
    def own(self) -> dict[str, float]:
        """Domain -> accuracy of its own model."""
        return {d: scores(self.models[d]).domains[d].accuracy for d in DOMAINS}

    def row(self, method: str, rate: float) -> MethodScores:
        """The results of a method at a rate; raises StopIteration if there are none."""
        return next(one for one in self.treated if (one.method, one.rate) == (method, rate))

    def gain(self, one: ScoredMerge, other: ScoredMerge) -> Interval:
        """Mean retention of one merge minus another's on the same items."""
        return paired_gain(one.hits, other.hits, {d: self.own[d] for d in one.hits})


def entry(method: str, rate: float, domains: Sequence[str] = DOMAINS) -> Entry:
    """A method of the report: `dp` is DPPA with one partition, at factor 1 before its search."""
    if method == WHOLE:
        return Entry(get_method(WHOLE), domains=domains)
    # For a fair comparison: by default DARE would also drop from embeddings and norms.
    changes = {"other_tensors": "keep"} if method == "dare" else {}
    named = get_method("dppa" if method == "dp" else method)
    partitions = 2 if method == "dppa" else 1
    return Entry(named, changes, partitions=partitions, rate=rate, domains=domains)


def measure(
    *,
    limit: int | None = None,
    search_limit: int = JOINT_ITEMS,
    rates: Sequence[float] = RATES,
    workers: int = 2,
    say: Say = lambda text: None,
) -> ZooReport:
    """Measure everything; takes an hour and a half on two cores at the defaults, unless cached.

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
    say(f"task arithmetic: {_line(whole.best.hits)} {dict(whole.chosen.values)}")
    treated = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=one_thread) as processes:
        rows = [(method, rate) for rate in rates for method in METHODS]
        for job in [processes.submit(treat, limit, search_limit, *row) for row in rows]:
            treated.append(job.result())
            say(_row_line(treated[-1]))
    return ZooReport(models, whole, tuple(treated), limit, search_limit)


def one_thread() -> None:
    """Use one thread: two processes of two threads each slow each other down on two cores."""
    torch.set_num_threads(1)


def treat(limit: int | None, search_limit: int, method: str, rate: float) -> MethodScores:
    """Measure one method at one rate."""
    examiner = MergeExaminer(limit, search_limit)
    domains = DOMAINS if method in ALONE else ()
    alone = {domain: searched(method, rate, [domain], examiner) for domain in domains}
    return MethodScores(method, rate, alone, searched(method, rate, DOMAINS, examiner))


def searched(
    method: str, rate: float, domains: Sequence[str], examiner: MergeExaminer
) -> SearchedMerge:
    """Score a merge as it is, choose its numbers on the search split, and score it with them."""
    whole = entry(method, rate, domains)
    before = entry("dp", rate, domains) if method == "dppa" else whole  # at factors of 1 the same
    chosen = choose(whole, examiner)

    def scored(recipe: MergeRecipe) -> ScoredMerge:
        return ScoredMerge(recipe, {d: examiner.hits(recipe, d, "test") for d in domains})

    first = domains[0]
    best = scored(whole.recipes(chosen.point)[first])
    return SearchedMerge(scored(before.recipes()[first]), chosen, best)


def _row_line(row: MethodScores) -> str:
    values = dict(row.merged.chosen.values)
    return f"{row.method} {row.rate}: {_line(row.merged.best.hits)} {values}"


def _line(hits: Mapping[str, Hits]) -> str:
    return ", ".join(f"{d} {100 * s.accuracy:.0f} %" for d, s in scores(hits).domains.items())


def as_json(report: ZooReport) -> dict[str, Any]:
    """A JSON-ready copy."""
    models = {
        name: {d: one.figures() for d, one in scores(hits).domains.items()}
        for name, hits in report.models.items()
    }
    whole = {"method": WHOLE, "rate": 0.0, "merged": _json(report, report.whole, {})}
    return {
        "models": models,
        "sizes": {d: delta_size(cached_profile(BASE, f"zoo:{d}")).relative for d in DOMAINS},
        "merges": [whole, *(_row_json(report, row) for row in report.treated)],
        "test_items": report.test_items,
        "search_items": report.search_items,
    }


def _row_json(report: ZooReport, row: MethodScores) -> dict[str, Any]:
    simplest = report.row("magnitude", row.rate)
    alone = {
        domain: _json(report, one, _magnitudes(simplest.alone[domain]))
        for domain, one in row.alone.items()
    }
    others = {WHOLE: report.whole.best, **_magnitudes(simplest.merged)}
    merged = _json(report, row.merged, others)
    return {"method": row.method, "rate": row.rate, "alone": alone, "merged": merged}


def _magnitudes(merge: SearchedMerge) -> dict[str, ScoredMerge]:
    return {"magnitude": merge.best, "magnitude_as_pruned": merge.plain}


def _json(
    report: ZooReport, merge: SearchedMerge, others: Mapping[str, ScoredMerge]
) -> dict[str, Any]:
    against = {name: report.gain(merge.best, other) for name, other in others.items()}
    return {
        "values": dict(merge.chosen.values),
        "tried": {"losses": merge.chosen.losses, "retentions": merge.chosen.retentions},
        "gain": asdict(report.gain(merge.best, merge.plain)),
        "minus": {name: asdict(found) for name, found in against.items()},
        "plain": _scored_json(report, merge.plain),
        "best": _scored_json(report, merge.best),
    }


def _scored_json(report: ZooReport, merge: ScoredMerge) -> dict[str, Any]:
    return {
        "recipe": dump_recipe(merge.recipe),
        "hash": target_name(merge.recipe),
        "kept": merge.kept({d: report.own[d] for d in merge.hits}),
        "domains": {d: one.figures() for d, one in merge.found.domains.items()},
    }
