"""Runs a failure by its name, broken or repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.studies.teaching.failures.case import CaseTask, Shown
from dppa_core.studies.teaching.failures.of_merges import (
    opposite,
    tied_twice,
    too_few,
    too_large,
    wrong_base,
)
from dppa_core.studies.teaching.failures.of_weights import overflow, vocabulary

RUNS: Mapping[str, Callable[[CaseTask, bool], Shown]] = {
    "wrong-base": wrong_base,
    "one-percent": too_few,
    "factor-six": too_large,
    "opposite-signs": opposite,
    "float16": overflow,
    "tied-twice": tied_twice,
    "vocabulary": vocabulary,
}


def run_case(name: str, repaired: bool, task: CaseTask) -> dict[str, Any]:
    """Run one of `CASES`.

    Args:
        name: Of the case.
        repaired: Whether with its repair.
        task: Where, and who is told.

    Raises:
        UnknownName: there is none of that name.
        Cancelled: the task's `stop` was set.
    """
    if name not in RUNS:
        raise UnknownName(f"No case {name!r:.80}. {did_you_mean(name[:80], RUNS)}")
    return {"repaired": repaired, **RUNS[name](task, repaired).to_json()}
