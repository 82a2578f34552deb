"""The confirmation of docs/study-plan.md: two merges against magnitude, on sets trained for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dppa_core.studies.zoo.study.compare import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    SeedComparison,
    claim_rates,
    compare,
)
from dppa_core.tasks.intervals import holm

REGIME, FIRST_SEED = "settled", 6
"""Sets of this regime were trained for the confirmation from this seed on."""
PAIRS = (PRIMARY[0], SECONDARY[1])
"""DPPA and DPA, each minus magnitude."""
Sets = Sequence[Mapping[str, Any]]


def without_new(sets: Sets) -> tuple[Sets, Sets]:
    """The sets of the study itself, and those of the confirmation, by size and seed, which enter
    nothing else."""
    new = [of for of in sets if _is_new(**of["set"])]
    by_name = sorted(new, key=lambda of: (of["set"]["size"], of["set"]["seed"]))
    return [of for of in sets if of not in new], by_name


def _is_new(*, regime: str, seed: int, **_: Any) -> bool:
    return regime == REGIME and seed >= FIRST_SEED


def confirmation(new: Sets) -> dict[float, tuple[SeedComparison, ...]]:
    """Rate of all entries -> the comparisons `PAIRS`, p-values corrected for those of all rates.

    Empty if there are fewer than `LEAST_SEEDS` sets.
    """
    if len(new) < LEAST_SEEDS:
        return {}
    found = {rate: compare(new, rate, PAIRS) for rate in claim_rates(new, PAIRS)}
    corrected = iter(holm([one.p for of in found.values() for one in of]))
    return {
        rate: tuple(replace(one, corrected=next(corrected)) for one in of)
        for rate, of in found.items()
    }
