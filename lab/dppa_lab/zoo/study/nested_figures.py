"""What DPPA keeps where its search begins at the best of DPA, which it contains."""

from __future__ import annotations

from typing import Any

from dppa_lab.zoo.study.merges import BEGUN, CLAIM_RATES, TWICE, nested_merges
from dppa_lab.zoo.study.seed_comparison import LEAST_SEEDS, Pair
from dppa_lab.zoo.study.study_figures import compared_values, mean_kept
from dppa_lab.zoo.study.study_sets import Sets, compare

NESTED: tuple[Pair, ...] = (
    (BEGUN, "dppa", "what does a better beginning bring?"),
    (BEGUN, TWICE, "does strength bring anything, at equal budgets?"),
    ("dpa", "dppa", "does a search of two numbers find more than one of three?"),
)


def nested_figures(sets: Sets) -> dict[str, Any]:
    """Mean retentions, and with three seeds the comparisons, corrected for their number."""
    rate = max(CLAIM_RATES)
    names = [merge.name for merge in nested_merges()]
    return {
        "sets": len(sets),
        "seeds": [study["set"]["seed"] for study in sets],
        "kept": {name: mean_kept(sets, name, rate) for name in names},
        **(compared_values(compare(sets, rate, NESTED)) if len(sets) >= LEAST_SEEDS else {}),
    }
