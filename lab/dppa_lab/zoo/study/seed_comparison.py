"""The difference of two merges over the seeds of a regime, as lab/docs/study-plan.md fixes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tasks.intervals import RESAMPLES, SEED, SIGNIFICANCE_LEVEL, Interval, p_of_t, student
from dppa_lab.zoo.study.merges import ALL, MODULES, WHOLE, key_of

MeasuredSet = Mapping[str, Any]
"""The measurements of one set by `measure_set`."""
BitsByDomain = Mapping[str, str]
"""Domain -> a character for each test item, 1 for a right answer."""
LEAST_SEEDS = 3
"""Fewer show figures, and no comparison."""
EQUAL = 0.02
"""Retentions whose interval lies within this are said not to differ."""
Pair = tuple[str, str, str]
"""Two merges, and the question their difference answers."""
PRIMARY: tuple[Pair, ...] = (
    ("dppa", "magnitude", "is it better than the simplest pruning?"),
    ("dppa", "task_arithmetic", "does pruning help at all?"),
    ("dppa", "dp", "what do factors of their own for the partitions bring?"),
    ("dp", "magnitude", "what do uneven densities bring?"),
    ("dppa", "reversed", "is the sign of the adjustment right?"),
)
"""The primary family; the last is a control, which belongs to `CLAIM_RATES`."""
SECONDARY: tuple[Pair, ...] = (
    ("dppa", "dpa", "what do uneven densities bring, beside two factors?"),
    ("dpa", "magnitude", "what do two factors bring without them?"),
)
"""Pairs planned later, corrected for their own number."""


@dataclass(frozen=True, slots=True)
class SeedComparison:
    """Mean retention of one merge minus that of another, over seeds."""

    merge: str
    rival: str
    question: str
    by_seed: tuple[float, ...]
    over_seeds: Interval
    """Student's, over the seeds' differences."""
    hierarchical: Interval
    """Bootstrap: seeds, then items within each domain."""
    p: float
    corrected: float
    """By Holm, over the family."""
    worthless: bool = False
    """True if both merges keep less than one model of the set by itself."""

    @property
    def interval(self) -> Interval:
        """The wider of the two."""
        return max((self.over_seeds, self.hierarchical), key=lambda ends: ends.high - ends.low)

    @property
    def verdict(self) -> str:
        """`more`, `less`, `alike`, `open` where the seeds do not tell, or `worthless`."""
        gap = self.interval
        if self.worthless:
            return "worthless"
        if self.corrected < SIGNIFICANCE_LEVEL and not gap.low <= 0 <= gap.high:
            return "more" if gap.value > 0 else "less"
        return "alike" if -EQUAL < gap.low and gap.high < EQUAL else "open"


def seed_comparison(
    sets: Sequence[MeasuredSet], pair: Pair, rate: float, budget: str = ALL
) -> SeedComparison:
    """The comparison of two merges over sets of a regime, each counting once; not corrected."""
    merge, rival, question = pair
    hits = [(*(hits_of(s, name, rate, budget) for name in pair[:2]), s["own"]) for s in sets]
    by_seed = np.array([retention(a, own_hits) - retention(b, own_hits) for a, b, own_hits in hits])
    over_seeds, p = student_interval(by_seed)
    drawn = _hierarchical([_item_draws(*bits, seed=seed) for seed, bits in enumerate(hits)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    both = Interval(float(by_seed.mean()), float(low), float(high))
    best = max(np.mean([retention(bits[at], bits[2]) for bits in hits]) for at in (0, 1))
    worthless = bool(best < np.mean([unmerged_retention(measured) for measured in sets]))
    gaps = tuple(map(float, by_seed))
    return SeedComparison(merge, rival, question, gaps, over_seeds, both, p, p, worthless)


def embeddings_whole(sets: Sequence[MeasuredSet], rate: float) -> SeedComparison | None:
    """DPPA against magnitude where embeddings stay whole, as in the paper; None if fewer than
    `LEAST_SEEDS` of the sets were measured so."""
    pair = PRIMARY[0]
    keys = {key_of(name, rate, MODULES) for name in pair[:2]}
    some = [measured for measured in sets if keys <= {row["key"] for row in measured["merges"]}]
    return seed_comparison(some, pair, rate, MODULES) if len(some) >= LEAST_SEEDS else None


def divisors(own_hits: BitsByDomain) -> dict[str, float]:
    """Divisor of each domain's accuracy for retention: the domain model's own; 1 if that answers
    nothing."""
    return {domain: hits.count("1") / len(hits) or 1.0 for domain, hits in own_hits.items()}


def retention(hits: BitsByDomain, own_hits: BitsByDomain) -> float:
    """Mean over the domains of a merge's accuracy by its divisor."""
    by = divisors(own_hits)
    return sum(hits[d].count("1") / len(hits[d]) / by[d] for d in own_hits) / len(own_hits)


def unmerged_retention(measured: MeasuredSet) -> float:
    """The most that a domain model keeps which is not merged, in the unit of `retention`; where
    that was not measured, the least it can be: all of its own domain and nothing else."""
    own_hits, unmerged = measured["own"], measured.get("unmerged")
    if unmerged is None:
        return float(measured.get("least", 1 / len(own_hits)))
    return max(retention(unmerged[domain], own_hits) for domain in own_hits)


def hits_of(measured: MeasuredSet, name: str, rate: float, budget: str = ALL) -> BitsByDomain:
    """The hits of a merge at a rate of a budget's entries, or of one that prunes nothing."""
    keys = keys_of(name, rate, budget)
    return next(row["hits"] for row in measured["merges"] if row["key"] in keys)


def keys_of(name: str, rate: float, budget: str = ALL) -> tuple[str, str]:
    """The keys of a merge, pruned at a rate and whole; it has one of the two."""
    return key_of(name, rate, budget), key_of(name, 0.0, WHOLE)


def gap_over_items(merge: BitsByDomain, rival: BitsByDomain, own_hits: BitsByDomain) -> Interval:
    """Retention of one merge of a set minus another's, with an interval over its items alone."""
    gap = retention(merge, own_hits) - retention(rival, own_hits)
    low, high = np.quantile(_item_draws(merge, rival, own_hits, seed=0), (0.025, 0.975))
    return Interval(gap, float(low), float(high))


def student_interval(values: Float64[ndarray, " seeds"]) -> tuple[Interval, float]:
    """Mean and its interval (95 %, Student's), and the p-value against 0; two values at least."""
    mean, freedom = float(values.mean()), len(values) - 1
    error = float(values.std(ddof=1)) / sqrt(len(values))
    half = student(freedom) * error
    p = p_of_t(mean / error, freedom) if error else float(mean == 0)
    return Interval(mean, mean - half, mean + half), p


def _item_draws(
    merge: BitsByDomain, rival: BitsByDomain, own_hits: BitsByDomain, *, seed: int
) -> Float64[ndarray, " draws"]:
    """The difference of retentions on items drawn with replacement, domain by domain."""
    rng = np.random.default_rng([SEED, seed])
    total = np.zeros(RESAMPLES)
    for domain, by in divisors(own_hits).items():
        pairs = zip(merge[domain], rival[domain], strict=True)
        gains = np.array([int(hit) - int(rival_hit) for hit, rival_hit in pairs])
        shares = [(gains == value).mean() for value in (-1, 0, 1)]
        counts = rng.multinomial(len(gains), shares, size=RESAMPLES)
        total += (counts[:, 2] - counts[:, 0]) / len(gains) / by / len(own_hits)
    return total


def _hierarchical(seeds: Sequence[Float64[ndarray, " draws"]]) -> Float64[ndarray, " draws"]:
    """Means over seeds drawn with replacement; each drawn seed takes a draw of its items."""
    rng = np.random.default_rng([SEED, len(seeds)])
    table = np.stack(seeds)
    drawn_seeds = rng.integers(len(seeds), size=(len(seeds), RESAMPLES))
    draws = rng.integers(RESAMPLES, size=drawn_seeds.shape)
    return np.asarray(table[drawn_seeds, draws].mean(axis=0))
