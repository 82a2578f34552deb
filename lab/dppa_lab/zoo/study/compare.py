"""Differences of two merges over the seeds of a regime, as lab/docs/study-plan.md fixes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tasks.intervals import (
    RESAMPLES,
    SEED,
    SIGNIFICANCE_LEVEL,
    Interval,
    holm,
    p_of_t,
    student,
)
from dppa_lab.zoo.study.merges import (
    ALL,
    CLAIM_RATES,
    MODULES,
    RATES,
    WHOLE,
    key_of,
)

Hits = Mapping[str, str]
"""Domain -> a character for each test item, 1 for a right answer."""
LEAST_SEEDS = 3
"""Fewer show figures, and no comparison."""
EQUAL = 0.02
"""Retentions whose interval lies within this are said not to differ."""
POOR = 0.5
"""Accuracy of a domain model, see `answer_little`."""
PRIMARY = (
    ("dppa", "magnitude", "is it better than the simplest pruning?"),
    ("dppa", "task_arithmetic", "does pruning help at all?"),
    ("dppa", "dp", "what do factors of their own for the partitions bring?"),
    ("dp", "magnitude", "what do uneven densities bring?"),
    ("dppa", "reversed", "is the sign of the adjustment right?"),
)
"""The primary family: the two merges, and the question their difference answers; the last is a
control, which belongs to `CLAIM_RATES`."""
SECONDARY = (
    ("dppa", "dpa", "what do uneven densities bring, beside two factors?"),
    ("dpa", "magnitude", "what do two factors bring without them?"),
)
"""Those planned later, corrected for their own number."""
Pairs = Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class SeedComparison:
    """Mean retention of one merge minus that of another, over seeds."""

    one: str
    other: str
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
    """Whether both merges keep less than one model of the set by itself."""

    @property
    def interval(self) -> Interval:
        """The wider of the two."""
        both = (self.over_seeds, self.hierarchical)
        return max(both, key=lambda one: one.high - one.low)

    @property
    def verdict(self) -> str:
        """`more`, `less`, `alike`, `open` where the seeds do not tell, or `worthless`."""
        found = self.interval
        if self.worthless:
            return "worthless"
        if self.corrected < SIGNIFICANCE_LEVEL and not found.low <= 0 <= found.high:
            return "more" if found.value > 0 else "less"
        return "alike" if -EQUAL < found.low and found.high < EQUAL else "open"


def divisors(own: Hits) -> dict[str, float]:
    """What each domain's accuracy is divided by for retention: the domain model's own; 1 if that
    answers nothing."""
    return {domain: hits.count("1") / len(hits) or 1.0 for domain, hits in own.items()}


def retention(hits: Hits, own: Hits) -> float:
    """Mean over the domains of a merge's accuracy by its divisor."""
    by = divisors(own)
    return sum(hits[d].count("1") / len(hits[d]) / by[d] for d in own) / len(own)


def of_one_model(measured: Mapping[str, Any]) -> float:
    """The most that a domain model keeps which is not merged, in the unit of `retention`; where
    that was not measured, the least it can be: all of its own domain and nothing else."""
    own, asked = measured["own"], measured.get("unmerged")
    if asked is None:
        return float(measured.get("least", 1 / len(own)))
    return max(retention(asked[domain], own) for domain in own)


def by_kind(
    sets: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Size and regime -> their sets, by seed."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for of in sorted(sets, key=lambda of: of["set"]["seed"]):
        groups[of["set"]["size"], of["set"]["regime"]].append(of)
    return groups


def of_all_sizes(
    sets: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Regime -> its sets of all sizes that have `LEAST_SEEDS`, if there are several such sizes and
    not all merges keep less than one model does."""
    groups: dict[str, list[list[Mapping[str, Any]]]] = defaultdict(list)
    for (_, regime), of in sorted(by_kind(sets).items()):
        if len(of) >= LEAST_SEEDS:
            groups[regime].append(of)
    joined = {regime: [*chain(*of)] for regime, of in groups.items() if len(of) > 1}
    return {
        regime: of
        for regime, of in joined.items()
        if not all(one.worthless for rate in claim_rates(of) for one in compare(of, rate))
    }


def claim_rates(sets: Sequence[Mapping[str, Any]], pairs: Pairs = PRIMARY) -> tuple[float, ...]:
    """The rates at which every set was measured with all merges of the pairs."""
    known = [{row["key"] for row in of["merges"]} for of in sets]
    return tuple(
        rate
        for rate in RATES
        if all(
            keys.intersection(_keys(name, rate))
            for keys in known
            for one, other, _ in _family(pairs, rate)
            for name in (one, other)
        )
    )


def _family(pairs: Pairs, rate: float) -> Pairs:
    """The pairs without controls at a rate that has none."""
    return pairs if rate in CLAIM_RATES else [one for one in pairs if one[1] != "reversed"]


def compare(
    sets: Sequence[Mapping[str, Any]], rate: float, pairs: Pairs = PRIMARY
) -> tuple[SeedComparison, ...]:
    """Comparisons over sets of a regime, each counting once.

    Args:
        sets: What `measure_set` returned; at least `LEAST_SEEDS` of them.
        rate: One of `claim_rates(sets, pairs)`.
        pairs: The family, for which p-values are corrected; controls only at `CLAIM_RATES`.
    """
    family = _family(pairs, rate)
    found = [_difference(sets, one, other, rate, question) for one, other, question in family]
    corrected = holm([one.p for one in found])
    return tuple(replace(one, corrected=p) for one, p in zip(found, corrected, strict=True))


def answer_little(sets: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a domain model of some set answers less than `POOR`: then differences are shown by
    accuracy as well, which the plan named first."""
    return any(share < POOR for of in sets for share in divisors(of["own"]).values())


def by_accuracy(sets: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The sets with divisors of 1: what was a retention is an accuracy."""
    return [
        {
            **of,
            "own": dict.fromkeys(of["own"], "1"),
            "least": max(divisors(of["own"]).values()) / len(of["own"]),
        }
        for of in sets
    ]


def embeddings_whole(sets: Sequence[Mapping[str, Any]], rate: float) -> SeedComparison | None:
    """DPPA against magnitude where embeddings stay whole, as in the paper; None if fewer than
    `LEAST_SEEDS` of the sets were measured so."""
    pair = PRIMARY[0]
    wanted = {key_of(name, rate, MODULES) for name in pair[:2]}
    there = [of for of in sets if wanted <= {row["key"] for row in of["merges"]}]
    if len(there) < LEAST_SEEDS:
        return None
    return _difference(there, pair[0], pair[1], rate, pair[2], MODULES)


def hits_of(measured: Mapping[str, Any], name: str, rate: float, budget: str = ALL) -> Hits:
    """The hits of a merge at a rate of a budget's entries, or of one that prunes nothing."""
    keys = _keys(name, rate, budget)
    return next(row["hits"] for row in measured["merges"] if row["key"] in keys)


def _keys(name: str, rate: float, budget: str = ALL) -> tuple[str, str]:
    return key_of(name, rate, budget), key_of(name, 0.0, WHOLE)


def apart(one: Hits, other: Hits, own: Hits) -> Interval:
    """Retention of one merge of a set minus another's, with an interval over its items alone."""
    gap = retention(one, own) - retention(other, own)
    low, high = np.quantile(_item_draws(one, other, own, seed=0), (0.025, 0.975))
    return Interval(gap, float(low), float(high))


def student_interval(values: Float64[ndarray, " seeds"]) -> tuple[Interval, float]:
    """Mean and its interval (95 %, Student's), and the p-value against 0; two values at least."""
    mean, freedom = float(values.mean()), len(values) - 1
    error = float(values.std(ddof=1)) / sqrt(len(values))
    half = student(freedom) * error
    p = p_of_t(mean / error, freedom) if error else float(mean == 0)
    return Interval(mean, mean - half, mean + half), p


def _difference(
    sets: Sequence[Mapping[str, Any]],
    one: str,
    other: str,
    rate: float,
    question: str,
    budget: str = ALL,
) -> SeedComparison:
    pairs = [
        (*(hits_of(of, name, rate, budget) for name in (one, other)), of["own"]) for of in sets
    ]
    by_seed = np.array([retention(a, own) - retention(b, own) for a, b, own in pairs])
    over, p = student_interval(by_seed)
    drawn = _hierarchical([_item_draws(*pair, seed=at) for at, pair in enumerate(pairs)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    both = Interval(float(by_seed.mean()), float(low), float(high))
    best = max(np.mean([retention(pair[at], pair[2]) for pair in pairs]) for at in (0, 1))
    worthless = bool(best < np.mean([of_one_model(of) for of in sets]))
    gaps = tuple(map(float, by_seed))
    return SeedComparison(one, other, question, gaps, over, both, p, p, worthless)


def _item_draws(one: Hits, other: Hits, own: Hits, *, seed: int) -> Float64[ndarray, " draws"]:
    """The difference of retentions on items drawn with replacement, domain by domain."""
    rng = np.random.default_rng([SEED, seed])
    total = np.zeros(RESAMPLES)
    for domain, by in divisors(own).items():
        gains = np.array([int(a) - int(b) for a, b in zip(one[domain], other[domain], strict=True)])
        shares = [(gains == value).mean() for value in (-1, 0, 1)]
        counts = rng.multinomial(len(gains), shares, size=RESAMPLES)
        total += (counts[:, 2] - counts[:, 0]) / len(gains) / by / len(own)
    return total


def _hierarchical(
    seeds: Sequence[Float64[ndarray, " draws"]],
) -> Float64[ndarray, " draws"]:
    """Means over seeds drawn with replacement; each drawn seed takes a draw of its items."""
    rng = np.random.default_rng([SEED, len(seeds)])
    table = np.stack(seeds)
    which = rng.integers(len(seeds), size=(len(seeds), RESAMPLES))
    draw = rng.integers(RESAMPLES, size=which.shape)
    return np.asarray(table[which, draw].mean(axis=0))
