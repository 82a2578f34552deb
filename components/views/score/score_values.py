"""Who is compared, and scores as plain values and as JSON for the browser. Pure; no Gradio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.evaluation.scores import DomainScore
from dppa_core.evaluation.side_by_side import (
    AGAINST,
    ARITHMETIC,
    BASE,
    LINEAR,
    RECIPE,
    Entrant,
    SideBySide,
    entrants,
)
from dppa_core.evaluation.side_by_side_values import interval_json
from dppa_core.tasks.intervals import Interval

from ...session.session import Session
from ...session.state import other_session, slot_names
from ...work.figures import short_name

PACE_AFTER = 2.0
"""Seconds of answering to measure before the remaining time is shown."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of the table."""

    target: str
    """merged, or a reference."""
    label: str
    recipe: str = ""
    """Hash of the recipe, if it is a merge."""


@dataclass(frozen=True, slots=True)
class ScoreProgress:
    """Progress and speed of an exam."""

    activity: str
    """waiting, merging, or scoring, which begins once the merge is there or was scored before."""
    what: str = ""
    """The current model and step, in a few words."""
    done: int = 0
    """Questions with a known answer: asked now, or scored earlier."""
    left: int = 0
    """Questions still to be asked."""
    asked: int = 0
    """Questions asked by this exam."""
    seconds: float = 0.0
    """Seconds for those questions, without making and loading models."""

    def now(self, activity: str, what: str) -> ScoreProgress:
        """The same progress with another activity."""
        return replace(self, activity=activity, what=what)

    def after(self, count: int, seconds: float) -> ScoreProgress:
        """The progress after `count` more questions in `seconds`."""
        return replace(
            self,
            done=self.done + count,
            left=self.left - count,
            asked=self.asked + count,
            seconds=self.seconds + seconds,
        )

    def seconds_left(self) -> float | None:
        """Remaining seconds at the pace so far; None if it is not known yet."""
        if self.asked == 0 or self.seconds < PACE_AFTER:
            return None
        return self.left * self.seconds / self.asked


def contestants(
    session: Session, given: object, trained_for: Mapping[str, str] | None = None
) -> tuple[Entrant, ...]:
    """The merge, that of the slot that is not shown (`given`), plain merges, domain models and the
    base, with their labels on the page; `trained_for` as of `entrants`."""
    other = other_session(given, session)
    slots = slot_names(given) if other else ("merged", "")
    order = (RECIPE, AGAINST, ARITHMETIC, LINEAR, "", BASE)
    found = entrants(session.recipe(), other.recipe() if other else None, trained_for)
    labels = {one.key: short_name(one.target) for one in found if isinstance(one.target, str)}
    labels |= dict(zip((RECIPE, AGAINST), slots, strict=True))
    named = (replace(one, label=labels.get(one.key, one.label)) for one in found)
    return tuple(sorted(named, key=lambda one: order.index(one.key if one.key in order else "")))


Scores = Mapping[tuple[str, str], DomainScore]
"""(target, domain) -> score."""


def score_value(
    rows: Sequence[ScoreRow], domains: Sequence[str], scores: Scores, state: str, limit: int
) -> dict[str, Any]:
    """The table of scores: a row per model, a column per domain, and the mean. The state is idle,
    running, done, stopped or failed; `limit` is the questions per domain."""
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
    """A sentence on the merge's retention, from its complete row of `side_by_side_json`; empty if
    no domain has one. A domain whose own model scores 0 is left out."""
    kept = {name: one["retention"] for name, one in row["domains"].items() if one["retention"]}
    if not kept or not row["mean_retention"]:
        return ""
    worst = min(kept, key=lambda name: float(kept[name]["value"]))
    return (
        f"Retention: this merge keeps {_with_interval(row['mean_retention'])} of its models' own "
        f"accuracy; least in {worst}, {_with_interval(kept[worst])}."
    )


def plain_sentence(found: SideBySide) -> str:
    """The best plain merge and its gap to the merge; empty if none has a retention."""
    kept = {key: found.mean_retention(key) for key in (ARITHMETIC, LINEAR)}
    known = {key: one for key, one in kept.items() if one is not None}
    if not known:
        return ""
    best = max(known, key=lambda key: known[key].value)
    label = found.entrant(best).label
    said = f"{label[:1].upper()}{label[1:]}, the best plain merge, keeps {_interval(known[best])}"
    gap = found.comparison(best, RECIPE)
    if gap is None:
        return f"{said}."
    more, low, high = (100 * one for one in (gap.difference.value, *gap.difference.ends))
    sign, word = (1, "more") if more >= 0 else (-1, "fewer")
    ends = " to ".join(
        f"{one:.1f}".replace("-", "\u2212") for one in sorted((sign * low, sign * high))
    )
    chance = "" if gap.significant else ", which may be chance"
    than = f"{abs(more):.1f} {word} right than this merge ({ends}){chance}"
    return f"{said}: of 100 questions, {than}."


def verdict_sentence(found: SideBySide) -> str:
    """What the merge and task arithmetic keep, for the line over the plots; empty if unknown."""
    kept, plain = found.mean_retention(RECIPE), found.mean_retention(ARITHMETIC)
    if kept is None or plain is None:
        return ""
    asked = sum(len(each) for each in found.items.values())
    said = f"Scored on {asked:,} questions: keeps {_interval(kept)} of its models' own accuracy"
    return f"{said}; task arithmetic {_interval(plain)}."


def _interval(one: Interval) -> str:
    return _with_interval(interval_json(one) or {})


def _with_interval(one: Mapping[str, Any]) -> str:
    low, high = one["ci95"]
    return f"{_percent(one['value'])} ({100 * low:.0f}–{100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
