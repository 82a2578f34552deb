"""The merges that the study measures on every set, and their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.search.axes import with_values
from dppa_lab.zoo.results.entry import Entry

RATES = (0.8, 0.9, 0.95)
ALL, MODULES, WHOLE = "all", "modules", "whole"
"""Budgets, which say what a rate counts: every entry, or those of the modules while embeddings stay
whole; or nothing is pruned."""
BUDGETS = (ALL, MODULES)
MAIN_RATE = 0.9
"""The rate of DARE, TIES and the budget of the modules."""
CLAIM_RATES = (0.9, 0.95)
"""The rates at which merges are compared over seeds, and to which the controls belong."""
SHUFFLED = "shuffled"
CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "reversed": {"scaling": "reversed"},
    "random": {"significance": "random"},
    SHUFFLED: {},
}
"""Changes of DPPA that ought to harm it; the last merges deltas in random order."""
BEGUN, TWICE = "dppa_begun", "dpa_twice"
"""DPPA whose search begins at DPA's best, and DPA with the settings of both searches."""
METHODS = ("task_arithmetic", "magnitude", "dp", "dpa", "dppa", "dare", "ties", *CONTROLS)


@dataclass(frozen=True, slots=True)
class StudyMerge:
    """A merge of all three domains; a joint search chooses its numbers."""

    name: str
    rate: float
    budget: str
    entry: Entry
    times: int = 1
    """Multiplies the budget of its search."""
    begins: str = ""
    """The merge, which it contains, at whose best values its search begins."""

    @property
    def key(self) -> str:
        """Unique in the study; see `key_of`."""
        return key_of(self.name, self.rate, self.budget)


def key_of(name: str, rate: float, budget: str) -> str:
    """The key of a merge, as `dppa-90-all`."""
    return f"{name}-{100 * rate:g}-{budget}"


def selected_merges(
    rates: Sequence[float] = RATES,
    methods: Sequence[str] = METHODS,
    budgets: Sequence[str] = BUDGETS,
) -> tuple[StudyMerge, ...]:
    """Those of some rates, names and budgets, and whole deltas."""
    return tuple(
        merge
        for merge in merges()
        if merge.rate in (0.0, *rates)
        and merge.name in methods
        and merge.budget in (WHOLE, *budgets)
    )


def merges() -> tuple[StudyMerge, ...]:
    """All merges of a set, the controls last. DP is DPPA with one partition: one factor for all
    that is kept. DPA is DPPA with strength 0: one rate for all matrices."""
    every = [StudyMerge("task_arithmetic", 0.0, WHOLE, Entry(get_method("task_arithmetic")))]
    for rate in RATES:
        every += [_pruned(name, rate, ALL) for name in ("magnitude", "dp", "dpa", "dppa")]
        if rate == MAIN_RATE:
            every += [_pruned(name, rate, MODULES) for name in ("magnitude", "dp", "dppa")]
            every.append(_pruned("dare", rate, ALL))
            ties = Entry(get_method("ties"), {"density": round(1 - rate, 9)})
            every.append(StudyMerge("ties", rate, ALL, ties))
    every += [_pruned(name, rate, ALL) for rate in CLAIM_RATES for name in CONTROLS]
    return tuple(every)


def nested_merges() -> tuple[StudyMerge, ...]:
    """DPA, DPPA and what searches them with twice the settings."""
    rate = max(CLAIM_RATES)
    dpa, dppa = (_pruned(name, rate, ALL) for name in ("dpa", "dppa"))
    begun = replace(dppa, name=BEGUN, begins="dpa")
    return dpa, dppa, replace(dpa, name=TWICE, times=2), begun


def _pruned(name: str, rate: float, budget: str) -> StudyMerge:
    by_dppa = name in ("dp", "dpa", "dppa", *CONTROLS)
    changes: dict[str, Any] = {"other_tensors": "prune" if budget == ALL else "keep"}
    changes |= {"strength": 0.0} if name == "dpa" else CONTROLS.get(name, {})
    partitions = 2 if by_dppa and name != "dp" else 1
    method = get_method("dppa" if by_dppa else name)
    return StudyMerge(name, rate, budget, Entry(method, changes, partitions, rate=rate))


def recipe_of(row: Mapping[str, Any], references: Mapping[str, str]) -> MergeRecipe:
    """The recipe of a measured merge.

    Args:
        row: Its key, and the values that its search chose.
        references: base and every domain -> the model's reference.
    """
    (merge,) = (merge for merge in merges() if merge.key == row["key"])
    entry = replace(merge.entry, references=references)
    return with_values(entry.recipes()[entry.domains[0]], row["values"])
