"""The overview in a few plain sentences, each with its figures; `overview` has all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.errors import many
from dppa_core.evaluation.tables import in_brackets, listed
from dppa_core.studies.experiments.overview_sizes import Found, by_pair
from dppa_core.studies.experiments.rated_merges import SIMPLEST, WHOLE, RatedMerge
from dppa_core.studies.experiments.score_table import pruned
from dppa_core.studies.zoo.study.compare import EQUAL, SECONDARY, claim_rates, of_all_sizes
from dppa_core.tasks.intervals import Interval

TOO_LOW = "too low"
"""The outcome where both merges keep less than one model that is not merged."""


def plain(
    merged: Sequence[RatedMerge],
    decided: Sequence[RatedMerge],
    studies: Sequence[Mapping[str, Any]],
) -> str:
    """What is known of DPPA in a merge.

    Args:
        merged: The embedded models, one rate each.
        decided: The groups of sets with enough seeds for an outcome, one rate each.
        studies: The sets, for the comparisons of all sizes together.
    """
    told = [_against(decided, WHOLE, "whole deltas (task arithmetic)")]
    told += [_against(decided, SIMPLEST, "magnitude pruning with settings searched alike")]
    told += [_together(regime, sets) for regime, sets in of_all_sizes(studies).items()]
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
    return (
        f"Over training seeds DPPA keeps more than {name} in {there.count('wins') or 'none'} of "
        f"{many(len(there), 'comparison')}{in_brackets(others)}."
    )


def _together(regime: str, sets: Sequence[Mapping[str, Any]]) -> str:
    """DPPA and its two halves over the sets of all sizes."""
    rates = claim_rates(sets, SECONDARY)
    found = [by_pair(sets, rate) for rate in rates]
    if not found:
        return ""
    both, factors, densities = (
        _gaps(rates, found, (one, SIMPLEST)) for one in ("dppa", "dpa", "dp")
    )
    return (
        f"A hint, since it was not planned: over all {len(sets)} {regime} sets DPPA minus "
        f"magnitude is {both}. Its two factors alone, at one rate for all matrices (DPA), bring "
        f"{factors}; its uneven densities alone (DP) bring {densities}."
    )


def _gaps(rates: Sequence[float], found: Sequence[Found], pair: tuple[str, str]) -> str:
    gaps = zip(rates, (each[pair].interval for each in found), strict=True)
    return listed([f"{_points(gap)} at {pruned(rate)}" for rate, gap in gaps])


def _points(found: Interval) -> str:
    return f"{100 * found.value:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _useless(rows: Sequence[RatedMerge]) -> str:
    """The sets whose merges keep less than one model, whole or pruned."""
    useless = [row for row in rows if {row.outcomes[one] for one in (WHOLE, SIMPLEST)} == {TOO_LOW}]
    names = dict.fromkeys(" ".join(row.set.split(", ")[:-1]) for row in useless)
    if not names:
        return ""
    return (
        f"Where models do not add up, pruning does not mend it: merges of {listed(list(names))}, "
        "whole or pruned, keep less than one model that is not merged, and are left out above."
    )


def _once(merged: Sequence[RatedMerge]) -> str:
    """The models that the program opens with."""
    gaps = {rival: [row.minus[rival] for row in merged] for rival in (SIMPLEST, WHOLE)}
    told = [
        f"{_points(gap)} at {pruned(row.rate)}"
        for gap, row in zip(gaps[SIMPLEST], merged, strict=True)
    ]
    less = ", and always less than whole deltas" if all(one.high < 0 for one in gaps[WHOLE]) else ""
    return f"In the embedded models, trained once, DPPA minus magnitude is {listed(told)}{less}."
