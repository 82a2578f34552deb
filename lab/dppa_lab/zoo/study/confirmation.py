"""The confirmation of lab/docs/study-plan.md: two merges against magnitude, on new sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dppa_core.tasks.intervals import holm
from dppa_lab.zoo.study.compare import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    SeedComparison,
    claim_rates,
    compare,
)
from dppa_lab.zoo.study.merges import CLAIM_RATES

REGIME = "settled"
PLANNED = frozenset(
    {*(("small", seed) for seed in range(6, 11)), *(("medium", seed) for seed in range(6, 9))}
)
"""Size and seed of the sets that were trained for it."""
PAIRS = (PRIMARY[0], SECONDARY[1])
"""DPPA and DPA, each minus magnitude."""
Sets = Sequence[Mapping[str, Any]]


def without_new(sets: Sets) -> tuple[Sets, Sets]:
    """The sets of the study itself, and those of the confirmation, which enter nothing
    else: small ones first, by seed."""
    return [of for of in sets if not _is_new(of)], sorted(filter(_is_new, sets), key=_place)


def _place(of: Mapping[str, Any]) -> tuple[bool, int]:
    """Small sets first, by seed."""
    return of["set"]["size"] != "small", of["set"]["seed"]


def _is_new(of: Mapping[str, Any]) -> bool:
    told = of["set"]
    return told["regime"] == REGIME and (told["size"], told["seed"]) in PLANNED


def confirmation(new: Sets) -> dict[float, tuple[SeedComparison, ...]]:
    """Rate of all entries -> the comparisons `PAIRS`, p-values corrected for those of all rates.

    Empty if there are fewer than `LEAST_SEEDS` sets.
    """
    if len(new) < LEAST_SEEDS:
        return {}
    rates = [rate for rate in claim_rates(new, PAIRS) if rate in CLAIM_RATES]
    found = {rate: compare(new, rate, PAIRS) for rate in rates}
    corrected = iter(holm([one.p for of in found.values() for one in of]))
    return {
        rate: tuple(replace(one, corrected=next(corrected)) for one in of)
        for rate, of in found.items()
    }
