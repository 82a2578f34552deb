"""A search's result on the test split, against the models, the paper's claim and other merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from typing import Any

from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.side_by_side import ARITHMETIC, Comparison, compared, entrants
from dppa_core.evaluation.side_by_side_values import comparison_sentence, interval_json
from dppa_core.evaluation.tables import capital
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.intervals import Interval, ratio
from dppa_core.tuning.search.trial import (
    TEST,
    Ask,
    by_domain,
    density_of,
    remembered_profiles,
    single_recipe,
)

CLAIM_RETENTION, CLAIM_DENSITY = 0.9, 0.2
"""The paper's headline: at least 90 % of the performance with 20 % of the parameters."""
UNSEARCHED = "task arithmetic at coefficient 1, not searched"
ROUNDING = 0.005
"""A density this far above the claim's still counts as the claim's."""


@dataclass(frozen=True, slots=True)
class DomainVerdict:
    """One domain, on its test items. Accuracies, retentions and densities are fractions."""

    domain: str
    model: str
    base: DomainScore
    own: DomainScore
    alone: DomainScore
    """Score of the model's treated delta alone on the base: the subject of the paper's claim."""
    merged: DomainScore
    """Score of the whole recipe; equal to `alone` if it has one model."""
    density: float
    """Kept share of the delta of the model's modules."""

    @property
    def retention(self) -> float:
        """Retention of the model alone; 0 if the domain model itself answers nothing right."""
        return self.alone.accuracy / self.own.accuracy if self.own.accuracy else 0.0

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of the retention; (0, inf) if the domain model answers nothing right."""
        found = ratio({self.domain: (self.alone.hits, self.own.hits)})
        return (0.0, inf) if found is None else found.ends

    @property
    def claim(self) -> str:
        """Whether the interval supports the paper's claim: reached, open or not reached."""
        if self.density > CLAIM_DENSITY + ROUNDING:
            return "not reached"
        low, high = self.ci95
        if low >= CLAIM_RETENTION:
            return "reached"
        return "open" if high >= CLAIM_RETENTION else "not reached"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        retained = self.merged.accuracy / self.own.accuracy if self.own.accuracy else None
        return {
            "domain": self.domain,
            "model": self.model,
            **{name: getattr(self, name).to_json() for name in ("base", "own", "alone", "merged")},
            "density": self.density,
            "retention": self.retention,
            "retention_ci95": [end if isfinite(end) else None for end in self.ci95],
            "merged_retention": retained,
            "claim": self.claim,
        }


def verdicts(
    recipe: MergeRecipe,
    domains: Sequence[str],
    ask: Ask,
    *,
    limit: int | None = None,
    watch: Callable[[str], None] | None = None,
) -> tuple[DomainVerdict, ...]:
    """Score a recipe on the test split, domain by domain.

    Args:
        domains: One per model.
        limit: Test items per domain; all if None.
        watch: Called with a description of each exam.
    """
    found, profiles = [], remembered_profiles()
    for model, domain in zip(recipe.models, domains, strict=True):
        single = single_recipe(recipe, model)
        targets: dict[str, str | MergeRecipe] = {
            "the base": recipe.base,
            model.model: model.model,
            f"{model.model} alone": single,
        }
        if single != recipe:
            targets["the merge"] = recipe
        scores = []
        for who, target in targets.items():
            if watch:
                watch(f"{who} about {domain}, test")
            scores.append(ask(Exam(target, domain, TEST, limit)))
        base, own, treated, merged = (*scores, scores[-1])[:4]
        kept = density_of(single, profiles)
        found.append(DomainVerdict(domain, model.model, base, own, treated, merged, kept))
    return tuple(found)


def claim_sentence(found: Sequence[DomainVerdict]) -> str:
    """A sentence on the domains where the paper's claim is reached, open or not reached."""
    claim_text = (
        f"≥ {CLAIM_RETENTION:.0%} of the performance with {CLAIM_DENSITY:.0%} of the parameters"
    )
    dense = [one for one in found if one.density > CLAIM_DENSITY + ROUNDING]
    if dense:
        kept = ", ".join(f"{one.domain} {one.density:.0%}" for one in dense)
        return f"The paper's claim ({claim_text}) is about fewer parameters than were kept: {kept}."
    told = []
    for claim in ("reached", "open", "not reached"):
        those = [one for one in found if one.claim == claim]
        kept = ", ".join(
            f"{one.domain} {one.retention:.1%} ({one.ci95[0]:.1%} to {one.ci95[1]:.1%})"
            for one in those
        )
        told += [f"{claim} in {kept}"] if those else []
    return f"The paper's claim ({claim_text}) is, by the intervals, {'; '.join(told)}."


@dataclass(frozen=True, slots=True)
class BaselineMerge:
    """A merge of the same models without search, to compare with."""

    name: str
    scores: Mapping[str, DomainScore]
    """By domain."""
    retention: Interval | None
    """Geometric mean over the domains; None if a domain model itself answers nothing right."""
    comparison: Comparison
    """The found recipe against this merge; above 0 the found recipe is better."""

    def told(self) -> str:
        """The comparison as a sentence."""
        return capital(comparison_sentence(self.comparison, "what was found", self.name))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        gap = self.comparison
        return {
            "name": self.name,
            "domains": {domain: one.to_json() for domain, one in self.scores.items()},
            "retention": interval_json(self.retention),
            "comparison": {**asdict(gap), "seen": gap.significant},
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
) -> tuple[BaselineMerge, ...]:
    """Score the given recipe, and whole deltas added with coefficient 1, on the test items.

    Args:
        verdict: Scores of the found recipe; merges equal to it are left out.
        limit: Test items per domain, as for the verdict.
        watch: Called with a description of each exam.
    """
    ones = tuple(replace(one, coefficient=1.0) for one in given.models)
    added = (one for one in entrants(replace(given, models=ones)) if one.key == ARITHMETIC)
    named = [("the recipe given", given), *((UNSEARCHED, one.target) for one in added)]
    seen, beside = {recipe_hash(found)}, list[BaselineMerge]()
    for name, target in named:
        if not isinstance(target, MergeRecipe) or recipe_hash(target) in seen:
            continue
        seen.add(recipe_hash(target))
        scores = {}
        for one in verdict:
            if watch:
                watch(f"{name} about {one.domain}, test")
            scores[one.domain] = ask(Exam(target, one.domain, TEST, limit))
        beside.append(_baseline(name, scores, verdict))
    return tuple(beside)


def _baseline(
    name: str, scores: Mapping[str, DomainScore], verdict: Sequence[DomainVerdict]
) -> BaselineMerge:
    each = _by_domain(verdict)
    pairs = {domain: (one.merged.hits, scores[domain].hits) for domain, one in each.items()}
    kept = {domain: (scores[domain].hits, one.own.hits) for domain, one in each.items()}
    return BaselineMerge(name, scores, ratio(kept), compared(pairs))


def mean_retention(verdict: Sequence[DomainVerdict]) -> Interval | None:
    """Geometric mean retention of the merge; None if a domain model answers nothing right."""
    found = _by_domain(verdict)
    return ratio({domain: (one.merged.hits, one.own.hits) for domain, one in found.items()})


def _by_domain(verdict: Sequence[DomainVerdict]) -> dict[str, DomainVerdict]:
    return by_domain(((one.domain, one) for one in verdict), lambda one: one.own)
