"""Scores as plain values, and as the JSON the browser shows.

Pure; knows no gradio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.evaluation.scores import DomainScore

PACE_AFTER = 2.0
"""Seconds of answering that must have been measured before the time left is told."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One model of the table."""

    target: str
    """merged, or a reference."""
    label: str
    recipe: str = ""
    """Hash of the recipe, where it is a merge."""


@dataclass(frozen=True, slots=True)
class ScoreProgress:
    """How far an exam is, and how fast it has been."""

    activity: str
    """waiting, merging, or scoring, which begins once the merge is there or was scored before."""
    what: str = ""
    """Which model, and what it is doing, in a few words."""
    done: int = 0
    """Questions with a known answer: asked now, or scored earlier."""
    left: int = 0
    """Questions still to be asked."""
    asked: int = 0
    """Questions asked by this exam."""
    seconds: float = 0.0
    """What those took; making and loading models is not counted."""

    def now(self, activity: str, what: str) -> ScoreProgress:
        """The same standing while something else is done."""
        return replace(self, activity=activity, what=what)

    def after(self, count: int, seconds: float) -> ScoreProgress:
        """The standing when `count` more questions have been asked in `seconds`."""
        return replace(
            self,
            done=self.done + count,
            left=self.left - count,
            asked=self.asked + count,
            seconds=self.seconds + seconds,
        )

    def seconds_left(self) -> float | None:
        """What the rest takes at the pace so far; None before there is one."""
        if self.asked == 0 or self.seconds < PACE_AFTER:
            return None
        return self.left * self.seconds / self.asked


Scores = Mapping[tuple[str, str], DomainScore]
"""(target, domain) -> score."""


def score_value(
    rows: Sequence[ScoreRow], domains: Sequence[str], scores: Scores, state: str, limit: int
) -> dict[str, Any]:
    """The table of scores: a row per model, a column per domain, and the mean.

    Args:
        state: idle, running, done, stopped or failed.
        limit: Questions per domain.
    """
    table = [
        {
            "target": row.target,
            "label": row.label,
            "recipe": row.recipe,
            "cells": [_cell(scores.get((row.target, domain))) for domain in domains],
            "mean": _mean([scores.get((row.target, domain)) for domain in domains]),
        }
        for row in rows
    ]
    return {"state": state, "limit": limit, "domains": list(domains), "rows": table}


def _cell(score: DomainScore | None) -> dict[str, Any] | None:
    if score is None:
        return None
    low, high = score.ci95
    return {"accuracy": score.accuracy, "low": low, "high": high, "n": score.n}


def _mean(scores: Sequence[DomainScore | None]) -> float | None:
    known = [score.accuracy for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def retention_sentence(row: Mapping[str, Any]) -> str:
    """What the table says about the merge, as a sentence; empty where nothing can be kept.

    Args:
        row: The merge's, as `evaluate_report.as_json` gives it, complete. A domain in which its
            own model scores nothing has no retention and is left out.
    """
    kept = {name: one["retention"] for name, one in row["domains"].items() if one["retention"]}
    if not kept or not row["mean_retention"]:
        return ""
    worst = min(kept, key=lambda name: float(kept[name]["value"]))
    return (
        "Retention, the merge's score divided by that of each domain's own model: geometric mean "
        f"{_with_interval(row['mean_retention'])}, least in {worst} "
        f"({_with_interval(kept[worst])}); in brackets 95\u2009% intervals."
    )


def _with_interval(one: Mapping[str, Any]) -> str:
    low, high = one["ci95"]
    return f"{_percent(one['value'])} ({100 * low:.0f}–{100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u2009%"
