"""What was found beside what one had before: the recipe given, and plain task arithmetic.

Knows recipes and a way to ask; not how the recipe was found. Both stand on the same test items, so
that they are compared item by item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.evaluation.report import interval_json, sentence
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.side_by_side import ARITHMETIC, Comparison, compared, entrants
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.intervals import Interval, ratio
from dppa_core.tuning.search.trial import TEST, Ask
from dppa_core.tuning.search.verdict import DomainVerdict

FOUND, GIVEN, PLAIN = "what was found", "the recipe given", "task arithmetic"


@dataclass(frozen=True, slots=True)
class Rival:
    """A merge of the same models that was not searched for."""

    name: str
    scores: Mapping[str, DomainScore]
    """By domain."""
    retention: Interval | None
    """Geometric mean over the domains; None where a domain model itself answers nothing."""
    comparison: Comparison
    """Of what was found with it; above 0 what was found is better."""

    def told(self) -> str:
        """What the comparison says."""
        text = sentence(self.comparison, FOUND, self.name)
        return text[0].upper() + text[1:]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        gap = self.comparison
        return {
            "name": self.name,
            "domains": {domain: one.to_json() for domain, one in self.scores.items()},
            "retention": interval_json(self.retention),
            "comparison": {**asdict(gap), "seen": gap.seen},
            "sentence": self.told(),
        }


def rivals(
    found: MergeRecipe,
    given: MergeRecipe,
    verdict: Sequence[DomainVerdict],
    ask: Ask,
    *,
    limit: int | None = None,
    watch: Callable[[str], None] | None = None,
) -> tuple[Rival, ...]:
    """The recipe given, and whole deltas added up with coefficient 1, on the test items.

    Args:
        verdict: Of what was found; those that are the very same merge do not stand beside it.
        limit: Test items a domain, as for the verdict.
        watch: Told what is asked now.
    """
    ones = tuple(replace(one, coefficient=1.0) for one in given.models)
    added = (one for one in entrants(replace(given, models=ones)) if one.key == ARITHMETIC)
    named = [(GIVEN, given), *((PLAIN, one.target) for one in added)]
    seen, beside = {recipe_hash(found)}, list[Rival]()
    for name, target in named:
        if not isinstance(target, MergeRecipe) or recipe_hash(target) in seen:
            continue
        seen.add(recipe_hash(target))
        scores = {}
        for one in verdict:
            if watch:
                watch(f"{name} about {one.domain}, test")
            scores[one.domain] = ask(Exam(target, one.domain, TEST, limit))
        beside.append(_rival(name, scores, verdict))
    return tuple(beside)


def _rival(name: str, scores: Mapping[str, DomainScore], verdict: Sequence[DomainVerdict]) -> Rival:
    pairs = {one.domain: (one.merged.hits, scores[one.domain].hits) for one in verdict}
    kept = {one.domain: (scores[one.domain].hits, one.own.hits) for one in verdict}
    return Rival(name, scores, ratio(kept), compared(pairs))


def mean_retention(verdict: Sequence[DomainVerdict]) -> Interval | None:
    """What the merge keeps: geometric mean over the domains; None where one has nothing to keep."""
    return ratio({one.domain: (one.merged.hits, one.own.hits) for one in verdict})
