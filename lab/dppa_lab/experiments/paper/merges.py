"""Experiment 3: several domain models in one, by DPPA, DARE, TIES and task arithmetic.

Each is made with one common coefficient, chosen on search items, and with AdaMerging's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dppa_core.charts.report import Findings
from dppa_core.evaluation.scores import Marks
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_lab.experiments.exams import (
    BANDS,
    Factors,
    best_coefficient,
    chosen_factors,
    exam,
    own_marks,
)
from dppa_lab.experiments.kept_questions import TuningQuestion
from dppa_lab.experiments.paper.merge_marks import Merge, MergesMeasured, merges_plot, merges_table
from dppa_lab.experiments.score_table import Draws
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, Treatment, merged
from dppa_lab.experiments.steps import Steps, all_asked, declared, together

RATES = (0.8, 0.9)
DRAWS = 3
TUNING = AdaMergeSettings(per="layer", lr=0.02, steps=20, every=10, batch=8, prompts=100)
"""AdaMerging in few long steps, a minute, instead of the paper's 500 of 0.001, ten minutes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One merge of the experiment."""

    subjects: tuple[Subject, ...]
    method: str
    rate: float
    """0: nothing is pruned."""
    factors: tuple[Factors, ...] = ()
    """Factors of each model, chosen for it alone; only for DPPA."""
    summed: bool = False
    """For TIES: whether to sum agreeing deltas times their coefficients, not to average them."""

    @property
    def draws(self) -> int:
        """Number of seeds to test."""
        return DRAWS if self.method == "dare" else 1

    @property
    def tunable(self) -> Plan:
        """The plan for AdaMerging: TIES sums, as in AdaMerging++."""
        return replace(self, summed=True) if self.method == "ties" else self

    def recipe(self, setting: Setting, coefficient: float, seed: int = 0) -> MergeRecipe:
        """The recipe with a common coefficient, or scale: in TIES equal coefficients cancel."""
        if self.method == "ties":
            density = ("density", round(1 - self.rate, 9))
            how = ("divide", "nothing") if self.summed else ("scale", coefficient)
            treatment = Treatment("ties", 0.0, (density, how))
            factor = coefficient if self.summed else 1.0
            return merged(setting, self.subjects, treatment, coefficients=factor)
        treatment = Treatment(self.method, self.rate, seed=seed)
        levels = [even_levels(self.rate, BANDS)] * len(self.subjects) if self.factors else None
        return merged(
            setting,
            self.subjects,
            treatment,
            coefficients=coefficient,
            levels=levels,
            factors=self.factors or None,
        )


def steps(setting: Setting, group: tuple[Subject, ...]) -> Steps[Findings]:
    """Find factors and coefficients, run AdaMerging, then ask test items."""
    factors = yield from together(
        {
            (rate, subject.domain): chosen_factors(setting, subject, Treatment("dppa", rate))
            for rate in RATES
            for subject in group
        }
    )
    plans = _plans(group, factors)
    tunable = [plan.tunable for plan in plans if not _refusal(plan)]
    unpruned = yield from own_marks(setting, "search")
    best = yield from together(
        {
            plan: best_coefficient(
                setting,
                [subject.domain for subject in plan.subjects],
                partial(plan.recipe, setting),
                unpruned,
            )
            for plan in dict.fromkeys((*plans, *tunable))
        }
    )
    plain = yield from together({plan: _tested(setting, plan, best[plan]) for plan in plans})
    tuned = yield from together({plan: _tuned(setting, plan, best[plan]) for plan in tunable})
    every = yield from own_marks(setting)
    of_own = {subject.domain: every[subject.domain] for subject in group}
    missing = dict.fromkeys(why for plan in plans if (why := _refusal(plan)))
    measured = MergesMeasured(of_own, (*plain.values(), *tuned.values()))
    return Findings((merges_table(measured),), (merges_plot(measured),), missing=tuple(missing))


def _plans(group: tuple[Subject, ...], factors: dict[tuple[float, str], Factors]) -> list[Plan]:
    plans = []
    for rate in RATES:
        group_factors = tuple(factors[rate, subject.domain] for subject in group)
        plans.append(Plan(group, "dppa", rate, group_factors))
        plans += [Plan(group, method, rate) for method in ("dare", "ties")]
    return [*plans, Plan(group, "task_arithmetic", 0.0)]


def _tested(setting: Setting, plan: Plan, coefficient: float) -> Steps[Merge]:
    """Marks on test items with the chosen coefficient; several draws of random methods."""
    domains = [subject.domain for subject in plan.subjects]
    recipes = [plan.recipe(setting, coefficient, seed) for seed in range(plan.draws)]
    marks = yield from all_asked(
        {
            (domain, seed): exam(setting, recipe, domain)
            for seed, recipe in enumerate(recipes)
            for domain in domains
        }
    )
    drawn = _by_domain(domains, marks)
    return Merge(plan.method, plan.rate, False, f"{coefficient:g}", recipes[0], drawn)


def _by_domain(domains: Sequence[str], marks: dict[tuple[str, int], Marks]) -> dict[str, Draws]:
    return {
        domain: Draws(tuple(draw for (owner, _), draw in marks.items() if owner == domain))
        for domain in domains
    }


def _tuned(setting: Setting, plan: Plan, coefficient: float) -> Steps[Merge]:
    """Marks on test items with AdaMerging's coefficients; the first draw of random methods."""
    domains = tuple(subject.domain for subject in plan.subjects)
    settings = replace(TUNING, start=coefficient, held_out=setting.search)
    question = TuningQuestion(plan.recipe(setting, coefficient), domains, settings)
    answers = yield [question]
    tuned = answers[question]
    recipe = parse_recipe(tuned.recipe)
    marks = yield from all_asked({(d, 0): exam(setting, recipe, d) for d in domains})
    step = f"AdaMerging, step {tuned.step} of {tuned.steps}"
    step += ", a collapse was seen" if tuned.collapsed else ""
    return Merge(plan.method, plan.rate, True, step, recipe, _by_domain(domains, marks))


def _refusal(plan: Plan) -> str:
    """Why AdaMerging cannot tune a merge; empty if it can."""
    if any(subject.domain.startswith(HARNESS) for subject in plan.subjects):
        return "AdaMerging: no unlabelled prompts are known for tasks of lm-evaluation-harness"
    return ""


PAIR = declared(
    "pair",
    lambda setting: steps(setting, setting.subjects[:2]),
    lambda s: "" if len(s.subjects) > 1 else "a merge needs at least two domain models",
)
MERGES = declared(
    "merges",
    lambda setting: steps(setting, setting.subjects),
    lambda s: "" if len(s.subjects) > 2 else "there are no three domain models",
)
