"""The models of a score, and its values as JSON for the browser. Pure; no Gradio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.charts.tables import capital
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
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks.intervals import Interval

from ...session.session import Session
from ...session.state import other_session, slot_names
from ...work.figures import short_name

MIN_SECONDS = 2.0
"""Of answering, before the remaining time is estimated."""


@dataclass(frozen=True, slots=True)
class ScoreProgress:
    """Progress and speed of an exam."""

    activity: str
    """waiting, merging, or scoring, which begins once the merge is there or was scored before."""
    step: str = ""
    """The current model and step, in a few words."""
    answered: int = 0
    """Questions with a known answer: asked now, or scored earlier."""
    left: int = 0
    """Questions still to be asked."""
    timed: int = 0
    """Questions asked by this exam."""
    seconds: float = 0.0
    """Seconds for those questions, without making and loading models."""

    def now(self, activity: str, step: str) -> ScoreProgress:
        """The same progress with another activity."""
        return replace(self, activity=activity, step=step)

    def after(self, count: int, seconds: float) -> ScoreProgress:
        """The progress after `count` more questions in `seconds`."""
        return replace(
            self,
            answered=self.answered + count,
            left=self.left - count,
            timed=self.timed + count,
            seconds=self.seconds + seconds,
        )

    def seconds_left(self) -> float | None:
        """Remaining seconds at the pace so far; None if it is not known yet."""
        if self.timed == 0 or self.seconds < MIN_SECONDS:
            return None
        return self.left * self.seconds / self.timed


_ORDER = {RECIPE: 0, AGAINST: 1, ARITHMETIC: 2, LINEAR: 3, BASE: 5}
"""Key of an entrant -> its place in a table; domain models come at 4."""


def contestants(
    session: Session, slot: object, trained_for: Mapping[str, str] | None = None
) -> tuple[Entrant, ...]:
    """The merge, that of the `slot` that is not open, plain merges, domain models and the base,
    with their labels on the page; `trained_for` as of `entrants`."""
    against = other_session(slot, session)
    open_slot, closed_slot = slot_names(slot) if against else ("merged", "")
    labels, rows = {RECIPE: open_slot, AGAINST: closed_slot}, []
    for entrant in entrants(session.recipe(), against.recipe() if against else None, trained_for):
        model = model_of(entrant)
        label = short_name(model) if model else labels.get(entrant.key, entrant.label)
        rows.append(replace(entrant, label=label))
    return tuple(sorted(rows, key=lambda row: _ORDER.get(row.key, 4)))


def model_of(entrant: Entrant) -> str | None:
    """The reference of a model; None for a merge."""
    return entrant.target if isinstance(entrant.target, str) else None


def score_value(table: SideBySide, state: str, limit: int) -> dict[str, Any]:
    """The table of scores: a row per model, a column per domain, and the mean. The state is idle,
    running, done, stopped or failed; `limit` is the questions per domain."""
    rows = []
    for entrant in table.entrants:
        scores = [table.score(entrant.key, domain) for domain in table.items]
        cells = {"cells": list(map(_cell, scores)), "mean": _mean(scores)}
        rows.append({**_row_head(entrant), **cells})
    return {"state": state, "limit": limit, "domains": list(table.items), "rows": rows}


def _row_head(entrant: Entrant) -> dict[str, str]:
    """The name of a row (merged, other, a reference, a plain merge), its label, a slot's hash."""
    slot = {RECIPE: "merged", AGAINST: "other"}.get(entrant.key, "")
    name = slot or model_of(entrant) or entrant.key
    recipe = recipe_hash(entrant.target) if slot else ""  # type: ignore[arg-type]
    return {"target": name, "label": entrant.label, "recipe": recipe}


def _cell(score: DomainScore | None) -> dict[str, Any] | None:
    if score is None:
        return None
    low, high = score.ci95
    return {"accuracy": score.accuracy, "low": low, "high": high, "n": score.n}


def _mean(scores: Sequence[DomainScore | None]) -> float | None:
    accuracies = [score.accuracy for score in scores if score is not None]
    return sum(accuracies) / len(accuracies) if accuracies and None not in scores else None


def retention_sentence(row: Mapping[str, Any]) -> str:
    """A sentence on the merge's retention, from its complete row of `side_by_side_json`; empty if
    no domain has one. A domain whose own model scores 0 is left out."""
    cells = row["domains"]
    kept = {name: cell["retention"] for name, cell in cells.items() if cell["retention"]}
    if not kept or not row["mean_retention"]:
        return ""
    worst = min(kept, key=lambda name: float(kept[name]["value"]))
    return (
        f"Retention: this merge keeps {_with_interval(row['mean_retention'])} of its models' own "
        f"accuracy; least in {worst}, {_with_interval(kept[worst])}."
    )


def plain_sentence(table: SideBySide) -> str:
    """The best plain merge and its gap to the merge; empty if none has a retention."""
    kept = {
        key: retention
        for key in (ARITHMETIC, LINEAR)
        if (retention := table.mean_retention(key)) is not None
    }
    if not kept:
        return ""
    best = max(kept, key=lambda key: kept[key].value)
    label = capital(table.entrant(best).label)
    sentence = f"{label}, the best plain merge, keeps {_interval(kept[best])}"
    gap = table.comparison(best, RECIPE)
    if gap is None:
        return f"{sentence}."
    more, low, high = (100 * share for share in (gap.difference.value, *gap.difference.ends))
    sign, word = (1, "more") if more >= 0 else (-1, "fewer")
    ends = " to ".join(
        f"{points:.1f}".replace("-", "\u2212") for points in sorted((sign * low, sign * high))
    )
    chance = "" if gap.significant else ", which may be chance"
    difference = f"{abs(more):.1f} {word} right than this merge ({ends}){chance}"
    return f"{sentence}: of 100 questions, {difference}."


def verdict_sentence(table: SideBySide) -> str:
    """The retention of merge and task arithmetic, for the line over the plots; empty if unknown."""
    kept, plain = table.mean_retention(RECIPE), table.mean_retention(ARITHMETIC)
    if kept is None or plain is None:
        return ""
    count, share = sum(map(len, table.items.values())), _interval(kept)
    sentence = f"Scored on {count:,} questions: keeps {share} of its models' own accuracy"
    return f"{sentence}; task arithmetic {_interval(plain)}."


def _interval(share: Interval) -> str:
    return _with_interval(interval_json(share) or {})


def _with_interval(share: Mapping[str, Any]) -> str:
    low, high = share["ci95"]
    return f"{100 * share['value']:.0f}\u202f% ({100 * low:.0f}–{100 * high:.0f})"
