"""The overview in a few plain sentences, each with its figures; `overview` has all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dppa_core.errors import many
from dppa_core.evaluation.tables import in_brackets, listed, signed_text
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.overview_sizes import Found, by_pair, verdict_word
from dppa_lab.experiments.rated_merges import SIMPLEST, TOO_LOW, WHOLE, RatedMerge
from dppa_lab.experiments.score_table import pruned
from dppa_lab.zoo.study.compare import (
    EQUAL,
    SECONDARY,
    SeedComparison,
    claim_rates,
    embeddings_whole,
    of_all_sizes,
)
from dppa_lab.zoo.study.confirmation import REGIME
from dppa_lab.zoo.study.merges import MAIN_RATE

NAMES = {"dppa": "DPPA", "dpa": "DPA"}
Confirmed = Mapping[float, Sequence[SeedComparison]]
"""Rate -> the comparisons of the confirmation."""


def plain(
    merged: Sequence[RatedMerge],
    decided: Sequence[RatedMerge],
    studies: Sequence[Mapping[str, Any]],
    climbed: Mapping[str, Any] | None = None,
    found: Confirmed = MappingProxyType({}),
    tested: str = "",
) -> str:
    """What is known of DPPA in a merge.

    Args:
        merged: The embedded models, one rate each.
        decided: The groups of sets with enough seeds for an outcome, one rate each.
        studies: The sets, for the comparisons of all sizes together.
        climbed: What the paper's own search found, from lab/data/search.json.
        found: The comparisons of the confirmation.
        tested: What `confirmed` says of them.
    """
    told = [_lead(decided, found), _climb(climbed) if climbed else ""]
    told += [_against(decided, WHOLE, "whole deltas (task arithmetic)")]
    told += [_against(decided, SIMPLEST, "magnitude pruning with settings searched alike")]
    told += [_together(regime, sets) for regime, sets in of_all_sizes(studies).items()]
    told += [tested]
    told += [_useless(decided), _once(merged)]
    return " ".join(filter(None, told))


def _against(rows: Sequence[RatedMerge], rival: str, name: str) -> str:
    """How often DPPA is ahead and behind, where a merge is worth more than one model."""
    there = [row.outcomes[rival] for row in rows if row.outcomes[rival] != TOO_LOW]
    if not there:
        return ""
    counts = {
        "less": there.count("loses"),
        f"within {100 * EQUAL:g} points of it": there.count("ties"),
        "undecided": there.count("undecided"),
    }
    others = [f"{what} in {count}" for what, count in counts.items() if count]
    gaps = [row.minus[rival] for row in rows if row.outcomes[rival] != TOO_LOW]
    halves = [50 * (gap.high - gap.low) for gap in gaps]
    inside = sum("settled" in row.set for row in rows if row.outcomes[rival] != TOO_LOW)
    favour = (
        f"; {inside} are of sets trained inside merges, which may favour whole deltas"
        if rival == WHOLE and inside
        else ""
    )
    values = sorted(100 * gap.value for gap in gaps)
    return (
        f"Size by size, as first planned, DPPA keeps more than {name} in "
        f"{there.count('wins') or 'none'} of {many(len(there), 'comparison')}"
        f"{in_brackets(others)}; the differences are {values[0]:+.1f} to {values[-1]:+.1f} points, "
        f"their intervals ±{min(halves):.1f} to ±{max(halves):.1f}{favour}."
    )


def _lead(rows: Sequence[RatedMerge], found: Confirmed) -> str:
    """The answer in one sentence; empty if no merge of several seeds was compared."""
    there = [row.outcomes[WHOLE] for row in rows if row.outcomes[WHOLE] != TOO_LOW]
    told = []
    if there:
        told += [
            f"Over training seeds DPPA keeps less than whole deltas in {there.count('loses')} of "
            f"{many(len(there), 'comparison')}"
        ]
    more, open_ = (_rates_of(found, verdict) for verdict in ("more", "open"))
    if more:
        told += [
            f"{_sets_of(found)} new sets of small models trained inside merges, {more} of all "
            "entries pruned, keep more by DPPA than by magnitude pruning, each with searched "
            "settings"
        ]
    if more and open_:
        told += [f"at {open_} that is open"]
    return f"{'; '.join(told)}." if told else ""


def _rates_of(found: Confirmed, verdict: str) -> str:
    """The rates at which DPPA has this verdict against magnitude."""
    wanted = ("dppa", verdict)
    return listed(
        [
            pruned(rate)
            for rate, of in found.items()
            if any((one.one, one.verdict) == wanted for one in of)
        ]
    )


def _sets_of(found: Confirmed) -> int:
    return len(next(iter(found.values()))[0].by_seed)


def _climb(found: Mapping[str, Any]) -> str:
    """The merge that the paper's own search makes."""
    kept, given = found["retention"], found["beside"][0]["comparison"]["difference"]
    low, high = kept["ci95"]
    ones = found["beside"][0]["retention"]["value"]
    return (
        "By the paper's own search, a climb of each model alone, DPPA pruned by 80 % keeps "
        f"{100 * kept['value']:.1f} % ({100 * low:.1f} to {100 * high:.1f}; geometric mean) of the "
        f"three embedded models in one and answers {-100 * given['value']:.1f} points less "
        f"({-100 * given['high']:.1f} to {-100 * given['low']:.1f}) than with factors of 1, which "
        f"keep {100 * ones:.1f} % (`make search`, {found['items']} search items a domain); all "
        "that follows has settings searched jointly instead."
    )


def _together(regime: str, sets: Sequence[Mapping[str, Any]]) -> str:
    """DPPA and its two halves over the sets of all sizes."""
    rates = claim_rates(sets, SECONDARY)
    found = [by_pair(sets, rate) for rate in rates]
    if not found:
        return ""
    whole = [(rate, of) for rate in rates if (of := embeddings_whole(sets, rate))]
    beside = [
        f" With embeddings whole, as the paper leaves them ({len(of.by_seed)} of the sets), DPPA "
        f"minus magnitude is {_points(of.interval)} at {pruned(rate)}."
        for rate, of in whole
    ]
    both, factors, densities = (
        _gaps(rates, found, (one, SIMPLEST)) for one in ("dppa", "dpa", "dp")
    )
    return (
        f"A hint, since it was not planned to put sizes together: over all {len(sets)} {regime} "
        f"sets DPPA minus magnitude is {both}. In the same sets, a hint as well: two factors "
        f"alone, at one rate for all matrices (DPA), minus magnitude are {factors}; uneven "
        f"densities alone (DP) {densities}."
    ) + "".join(beside)


def confirmed(found: Confirmed, new: Sequence[Mapping[str, Any]]) -> str:
    """DPPA and its two factors against magnitude, on the sets trained to test the hint."""
    if not found:
        return ""
    told = [
        f"{NAMES[one.one]} minus magnitude is {_points(one.interval)} at {pruned(rate)} "
        f"({verdict_word(one)})"
        for rate, of in found.items()
        for one in of
    ]
    kept = embeddings_whole(new, MAIN_RATE)
    beside = (
        f" With embeddings whole DPPA minus magnitude is {_points(kept.interval)} there at "
        f"{pruned(MAIN_RATE)}."
        if kept
        else ""
    )
    return (
        f"The confirmation, planned before it was measured, on {len(new)} other {REGIME} sets: "
        f"{listed(told)}, corrected for all {len(told)}.{beside}"
    )


def _gaps(rates: Sequence[float], found: Sequence[Found], pair: tuple[str, str]) -> str:
    gaps = zip(rates, (each[pair].interval for each in found), strict=True)
    return listed([f"{_points(gap)} at {pruned(rate)}" for rate, gap in gaps])


def _points(found: Interval) -> str:
    return signed_text(found.value, found.ends, " points")


def _useless(rows: Sequence[RatedMerge]) -> str:
    """The merges left out of the comparisons: both keep less than one model."""
    low = {
        rival: [row for row in rows if row.outcomes[rival] == TOO_LOW]
        for rival in (WHOLE, SIMPLEST)
    }
    both = [row for row in low[SIMPLEST] if row in low[WHOLE]]
    pruned_only = [row for row in low[SIMPLEST] if row not in both]
    if not both:
        return ""
    more = f"; so do pruned merges of {_places(pruned_only)}" if pruned_only else ""
    return (
        "Models that do not add up, left out above, keep less than one model that is not merged, "
        f"whole or pruned: {_places(both)}{more}."
    )


def _places(rows: Sequence[RatedMerge]) -> str:
    rates: dict[str, list[str]] = {}
    for row in rows:
        rates.setdefault(row.set.replace(", ", " ", 1), []).append(pruned(row.rate))
    return "; ".join(f"{name} at {listed(at)}" for name, at in rates.items())


def _once(merged: Sequence[RatedMerge]) -> str:
    """The models that the program opens with."""
    if not merged:
        return ""
    told = [f"{_points(row.minus[SIMPLEST])} at {pruned(row.rate)}" for row in merged]
    less = all(row.minus[WHOLE].high < 0 for row in merged)
    whole = "; whole deltas keep more at each rate" if less else ""
    return (
        "In the embedded models, trained once, with intervals over questions alone, DPPA minus "
        f"magnitude is {listed(told)}{whole}."
    )
