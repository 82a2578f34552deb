"""A side-by-side evaluation as plain values, and a comparison as a sentence."""

from __future__ import annotations

from typing import Any

from dppa_core.errors import many
from dppa_core.evaluation.scores import Evaluation
from dppa_core.evaluation.side_by_side import AGAINST, RECIPE, Comparison, Entrant, SideBySide
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.intervals import Interval


def as_json(found: SideBySide) -> dict[str, Any]:
    """A JSON-ready copy: shares as fractions, losses in nats per token, None if unknown."""
    return {
        "split": found.split,
        "items": {domain: len(asked) for domain, asked in found.items.items()},
        "rows": [_row(found, one) for one in found.entrants],
        "comparison": comparisons(found),
    }


def _row(found: SideBySide, who: Entrant) -> dict[str, Any]:
    merge = isinstance(who.target, MergeRecipe)
    scores = {domain: found.score(who.key, domain) for domain in found.items}
    whole = Evaluation(who.key, found.split, {d: s for d, s in scores.items() if s is not None})
    complete = len(whole.domains) == len(scores)
    return {
        "key": who.key,
        "label": who.label,
        "recipe": recipe_hash(who.target) if isinstance(who.target, MergeRecipe) else "",
        "domains": {domain: _cell(found, who, domain) for domain in found.items},
        "mean": whole.mean if complete else None,
        "mean_ci95": list(whole.ci95) if complete else None,
        "mean_retention": interval_json(found.mean_retention(who.key) if merge else None),
    }


def _cell(found: SideBySide, who: Entrant, domain: str) -> dict[str, Any] | None:
    score, loss = found.score(who.key, domain), found.loss(who.key, domain)
    if score is None or loss is None:
        return None
    merge = isinstance(who.target, MergeRecipe)
    return {
        **score.to_json(),
        "loss": loss.value,
        "loss_ci95": list(loss.ends),
        "retention": interval_json(found.retention(who.key, domain) if merge else None),
        "forgetting": interval_json(found.forgetting(who.key, domain)),
    }


def interval_json(one: Interval | None) -> dict[str, Any] | None:
    """A value with its 95 % interval; None stays None."""
    return None if one is None else {"value": one.value, "ci95": list(one.ends)}


def comparisons(found: SideBySide) -> dict[str, Any] | None:
    """The recipe against the other recipe, overall and per domain; None without another."""
    if not any(one.key == AGAINST for one in found.entrants):
        return None
    whole = found.comparison(RECIPE, AGAINST)
    if whole is None:
        return None
    each = {domain: found.comparison(RECIPE, AGAINST, domain) for domain in found.items}
    return {
        **_comparison(whole),
        "domains": {domain: _comparison(one) for domain, one in each.items() if one is not None},
        "sentence": sentence(whole, found.entrant(RECIPE).label, found.entrant(AGAINST).label),
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    rest = ("p", "differs", "n", "seen", "visible")
    gap = {"difference": one.difference.value, "ci95": list(one.difference.ends)}
    return gap | {name: getattr(one, name) for name in rest}


def sentence(one: Comparison, name: str, other: str) -> str:
    """A paired comparison in one or two sentences."""
    gap = one.difference
    figures = (
        f"{100 * gap.value:+.1f} points (95 % interval {100 * gap.low:+.1f} to "
        f"{100 * gap.high:+.1f}), "
        f"{one.differs} of {one.n} items answered right by only one of them, p = {one.p:.2g}"
    )
    if one.seen:
        better, worse = (name, other) if gap.value > 0 else (other, name)
        return f"{better} is better than {worse}: {figures}."
    return (
        f"No difference seen between {name} and {other}: {figures}. With {many(one.n, 'item')} a "
        f"difference is seen from about {100 * one.visible:.1f} points on."
    )
