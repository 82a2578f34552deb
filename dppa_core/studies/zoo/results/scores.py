"""Measures every number of the results page on the embedded models.

Scores the base, the domain models, each domain pruned by four methods, and merges of all three.
Factors and coefficients are chosen on the search split; results come from the test split.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import torch

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Evaluation, Exam, Target, retention
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Z95, Hits
from dppa_core.tuning.search.greedy_factors import greedy_factors

METHODS = ("magnitude", "dare", "dp", "dppa")
RATES = (0.5, 0.8, 0.9, 0.95)
COEFFICIENTS = (0.7, 0.85, 1.0, 1.2)
BASE = "zoo:base"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MethodScores:
    """One method at one rate: single domains, and the merge of all three."""

    method: str
    rate: float
    factors: dict[str, tuple[float, ...]]
    """Amplification per domain, from the search split; all 1 except for DPPA."""
    alone: dict[str, Evaluation]
    """Each domain's pruned delta on the base, scored on its own domain."""
    coefficient: float
    """The coefficient of all three models that is best on the search split."""
    merged: Evaluation


@dataclass(frozen=True, slots=True)
class ZooReport:
    """Everything measured, on the test split."""

    base: Evaluation
    own: dict[str, Evaluation]
    plain: tuple[float, Evaluation]
    """Task arithmetic of the whole deltas: coefficient and scores."""
    treated: tuple[MethodScores, ...]
    test_items: int | None
    search_items: int


@dataclass(frozen=True, slots=True)
class ZooExaminer:
    """Holds exams on the embedded models and their merges."""

    test_items: int | None
    """Test items per domain; all if None."""
    search_items: int
    examiner: Examiner = field(default_factory=lambda: Examiner(ModelPool(), keep=False, workers=1))

    def exam(self, target: Target, domain: str, split: str) -> Exam:
        """The items of a domain."""
        limit = self.search_items if split == "search" else self.test_items
        return Exam(target, domain, split, limit)

    def test(self, target: Target, domains: Sequence[str] = DOMAINS) -> Evaluation:
        """Scores on the test split."""
        return self.examiner.evaluation(target, domains, limit=self.test_items)

    def search(self, target: Target, domains: Sequence[str] = DOMAINS) -> Evaluation:
        """Scores on a part of the search split."""
        return self.examiner.evaluation(target, domains, split="search", limit=self.search_items)


def recipe(
    method: str,
    rate: float,
    domains: Sequence[str],
    *,
    factors: dict[str, tuple[float, ...]] | None = None,
    coefficient: float = 1.0,
) -> MergeRecipe:
    """The recipe of a method of the report: `dp` is DPPA with one partition at factor 1."""
    factors = factors or {}
    models = tuple(
        DomainModel(
            f"zoo:{domain}",
            even_levels(rate, len(factors[domain])) if domain in factors else (rate,),
            factors.get(domain, (1.0,)),
            coefficient,
        )
        for domain in domains
    )
    # For a fair comparison: by default DARE would also drop from embeddings and norms.
    parameters = {"other_tensors": "keep"} if method == "dare" else {}
    return MergeRecipe(
        BASE, models, method="dppa" if method == "dp" else method, parameters=parameters
    )


def measure(
    *,
    limit: int | None = None,
    search_limit: int = 30,
    rates: Sequence[float] = RATES,
    workers: int = 2,
    say: Say = lambda text: None,
) -> ZooReport:
    """Measure everything; takes about a quarter of an hour on two cores at the defaults.

    Args:
        limit: Test items per domain; all if None.
        search_limit: Search items per domain.
    """
    examiner = ZooExaminer(limit, search_limit)
    base = examiner.test(BASE)
    say(f"base: {_line(base)}")
    own = {domain: examiner.test(f"zoo:{domain}") for domain in DOMAINS}
    for domain, scores in own.items():
        say(f"{domain}: {_line(scores)}")
    bests = {domain: examiner.search(f"zoo:{domain}", [domain]).mean for domain in DOMAINS}
    coefficient = best_coefficient(examiner, "task_arithmetic", 0.0, {}, bests)
    whole = recipe("task_arithmetic", 0.0, DOMAINS, coefficient=coefficient)
    plain = (coefficient, examiner.test(whole))
    say(f"task arithmetic × {coefficient}: {_line(plain[1])}")
    treated = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=one_thread) as processes:
        rows = [(method, rate) for method in METHODS for rate in rates]
        jobs = [
            processes.submit(treat, limit, search_limit, method, rate, bests)
            for method, rate in rows
        ]
        for job in jobs:
            treated.append(job.result())
            say(_row_line(treated[-1]))
    return ZooReport(base, own, plain, tuple(treated), limit, search_limit)


def one_thread() -> None:
    """Use one thread: two processes of two threads each slow each other down on two cores."""
    torch.set_num_threads(1)


def treat(
    limit: int | None, search_limit: int, method: str, rate: float, bests: dict[str, float]
) -> MethodScores:
    """Measure one method at one rate."""
    examiner = ZooExaminer(limit, search_limit)
    factors = {d: best_factors(examiner, rate, d) for d in DOMAINS} if method == "dppa" else {}
    alone = {
        domain: examiner.test(recipe(method, rate, [domain], factors=factors), [domain])
        for domain in DOMAINS
    }
    coefficient = best_coefficient(examiner, method, rate, factors, bests)
    merge = recipe(method, rate, DOMAINS, factors=factors, coefficient=coefficient)
    return MethodScores(method, rate, factors, alone, coefficient, examiner.test(merge))


def best_factors(examiner: ZooExaminer, rate: float, domain: str) -> tuple[float, ...]:
    """The paper's greedy search over two partitions, scored on the search split."""

    def score(amplification: tuple[float, ...]) -> float:
        tried = recipe("dppa", rate, [domain], factors={domain: amplification})
        return examiner.search(tried, [domain]).mean

    return greedy_factors(score, 2).best.amplification


def best_coefficient(
    examiner: ZooExaminer,
    method: str,
    rate: float,
    factors: dict[str, tuple[float, ...]],
    bests: dict[str, float],
) -> float:
    """The common coefficient with the best mean retention on the search split."""

    def mean_retention(coefficient: float) -> float:
        tried = recipe(method, rate, DOMAINS, factors=factors, coefficient=coefficient)
        return retained(examiner.search(tried), bests)

    return max(COEFFICIENTS, key=mean_retention)


def retained(scores: Evaluation, own: dict[str, float]) -> float:
    """Mean over the domains of the score ÷ the domain model's own, where that is not 0."""
    shares = retention(scores, own).values()
    return sum(shares) / len(shares) if shares else 0.0


def paired_gain(
    merged: Mapping[str, Hits], other: Mapping[str, Hits], own: Mapping[str, float]
) -> tuple[float, float]:
    """Mean retention of one merge minus another's on the same items, and half its 95 % interval.

    Each item gives one difference; the variance is that of a mean of independent means. The domain
    models' own scores count as exact; a domain whose own score is 0 does not count.
    """
    mean = square = 0.0
    owns = {domain: score for domain, score in own.items() if score}
    for domain, score in owns.items():
        gaps = (np.array(merged[domain], float) - np.array(other[domain], float)) / score
        mean += float(gaps.mean()) / len(owns)
        spread = float(gaps.var(ddof=1)) if gaps.size > 1 else 0.0
        square += spread / gaps.size / len(owns) ** 2
    return mean, Z95 * sqrt(square)


def _row_line(row: MethodScores) -> str:
    alone = ", ".join(f"{domain} {100 * scores.mean:.0f} %" for domain, scores in row.alone.items())
    return (
        f"{row.method} {row.rate}: alone {alone}; merged × {row.coefficient}: "
        f"{_line(row.merged)} {row.factors or ''}"
    )


def _line(scores: Evaluation) -> str:
    return ", ".join(f"{d} {100 * s.accuracy:.0f} %" for d, s in scores.domains.items())


def as_json(report: ZooReport) -> dict[str, Any]:
    """A JSON-ready copy."""
    return {
        "base": report.base.to_json(),
        "own": {domain: scores.to_json() for domain, scores in report.own.items()},
        "task_arithmetic": {"coefficient": report.plain[0], "merged": report.plain[1].to_json()},
        "treated": [
            {
                "method": row.method,
                "rate": row.rate,
                "factors": row.factors,
                "alone": {domain: scores.to_json() for domain, scores in row.alone.items()},
                "coefficient": row.coefficient,
                "merged": row.merged.to_json(),
            }
            for row in report.treated
        ],
        "test_items": report.test_items,
        "search_items": report.search_items,
    }
