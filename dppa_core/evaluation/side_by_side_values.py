"""A side-by-side evaluation as plain values, and a comparison as a sentence."""

from __future__ import annotations

from typing import Any

from dppa_core.errors import many
from dppa_core.evaluation.scores import Evaluation
from dppa_core.evaluation.side_by_side import AGAINST, RECIPE, Comparison, Entrant, SideBySide
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.intervals import Interval


def side_by_side_json(side: SideBySide) -> dict[str, Any]:
    """A JSON-ready copy: shares as fractions, losses in nats per token, None if unknown."""
    return {
        "split": side.split,
        "items": {domain: len(items) for domain, items in side.items.items()},
        "rows": [_row(side, entrant) for entrant in side.entrants],
        "comparison": _comparison_json(side),
    }


def _row(side: SideBySide, entrant: Entrant) -> dict[str, Any]:
    key, recipe = entrant.key, entrant.target
    scores = {domain: side.score(key, domain) for domain in side.items}
    whole = Evaluation(key, side.split, {d: s for d, s in scores.items() if s is not None})
    complete = len(whole.domains) == len(scores)
    merge = isinstance(recipe, MergeRecipe)
    return {
        "key": key,
        "label": entrant.label,
        "recipe": recipe_hash(recipe) if isinstance(recipe, MergeRecipe) else "",
        "domains": {domain: _cell(side, key, domain, merge=merge) for domain in side.items},
        "mean": whole.mean if complete else None,
        "mean_ci95": list(whole.ci95) if complete else None,
        "mean_retention": interval_json(side.mean_retention(key) if merge else None),
    }


def _cell(side: SideBySide, key: str, domain: str, *, merge: bool) -> dict[str, Any] | None:
    score, loss = side.score(key, domain), side.loss(key, domain)
    if score is None or loss is None:
        return None
    return {
        **score.to_json(),
        "loss": loss.value,
        "loss_ci95": list(loss.ends),
        "retention": interval_json(side.retention(key, domain) if merge else None),
        "forgetting": interval_json(side.forgetting(key, domain)),
    }


def interval_json(interval: Interval | None) -> dict[str, Any] | None:
    """A value with its 95 % interval; None stays None."""
    return None if interval is None else interval.to_json()


def _comparison_json(side: SideBySide) -> dict[str, Any] | None:
    """The recipe against the other recipe, overall and per domain; None without another."""
    labels = {entrant.key: entrant.label for entrant in side.entrants}
    whole = side.comparison(RECIPE, AGAINST) if AGAINST in labels else None
    if whole is None:
        return None
    by_domain = {domain: side.comparison(RECIPE, AGAINST, domain) for domain in side.items}
    return {
        **_comparison_values(whole),
        "domains": {d: _comparison_values(c) for d, c in by_domain.items() if c is not None},
        "sentence": comparison_sentence(whole, labels[RECIPE], labels[AGAINST]),
    }


def _comparison_values(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    return {
        "difference": difference.value,
        "ci95": list(difference.ends),
        "p": comparison.p,
        "differs": comparison.differs,
        "n": comparison.n,
        "seen": comparison.significant,
        "visible": comparison.visible,
    }


def comparison_sentence(comparison: Comparison, first: str, second: str) -> str:
    """A paired comparison of two named entrants in one or two sentences."""
    difference, n = comparison.difference, comparison.n
    figures = (
        f"{100 * difference.value:+.1f} points (95 % interval {100 * difference.low:+.1f} to "
        f"{100 * difference.high:+.1f}), "
        f"{comparison.differs} of {n} items answered right by only one of them, "
        f"p = {comparison.p:.2g}"
    )
    if comparison.significant:
        better, worse = (first, second) if difference.value > 0 else (second, first)
        return f"{better} is better than {worse}: {figures}."
    return (
        f"No difference seen between {first} and {second}: {figures}. With {many(n, 'item')} a "
        f"difference is seen from about {100 * comparison.visible:.1f} points on."
    )
