"""Measures the facts for advice: profiles, the DARE probe, and a recipe's neighbouring factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dppa_core.charts.tables import factors_text
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam, Target
from dppa_core.profiling.profile import cached_profile
from dppa_core.progress import Progress, Stop, report
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.delta_size import relative_size
from dppa_core.pruning.density import significance
from dppa_core.pruning.plan import kept_energy
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks.intervals import Hits, Interval, ratio, sign_test
from dppa_core.tuning.advice.facts import (
    FORECAST_RATES,
    PROBE_DRAWS,
    PROBE_RATE,
    SMALL_RANGE,
    DomainModelFacts,
    Neighbour,
    ProbeFacts,
    ProfileFacts,
    TreatedFacts,
)
from dppa_core.tuning.advice.kept_rule import foretold
from dppa_core.tuning.search.axes import factor_bounds
from dppa_core.tuning.search.climb import FACTOR_STEP, LARGEST_FACTOR
from dppa_core.tuning.search.scoring import SEARCH, SEARCH_ITEMS, domains_for, single_recipe


def gather(
    recipe: MergeRecipe,
    examiner: Examiner,
    *,
    tasks: Sequence[str] | None = None,
    limit: int | None = SEARCH_ITEMS,
    neighbours: bool = True,
    workers: int | None = None,
    public: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[DomainModelFacts, ...]:
    """Profile every model of a recipe, and probe those whose domain is known.

    Args:
        recipe: If it prunes by DPPA, its factors are tested too.
        examiner: Holds exams on the search split, so that the test split stays unseen.
        tasks: One domain per model; by default those of the embedded models.
        limit: Search items per domain; all if None.
        neighbours: Whether to test factors one step away: two merges per partition and model.

    Raises:
        UnknownName: no such domain.
        InvalidValue: not one domain per model.
        DppaError: models without a delta, see `cached_profile`.
    """
    domains: Sequence[str | None]
    if tasks is None:
        domains = [zoo_domain(model.model) for model in recipe.models]
    else:
        domains = domains_for(recipe, tasks)
    profiles = [
        cached_profile(
            recipe.base, model.model, public=public, workers=workers, progress=progress, stop=stop
        )
        for model in recipe.models
    ]
    total = _count(recipe, domains, neighbours)
    gathering = _Gathering(recipe, examiner, limit, neighbours, progress, stop, total)
    return tuple(
        gathering.facts(model, profile, domain)
        for model, profile, domain in zip(recipe.models, profiles, domains, strict=True)
    )


def prunes_by_dppa(recipe: MergeRecipe) -> bool:
    """Return True if a recipe prunes by DPPA, the method of the paper's failure signs."""
    return (recipe.prune.method if recipe.prune else recipe.method) == "dppa"


def _count(recipe: MergeRecipe, domains: Sequence[str | None], neighbours: bool) -> int:
    """Largest number of exams."""
    total = 0
    for model, domain in zip(recipe.models, domains, strict=True):
        near = len(neighbours_of(model.amplification)) if neighbours else 0
        treated = 2 + near if prunes_by_dppa(recipe) else 0
        total += 0 if domain is None else 3 + PROBE_DRAWS + treated
    return total


def profile_facts(profile: DeltaProfile) -> ProfileFacts:
    """The figures of a profile, over all modules; raises InvalidValue if there is none to prune."""
    modules = profile.modules
    if not modules:
        raise InvalidValue(
            f"{profile.finetuned} has no module to prune: no matrix inside a transformer block. An "
            "architecture without numbered layers is the usual cause."
        )
    numel = sum(module.numel for module in modules)
    shares = significance(profile, PruningParameters()).module
    return ProfileFacts(
        relative_change=relative_size(profile.modules),
        mean_magnitude=sum(module.total for module in modules) / numel,
        outside=sum(module.count_above(SMALL_RANGE) for module in modules) / numel,
        zeros=1 - sum(module.nonzero for module in modules) / numel,
        significance=(float(shares.min()), float(np.mean(shares)), float(shares.max())),
        foretold=tuple(
            (rate, kept) for rate in FORECAST_RATES if (kept := kept_at(profile, rate)) is not None
        ),
    )


def kept_at(profile: DeltaProfile, rate: float) -> float | None:
    """The retention that the survey's rule foretells, pruned by magnitude; None: see `foretold`."""
    return foretold(rate, kept_energy(profile, rate), relative_size(profile.modules))


def neighbours_of(factors: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Settings with one factor a step of the climb (0.1) lower or higher, within the range."""
    moved = [
        (*factors[:band], round(factor + step, 10), *factors[band + 1 :])
        for band, factor in enumerate(factors)
        for step in (-FACTOR_STEP, FACTOR_STEP)
    ]
    largest = max(LARGEST_FACTOR, *factors)
    return tuple(setting for setting in moved if min(setting) >= 0 and max(setting) <= largest)


@dataclass(slots=True)
class _Gathering:
    recipe: MergeRecipe
    examiner: Examiner
    limit: int | None
    neighbours: bool
    progress: Progress | None
    stop: Stop | None
    total: int
    exams: int = 0
    """Number of exams held so far."""

    def facts(
        self, model: DomainModel, profile: DeltaProfile, domain: str | None
    ) -> DomainModelFacts:
        figures = profile_facts(profile)
        plain = self._factors(model, profile) if prunes_by_dppa(self.recipe) else None
        if domain is None:
            return DomainModelFacts(model.model, figures, None, plain)
        model_hits = self._hits(model.model, domain, model.model)
        probe = self._probe(model, domain, model_hits)
        treated = self._treated(model, domain, model_hits, plain) if plain else None
        return DomainModelFacts(model.model, figures, probe, treated)

    def _hits(self, target: Target, domain: str, name: str) -> Hits:
        report(self.progress, self.exams, self.total, f"{name}, {domain}")
        self.exams += 1
        exam = Exam(target, domain, SEARCH, self.limit)
        return self.examiner.marks(exam, stop=self.stop).hits

    def _probe(self, model: DomainModel, domain: str, model_hits: Hits) -> ProbeFacts:
        def kept(merge: MergeRecipe, name: str) -> Interval | None:
            hits = self._hits(merge, domain, f"{name} of {model.model}")
            return ratio({domain: (hits, model_hits)})

        base_hits = self._hits(self.recipe.base, domain, self.recipe.base)
        scores = domain, len(model_hits), _share(base_hits), _share(model_hits)
        if not any(model_hits):
            return ProbeFacts(*scores, ())
        seeds = range(PROBE_DRAWS)
        drawn = [kept(probe_recipe(self.recipe, model, "dare", seed), "DARE") for seed in seeds]
        return ProbeFacts(
            *scores,
            tuple(interval for interval in drawn if interval is not None),
            magnitude=kept(probe_recipe(self.recipe, model, "magnitude"), "magnitude"),
        )

    def _treated(
        self, model: DomainModel, domain: str, model_hits: Hits, facts: TreatedFacts
    ) -> TreatedFacts:
        if not any(model_hits):
            return facts
        single = single_recipe(self.recipe, model)
        alone = self._hits(single, domain, f"{model.model} alone")
        # A recipe of one model with coefficient 1 is the same merge.
        merged = alone if single == self.recipe else self._hits(self.recipe, domain, "the merge")
        near = None
        if self.neighbours:
            near = tuple(
                self._neighbour(model, factors, domain, model_hits, alone)
                for factors in neighbours_of(facts.factors)
            )
        kept = (ratio({domain: (hits, model_hits)}) for hits in (alone, merged))
        return replace(facts, alone=next(kept), merged=next(kept), neighbours=near)

    def _factors(self, model: DomainModel, profile: DeltaProfile) -> TreatedFacts:
        rate, bound = model.levels[-1], factor_bounds(self.recipe)[1]
        return TreatedFacts(rate, model.amplification, foretold=kept_at(profile, rate), bound=bound)

    def _neighbour(
        self,
        model: DomainModel,
        factors: tuple[float, ...],
        domain: str,
        model_hits: Hits,
        alone: Hits,
    ) -> Neighbour:
        merge = single_recipe(self.recipe, replace(model, amplification=factors))
        hits = self._hits(merge, domain, f"{model.model} at {factors_text(factors)}")
        return Neighbour(factors, sum(hits) / sum(model_hits), sign_test({domain: (hits, alone)}))


def probe_recipe(
    recipe: MergeRecipe, model: DomainModel, method: str, seed: int = 0
) -> MergeRecipe:
    """A method at 90 % on one model's modules; other tensors keep their delta, unlike in DARE's
    paper."""
    return replace(
        single_recipe(recipe, model),
        models=(DomainModel(model.model, (PROBE_RATE,)),),
        method=method,
        parameters={"other_tensors": "keep"},
        overrides={},
        calibration=None,
        seed=seed,
    )


def _share(hits: Hits) -> float:
    return sum(hits) / len(hits)
