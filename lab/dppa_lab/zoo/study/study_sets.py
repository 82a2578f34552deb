"""Sets of the study that are compared together, and the confirmation of lab/docs/study-plan.md:
two merges against magnitude, on new sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from dppa_core.tasks.intervals import holm
from dppa_lab.zoo.study.merges import CLAIM_RATES, RATES
from dppa_lab.zoo.study.seed_comparison import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    MeasuredSet,
    Pair,
    SeedComparison,
    divisors,
    keys_of,
    seed_comparison,
)
from dppa_lab.zoo.trained_set import kind_title

Sets = Sequence[MeasuredSet]
POOR = 0.5
"""Accuracy of a domain model, see `answers_little`."""
REGIME = "settled"
PLANNED = frozenset(
    {*(("small", seed) for seed in range(6, 11)), *(("medium", seed) for seed in range(6, 9))}
)
"""Size and seed of the sets that were trained for the confirmation."""
PAIRS = (PRIMARY[0], SECONDARY[1])
"""DPPA and DPA, each minus magnitude."""
JOINED = "all sizes"


def groups(planned: Sets) -> dict[str, Sets]:
    """Kind of set -> its sets by seed; regimes of several sizes also together, marked so."""
    single = {
        kind_title(members[0]["set"]): members for _, members in sorted(by_kind(planned).items())
    }
    joined = {f"{JOINED}, {regime}": members for regime, members in _of_all_sizes(planned).items()}
    return {**single, **joined}


def by_kind(sets: Sets) -> dict[tuple[str, str], list[MeasuredSet]]:
    """Size and regime -> their sets, by seed."""
    kinds: dict[tuple[str, str], list[MeasuredSet]] = defaultdict(list)
    for measured in sorted(sets, key=lambda measured: measured["set"]["seed"]):
        kinds[measured["set"]["size"], measured["set"]["regime"]].append(measured)
    return kinds


def _of_all_sizes(sets: Sets) -> dict[str, Sets]:
    """Regime -> its sets of all sizes that have `LEAST_SEEDS`, if there are several such sizes and
    not all merges keep less than one model does."""
    sizes: dict[str, list[list[MeasuredSet]]] = defaultdict(list)
    for (_, regime), members in sorted(by_kind(sets).items()):
        if len(members) >= LEAST_SEEDS:
            sizes[regime].append(members)
    joined = {regime: sum(kinds, []) for regime, kinds in sizes.items() if len(kinds) > 1}
    return {
        regime: members
        for regime, members in joined.items()
        if not all(gap.worthless for rate in claim_rates(members) for gap in compare(members, rate))
    }


def claim_rates(sets: Sets, pairs: Sequence[Pair] = PRIMARY) -> tuple[float, ...]:
    """The rates at which every set was measured with all merges of the pairs."""
    measured = [{row["key"] for row in study["merges"]} for study in sets]
    return tuple(
        rate
        for rate in RATES
        if all(
            keys.intersection(keys_of(name, rate))
            for keys in measured
            for pair in _family(pairs, rate)
            for name in pair[:2]
        )
    )


def _family(pairs: Sequence[Pair], rate: float) -> Sequence[Pair]:
    """The pairs without controls at a rate that has none."""
    return pairs if rate in CLAIM_RATES else [pair for pair in pairs if pair[1] != "reversed"]


def compare(sets: Sets, rate: float, pairs: Sequence[Pair] = PRIMARY) -> tuple[SeedComparison, ...]:
    """Comparisons over sets of a regime, each counting once.

    Args:
        sets: At least `LEAST_SEEDS`.
        rate: One of `claim_rates(sets, pairs)`.
        pairs: The family, for which p-values are corrected; controls only at `CLAIM_RATES`.
    """
    return _corrected([seed_comparison(sets, pair, rate) for pair in _family(pairs, rate)])


def _corrected(gaps: Sequence[SeedComparison]) -> tuple[SeedComparison, ...]:
    """The comparisons with p-values corrected for their number."""
    corrected = holm([gap.p for gap in gaps])
    return tuple(replace(gap, corrected=p) for gap, p in zip(gaps, corrected, strict=True))


def answers_little(sets: Sets) -> bool:
    """Return True if a domain model of some set answers less than `POOR`: then differences are
    shown by accuracy as well, which the plan named first."""
    return any(share < POOR for study in sets for share in divisors(study["own"]).values())


def by_accuracy(sets: Sets) -> list[MeasuredSet]:
    """The sets with divisors of 1: what was a retention is an accuracy."""
    return [
        {
            **study,
            "own": dict.fromkeys(study["own"], "1"),
            "least": max(divisors(study["own"]).values()) / len(study["own"]),
        }
        for study in sets
    ]


def without_new(sets: Sets) -> tuple[Sets, Sets]:
    """The sets of the study itself, and those of the confirmation, which enter nothing else: small
    ones first, by seed."""
    planned = [study for study in sets if not _is_new(study)]
    return planned, sorted(
        filter(_is_new, sets),
        key=lambda study: (study["set"]["size"] != "small", study["set"]["seed"]),
    )


def _is_new(measured: MeasuredSet) -> bool:
    record = measured["set"]
    return record["regime"] == REGIME and (record["size"], record["seed"]) in PLANNED


def confirmation(new: Sets) -> dict[float, tuple[SeedComparison, ...]]:
    """Rate of all entries -> the comparisons `PAIRS`, p-values corrected for those of all rates.

    Empty if there are fewer than `LEAST_SEEDS` sets.
    """
    if len(new) < LEAST_SEEDS:
        return {}
    rates = [rate for rate in claim_rates(new, PAIRS) if rate in CLAIM_RATES]
    gaps = iter(_corrected([gap for rate in rates for gap in compare(new, rate, PAIRS)]))
    return {rate: tuple(next(gaps) for _ in PAIRS) for rate in rates}
