"""What each part of DPPA brings over the sets of all sizes of a regime, and which factors the
searches chose, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.evaluation.tables import hundredths, listed
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.rated_merges import title_of
from dppa_lab.experiments.score_table import pruned
from dppa_lab.zoo.study.compare import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    SeedComparison,
    answer_little,
    by_accuracy,
    by_kind,
    claim_rates,
    compare,
)
from dppa_lab.zoo.study.merges import ALL, key_of
from dppa_lab.zoo.study.tables import VERDICTS

PARTS = {
    ("dppa", "magnitude"): "DPPA minus magnitude",
    ("dpa", "magnitude"): "two factors alone (DPA)",
    ("dp", "magnitude"): "uneven densities alone (DP)",
    ("dppa", "dp"): "two factors beside uneven densities (DPPA minus DP)",
    ("dppa", "dpa"): "uneven densities beside two factors (DPPA minus DPA)",
    ("dppa", "reversed"): "DPPA minus DPPA with reversed densities",
}
"""The two merges of each comparison -> its words."""
FACTOR_AT = 0.9
"""The rate at which all sets were measured."""
Found = Mapping[tuple[str, str], SeedComparison]
"""The two merges -> their comparison at one rate."""


def all_sizes(regime: str, sets: Sequence[Mapping[str, Any]]) -> str:
    """A sentence a rate with all comparisons; empty if no rate was measured in every set."""
    of = f"{len(sets)} {regime} sets"
    return " ".join(_at(rate, by_pair(sets, rate), of) for rate in claim_rates(sets, SECONDARY))


def by_pair(sets: Sequence[Mapping[str, Any]], rate: float) -> Found:
    """All comparisons at a rate by the names of their two merges."""
    pairs = [*compare(sets, rate, PRIMARY), *compare(sets, rate, SECONDARY)]
    return {(one.one, one.other): one for one in pairs}


def _at(rate: float, found: Found, of: str) -> str:
    parts = [
        f"{what} ({gap_text(found[pair].interval)}; {verdict_word(found[pair])})"
        for pair, what in PARTS.items()
    ]
    return f"The {of} at {pruned(rate)}, hints and no claims: {', '.join(parts)}."


def verdict_word(found: SeedComparison) -> str:
    """Its word; an interval without 0 may be open once p is corrected."""
    word = VERDICTS[found.verdict]
    corrected = found.verdict == "open" and without_zero(found.interval)
    return f"{word} after correction" if corrected else word


def without_zero(found: Interval) -> bool:
    """Whether an interval lies on one side of 0."""
    return found.low > 0 or found.high < 0


def chosen_factors(studies: Sequence[Mapping[str, Any]]) -> str:
    """Which factor the searches gave to all that magnitude pruning keeps."""
    told = []
    for sets in by_kind(studies).values():
        found = [
            row["values"]["factor1"]
            for of in sets
            for row in of["merges"]
            if row.get("key") == key_of("magnitude", FACTOR_AT, ALL) and "factor1" in row["values"]
        ]
        if found:
            span = dict.fromkeys(f"{one:.2f}" for one in (min(found), max(found)))
            told.append(f"{' to '.join(span)} with {title_of(sets).replace(', ', ' ', 1)}")
    if not told:
        return ""
    return (
        f"Magnitude's factor that the searches chose at {pruned(FACTOR_AT)}: {'; '.join(told)}. "
        "Below 1 a search shrinks what is kept."
    )


def by_planned_outcome(studies: Sequence[Mapping[str, Any]]) -> str:
    """How DPPA's comparisons end by accuracy where a model answers little, as first planned."""
    verdicts: dict[str, list[str]] = {"task_arithmetic": [], "magnitude": []}
    groups = [of for of in by_kind(studies).values() if len(of) >= LEAST_SEEDS]
    for sets in groups:
        scored = by_accuracy(sets) if answer_little(sets) else sets
        for found in (one for rate in claim_rates(sets) for one in compare(scored, rate)):
            if found.one == "dppa" and found.other in verdicts and not found.worthless:
                verdicts[found.other].append(VERDICTS[found.verdict])
    if not any(map(answer_little, groups)):
        return ""
    told = [
        f"{listed([f'{word} in {of.count(word)}' for word in dict.fromkeys(of)])} of {len(of)} "
        f"against {'whole deltas' if rival == 'task_arithmetic' else rival}"
        for rival, of in verdicts.items()
        if of
    ]
    return (
        "By accuracy, which was planned where a domain model answers less than half, DPPA: "
        f"{'; '.join(told)}; the others lie below one model that is not merged."
    )


def gap_text(found: Interval) -> str:
    """A difference in points with its interval."""
    middle, low, high = map(hundredths, (found.value, *found.ends))
    return f"{middle:+.1f} points, {low:+.1f} to {high:+.1f}"
