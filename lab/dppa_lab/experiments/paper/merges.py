"""Experiment 3: several domain models in one, by DPPA, DARE, TIES and task arithmetic.

Each is made with one common coefficient, chosen on search items, and with AdaMerging's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dppa_core.charts.report import Findings
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.tables import listed
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_lab.experiments.exams import (
    BANDS,
    CHOSEN,
    COEFFICIENTS,
    best_coefficient,
    exam,
    factors_at,
    own_marks,
)
from dppa_lab.experiments.paper.merge_marks import (
    STEPS,
    Merge,
    MergesMeasured,
    merges_plot,
    merges_table,
)
from dppa_lab.experiments.questions import TuningQuestion
from dppa_lab.experiments.score_table import Draws
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, Treatment, merged
from dppa_lab.experiments.steps import Declared, Steps, all_asked, together

RATES = (0.8, 0.9)
DRAWS = 3
EVERY, LR, BATCH, PROMPTS = 10, 0.02, 8, 100
"""Settings of AdaMerging, beside its `STEPS`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One merge of the experiment."""

    subjects: tuple[Subject, ...]
    method: str
    rate: float
    """0: nothing is pruned."""
    factors: tuple[tuple[float, ...], ...] = ()
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
    factors = yield from factors_at(setting, group, RATES)
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


def _plans(
    group: tuple[Subject, ...], factors: dict[tuple[float, str], tuple[float, ...]]
) -> list[Plan]:
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
    question = TuningQuestion(
        plan.recipe(setting, coefficient), domains, _settings(setting, coefficient)
    )
    answers = yield [question]
    tuned = answers[question]
    marks = yield from all_asked(
        {(domain, 0): exam(setting, tuned.recipe, domain) for domain in domains}
    )
    step = f"AdaMerging, step {tuned.step} of {tuned.steps}"
    step += ", a collapse was seen" if tuned.collapsed else ""
    return Merge(plan.method, plan.rate, True, step, tuned.recipe, _by_domain(domains, marks))


def _settings(setting: Setting, coefficient: float) -> AdaMergeSettings:
    return AdaMergeSettings(
        per="layer",
        start=coefficient,
        lr=LR,
        steps=STEPS,
        every=EVERY,
        batch=BATCH,
        prompts=PROMPTS,
        held_out=setting.search,
    )


def _refusal(plan: Plan) -> str:
    """Why AdaMerging cannot tune a merge; empty if it can."""
    if any(subject.domain.startswith(HARNESS) for subject in plan.subjects):
        return "AdaMerging: no unlabelled prompts are known for tasks of lm-evaluation-harness"
    return ""


_MEASURED = (
    "at 80 % and 90 % pruning (task arithmetic: whole deltas), {test} test items of each domain. "
    f"DPPA's factors are chosen for each model alone, {CHOSEN}. Without AdaMerging there is one "
    f"coefficient for all models, for TIES its scale: of {listed(list(map(str, COEFFICIENTS)))} "
    "the one that retains most of {search} search items a domain, of equals the one with the "
    "smaller loss; while it is the outermost, a fifth more or less is tried too. With AdaMerging "
    f"every layer and model has its own: from there {STEPS} steps of {LR:g} by the entropy of "
    f"{PROMPTS} unlabelled prompts a domain; of its checkpoints every {EVERY} steps, the start "
    f"included, the best on the search items. DARE is drawn {DRAWS} times, with AdaMerging once, "
    "which is compared with the same draw. TIES averages what agrees; with AdaMerging it adds it "
    "up, as AdaMerging++ does, from the best coefficient of that sum. Rows with AdaMerging are "
    "compared with DPPA with it, the others with DPPA without. "
    "TIES trims every tensor, as in its paper; DPPA and DARE keep the whole delta of embeddings "
    "and norms. Retention is the geometric mean over the domains; differences are of accuracies, "
    "each domain counting alike, so that the two may disagree. Other pages tell of the same merge "
    "with other items, factors or coefficients, so their figures differ."
)

PAIR = Declared(
    key="pair",
    number="3a",
    title="Two domains in one model",
    question="Is DPPA's merge of two domain models better than those of DARE, TIES and task "
    "arithmetic, and does AdaMerging make them better?",
    measured=f"The first two domain models merged {_MEASURED}",
    steps=lambda setting: steps(setting, setting.subjects[:2]),
    wants=lambda setting: (
        "" if len(setting.subjects) > 1 else "a merge needs at least two domain models"
    ),
)
MERGES = Declared(
    key="merges",
    number="3b",
    title="Three domains in one model",
    question="And with three domain models?",
    measured=f"All domain models merged {_MEASURED}",
    steps=lambda setting: steps(setting, setting.subjects),
    wants=lambda setting: "" if len(setting.subjects) > 2 else "there are no three domain models",
)
