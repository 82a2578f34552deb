"""A search's result on the test split, against the models, the paper's claim and other merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from typing import Any

from dppa_core.charts.tables import capital
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.side_by_side import ARITHMETIC, Comparison, compared, entrants
from dppa_core.evaluation.side_by_side_values import comparison_sentence, interval_json
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.intervals import Interval, ratio
from dppa_core.tuning.search.options import behaviour_of_exams
from dppa_core.tuning.search.scoring import (
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
DENSITY_TOLERANCE = 0.005
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
        interval = ratio({self.domain: (self.alone.hits, self.own.hits)})
        return (0.0, inf) if interval is None else interval.ends

    @property
    def claim(self) -> str:
        """The paper's claim by the interval: reached, open or not reached."""
        if self.density > CLAIM_DENSITY + DENSITY_TOLERANCE:
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
    objectives: Sequence[str] = (),
    watch: Callable[[str], None] | None = None,
) -> tuple[DomainVerdict, ...]:
    """Score a recipe on the test split, domain by domain.

    Args:
        domains: One per model.
        limit: Test items per domain; all if None.
        objectives: Of the search; lengths, loops and divergences are measured if among them.
        watch: Called with a description of each exam.
    """
    asked = behaviour_of_exams(objectives, recipe.base)
    judged, profiles = [], remembered_profiles()
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
        for name, target in targets.items():
            if watch:
                watch(f"{name} about {domain}, test")
            scores.append(ask(Exam(target, domain, TEST, limit, *asked)))
        base, model_score, alone, merged = (*scores, scores[-1])[:4]
        density = density_of(single, profiles)
        judged.append(DomainVerdict(domain, model.model, base, model_score, alone, merged, density))
    return tuple(judged)


def claim_sentence(verdict: Sequence[DomainVerdict]) -> str:
    """A sentence on the domains where the paper's claim is reached, open or not reached."""
    claim_text = (
        f"≥ {CLAIM_RETENTION:.0%} of the performance with {CLAIM_DENSITY:.0%} of the parameters"
    )
    dense = [
        f"{of_domain.domain} {of_domain.density:.0%}"
        for of_domain in verdict
        if of_domain.density > CLAIM_DENSITY + DENSITY_TOLERANCE
    ]
    if dense:
        kept = ", ".join(dense)
        return f"The paper's claim ({claim_text}) is about fewer parameters than were kept: {kept}."
    parts = []
    for claim in ("reached", "open", "not reached"):
        kept = ", ".join(
            f"{of_domain.domain} {of_domain.retention:.1%} "
            f"({of_domain.ci95[0]:.1%} to {of_domain.ci95[1]:.1%})"
            for of_domain in verdict
            if of_domain.claim == claim
        )
        parts += [f"{claim} in {kept}"] if kept else []
    return f"The paper's claim ({claim_text}) is, by the intervals, {'; '.join(parts)}."


@dataclass(frozen=True, slots=True)
class BaselineMerge:
    """A merge of the same models without search, to compare with."""

    name: str
    scores: Mapping[str, DomainScore]
    """By domain."""
    retention: Interval | None
    """Geometric mean over the domains; None if a domain model itself answers nothing right."""
    comparison: Comparison
    """Of the searched recipe with this merge; above 0 the searched recipe is better."""

    def sentence(self) -> str:
        """The comparison as a sentence."""
        return capital(comparison_sentence(self.comparison, "what was found", self.name))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        gap = self.comparison
        return {
            "name": self.name,
            "domains": {domain: score.to_json() for domain, score in self.scores.items()},
            "retention": interval_json(self.retention),
            "comparison": {**asdict(gap), "seen": gap.significant},
            "sentence": self.sentence(),
        }


def rivals(
    searched: MergeRecipe,
    original: MergeRecipe,
    verdict: Sequence[DomainVerdict],
    ask: Ask,
    *,
    limit: int | None = None,
    watch: Callable[[str], None] | None = None,
) -> tuple[BaselineMerge, ...]:
    """Score the original recipe, and whole deltas added with coefficient 1, on the test items.

    Args:
        verdict: Scores of the searched recipe; merges equal to it are left out.
        limit: Test items per domain, as for the verdict.
        watch: Called with a description of each exam.
    """
    models = tuple(replace(model, coefficient=1.0) for model in original.models)
    every = entrants(replace(original, models=models))
    added = [entrant.target for entrant in every if entrant.key == ARITHMETIC]
    baselines, hashes = list[BaselineMerge](), {recipe_hash(searched)}
    for name, target in [("the recipe given", original), *((UNSEARCHED, t) for t in added)]:
        if not isinstance(target, MergeRecipe) or recipe_hash(target) in hashes:
            continue
        hashes.add(recipe_hash(target))
        scores = {}
        for domain in (of_domain.domain for of_domain in verdict):
            if watch:
                watch(f"{name} about {domain}, test")
            scores[domain] = ask(Exam(target, domain, TEST, limit))
        baselines.append(_baseline(name, scores, verdict))
    return tuple(baselines)


def _baseline(
    name: str, scores: Mapping[str, DomainScore], verdict: Sequence[DomainVerdict]
) -> BaselineMerge:
    judged = _by_domain(verdict)
    pairs = {domain: (best.merged.hits, scores[domain].hits) for domain, best in judged.items()}
    kept = {domain: (scores[domain].hits, best.own.hits) for domain, best in judged.items()}
    return BaselineMerge(name, scores, ratio(kept), compared(pairs))


def mean_retention(verdict: Sequence[DomainVerdict]) -> Interval | None:
    """Geometric mean retention of the merge; None if a domain model answers nothing right."""
    judged = _by_domain(verdict)
    return ratio({domain: (best.merged.hits, best.own.hits) for domain, best in judged.items()})


def _by_domain(verdict: Sequence[DomainVerdict]) -> dict[str, DomainVerdict]:
    pairs = ((of_domain.domain, of_domain) for of_domain in verdict)
    return by_domain(pairs, lambda of_domain: of_domain.own)
