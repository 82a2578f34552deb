"""What the embedded models show: every figure of the results page, from one command.

Scores the base, the domain models, each domain pruned by four methods, and merges of all three.
Factors and coefficients are chosen on the search split, figures come from the test split.
Knows no text format; `report_text` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.evaluate import Evaluation, evaluate
from dppa_core.partition import even_levels
from dppa_core.pool import ModelPool
from dppa_core.progress import Stop
from dppa_core.recipe import DomainModel, MergeRecipe
from dppa_core.search import greedy_factors
from dppa_core.tasks import DOMAINS

METHODS = ("magnitude", "dare", "dp", "dppa")
RATES = (0.5, 0.8, 0.9, 0.95)
COEFFICIENTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
BASE = "zoo:base"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Treated:
    """One method at one rate: for single domains and for the merge of all three."""

    method: str
    rate: float
    factors: dict[str, tuple[float, ...]]
    """Amplification per domain, from the search split; ones but for DPPA."""
    alone: dict[str, Evaluation]
    """Each domain's pruned delta on the base, scored on its own domain."""
    coefficient: float
    """Of all three models in the merge; best on the search split."""
    merged: Evaluation


@dataclass(frozen=True, slots=True)
class ZooReport:
    """Everything measured, on the test split."""

    base: Evaluation
    own: dict[str, Evaluation]
    plain: tuple[float, Evaluation]
    """Task arithmetic of the whole deltas: coefficient and scores."""
    treated: tuple[Treated, ...]
    test_items: int | None
    search_items: int


class Scorer:
    """Scores recipes on a split through one pool."""

    def __init__(
        self, pool: ModelPool, limit: int | None, search_limit: int, stop: Stop | None
    ) -> None:
        self._pool, self._limit, self._search_limit, self._stop = pool, limit, search_limit, stop

    def test(self, target: str | MergeRecipe, domains: Sequence[str] = DOMAINS) -> Evaluation:
        """Scores on the test split."""
        resident = self._pool.get(target, stop=self._stop)
        return evaluate(resident, domains, split="test", limit=self._limit, stop=self._stop)

    def search(self, target: str | MergeRecipe, domains: Sequence[str] = DOMAINS) -> Evaluation:
        """Scores on a part of the search split."""
        resident = self._pool.get(target, stop=self._stop)
        return evaluate(
            resident, domains, split="search", limit=self._search_limit, stop=self._stop
        )


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
    return MergeRecipe(BASE, models, method="dppa" if method == "dp" else method)


def measure(
    *,
    limit: int | None = None,
    search_limit: int = 120,
    rates: Sequence[float] = RATES,
    say: Say = lambda text: None,
    stop: Stop | None = None,
) -> ZooReport:
    """Measure everything; about a quarter of an hour on one core at the defaults.

    Args:
        limit: Test items per domain; all of them where None.
        search_limit: Search items per domain.
        say: Told what was just measured, one line at a time.
    """
    scorer = Scorer(ModelPool(byte_budget=256 * 1024**2), limit, search_limit, stop)
    base = scorer.test(BASE)
    say(f"base: {_line(base)}")
    own = {domain: scorer.test(f"zoo:{domain}") for domain in DOMAINS}
    for domain, scores in own.items():
        say(f"{domain}: {_line(scores)}")
    bests = {domain: scorer.search(f"zoo:{domain}", [domain]).mean for domain in DOMAINS}
    coefficient = best_coefficient(scorer, "task_arithmetic", 0.0, {}, bests)
    whole = recipe("task_arithmetic", 0.0, DOMAINS, coefficient=coefficient)
    plain = (coefficient, scorer.test(whole))
    say(f"task arithmetic × {coefficient}: {_line(plain[1])}")
    treated = []
    for method in METHODS:
        for rate in rates:
            treated.append(treat(scorer, method, rate, bests))
            last = treated[-1]
            alone = ", ".join(f"{d} {100 * e.mean:.0f} %" for d, e in last.alone.items())
            say(
                f"{method} {rate}: alone {alone}; merged × {last.coefficient}: "
                f"{_line(last.merged)} {last.factors or ''}"
            )
    return ZooReport(base, own, plain, tuple(treated), limit, search_limit)


def treat(scorer: Scorer, method: str, rate: float, bests: dict[str, float]) -> Treated:
    """Measure one method at one rate."""
    factors = {d: best_factors(scorer, rate, d) for d in DOMAINS} if method == "dppa" else {}
    alone = {
        domain: scorer.test(recipe(method, rate, [domain], factors=factors), [domain])
        for domain in DOMAINS
    }
    coefficient = best_coefficient(scorer, method, rate, factors, bests)
    merge = recipe(method, rate, DOMAINS, factors=factors, coefficient=coefficient)
    return Treated(method, rate, factors, alone, coefficient, scorer.test(merge))


def best_factors(scorer: Scorer, rate: float, domain: str) -> tuple[float, ...]:
    """The paper's greedy search over two partitions, scored on the search split."""

    def score(amplification: tuple[float, ...]) -> float:
        tried = recipe("dppa", rate, [domain], factors={domain: amplification})
        return scorer.search(tried, [domain]).mean

    return greedy_factors(score, 2).best.amplification


def best_coefficient(
    scorer: Scorer,
    method: str,
    rate: float,
    factors: dict[str, tuple[float, ...]],
    bests: dict[str, float],
) -> float:
    """The one coefficient for all three models with the best mean retention on the search split."""

    def mean_retention(coefficient: float) -> float:
        tried = recipe(method, rate, DOMAINS, factors=factors, coefficient=coefficient)
        return retained(scorer.search(tried), bests)

    return max(COEFFICIENTS, key=mean_retention)


def retained(scores: Evaluation, own: dict[str, float]) -> float:
    """Mean over the domains of the score divided by the domain model's own."""
    return sum(s.accuracy / own[d] for d, s in scores.domains.items()) / len(scores.domains)


def _line(scores: Evaluation) -> str:
    return ", ".join(f"{d} {100 * s.accuracy:.0f} %" for d, s in scores.domains.items())


def as_json(report: ZooReport) -> dict[str, Any]:
    """A JSON-ready copy."""
    return {
        "base": report.base.to_json(),
        "own": {domain: scores.to_json() for domain, scores in report.own.items()},
        "task_arithmetic": {
            "coefficient": report.plain[0],
            "merged": report.plain[1].to_json(),
        },
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
