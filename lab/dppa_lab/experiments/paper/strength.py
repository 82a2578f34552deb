"""Experiment 6d: DP's strength against the rate, and what predicts the best one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dppa_core.charts.plots import Axis, Heatmap
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Cell, Table, capital, percent
from dppa_core.evaluation.scores import Marks
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import significance
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.advice.gather_facts import profile_facts
from dppa_lab.experiments.exams import exam
from dppa_lab.experiments.paper.strength_rules import (
    PAPER,
    RULES,
    STRENGTHS,
    Choice,
    Facts,
    RatePoint,
    Scores,
    left_out,
    score_of,
)
from dppa_lab.experiments.score_table import accuracy, compared, loss, points, row, share, table
from dppa_lab.experiments.setting import Setting, Subject, Treatment, merged
from dppa_lab.experiments.steps import Steps, all_asked, declared

RATES = (0.8, 0.85, 0.9, 0.95)
ITEMS = 96
Models = Mapping[tuple[str, str], tuple[Setting, Subject]]
"""(size, domain) -> model; size is "" for the setting's own models."""


Answered = Mapping[tuple[RatePoint, float], Marks]
"""(place, strength) -> marks."""


@dataclass(frozen=True, slots=True)
class StrengthMeasures:
    """All measurements of experiment 6d."""

    scores: Scores
    """Scores on the search items."""
    facts: Mapping[RatePoint, Facts]
    spreads: Mapping[tuple[str, str], tuple[float, float]]
    """Size and domain -> ‖d‖/‖W‖, and the spread of the modules' significance."""
    choices: Mapping[str, Choice]
    """Every rule's strengths, each learned without its own domain."""
    best: str
    """The rule tested: the best on search items of those that do not always return 0."""
    tested: Answered
    """Marks on test items."""

    def best_by(self, place: RatePoint, figure: int) -> float:
        """The strength with the best accuracy (0) or loss (1); the smaller one of equals."""
        return max(STRENGTHS, key=lambda strength: self.scores[place][strength][figure])


def steps(setting: Setting) -> Steps[Findings]:
    """Map the strengths on search items, choose by every rule, check the best on test items."""
    models = {
        ("" if size_setting is setting else size_setting.title, subject.domain): (
            replace(size_setting, search=max(ITEMS, size_setting.search)),
            subject,
        )
        for size_setting in (setting, *setting.sizes)
        for subject in size_setting.subjects
    }
    places = [RatePoint(*key, rate) for key in models for rate in RATES]
    mapped = yield from _marks_of(models, itertools.product(places, STRENGTHS), "search")
    profiles = {
        key: cached_profile(size_setting.base, subject.model)
        for key, (size_setting, subject) in models.items()
    }
    facts = {place: _facts(profiles[place.size, place.domain], place.rate) for place in places}
    scores = {
        place: {
            strength: (share(mapped[place, strength]), -loss({"": mapped[place, strength]}))
            for strength in STRENGTHS
        }
        for place in places
    }
    choices = {name: left_out(rule, scores, facts) for name, rule in RULES.items()}
    # A rule that always returns 0 equals strength 0: check the best of the others.
    moving = {name: choice for name, choice in choices.items() if any(choice.values())} or choices
    best = max(moving, key=lambda name: score_of(scores, choices[name]))
    to_test = dict.fromkeys(
        (place, strength) for place in places for strength in (0.0, PAPER, choices[best][place])
    )
    tested = yield from _marks_of(models, to_test, "test")
    spreads = {key: _spread(profile) for key, profile in profiles.items()}
    measures = StrengthMeasures(scores, facts, spreads, choices, best, tested)
    tables = (_map(measures), _rules(measures), _tests(models, measures))
    return Findings(tables, _plots(measures))


def _marks_of(
    models: Models, places: Iterable[tuple[RatePoint, float]], split: str
) -> Steps[Answered]:
    questions = {}
    for place, strength in places:
        setting, subject = models[place.size, place.domain]
        merge = recipe(setting, subject, place.rate, strength)
        questions[place, strength] = exam(setting, merge, subject.domain, split)
    return (yield from all_asked(questions))


def recipe(setting: Setting, subject: Subject, rate: float, strength: float) -> MergeRecipe:
    """DP of one model's delta at a strength, on the base."""
    treatment = Treatment("dp", rate, (("strength", strength),))
    return merged(setting, [subject], treatment)


def _facts(profile: DeltaProfile, rate: float) -> Facts:
    """Facts from the plans at every strength; reads no weights."""
    plans = {
        strength: plan_pruning(profile, (rate,), PruningParameters(strength=strength))
        for strength in STRENGTHS
    }
    return Facts(
        {strength: plan.energy for strength, plan in plans.items()},
        {
            strength: float(np.mean([module.energy for module in plan.modules]))
            for strength, plan in plans.items()
        },
        {
            strength: min(module.density for module in plan.modules)
            for strength, plan in plans.items()
        },
    )


def _spread(profile: DeltaProfile) -> tuple[float, float]:
    """‖d‖/‖W‖, and the spread of the modules' significance: deviation ÷ mean."""
    by_module = significance(profile, PruningParameters()).module
    apart = float(by_module.std() / by_module.mean()) if by_module.mean() else 0.0
    return profile_facts(profile).relative_change, apart


def _map(measures: StrengthMeasures) -> Table:
    columns = (
        *("domain", "pruned|%", "‖d‖/‖W‖", "spread of s", f"least density at {PAPER:g}|%"),
        *("best by accuracy", "by loss"),
        *(f"loss at {strength:g}|nats" for strength in STRENGTHS),
    )
    rows = (
        row(
            *(place.name, 100 * place.rate, *measures.spreads[place.size, place.domain]),
            100 * measures.facts[place].least_density[PAPER],
            *(measures.best_by(place, figure) for figure in (0, 1)),
            *(-scores[strength][1] for strength in STRENGTHS),
        )
        for place, scores in measures.scores.items()
    )
    return table("The best strength on search items, and what might predict it", columns, rows)


def _rules(measures: StrengthMeasures) -> Table:
    columns = (
        *("rule", "accuracy|%", "loss|nats"),
        *(f"strengths at {percent(rate)}" for rate in RATES),
    )
    fixed = {
        f"always {strength:g}": dict.fromkeys(measures.scores, strength)
        for strength in (0.0, PAPER)
    }
    rows = []
    for name, choice in {**fixed, **measures.choices}.items():
        right, lost = score_of(measures.scores, choice)
        ranges = (_range([choice[p] for p in measures.scores if p.rate == rate]) for rate in RATES)
        rows.append(row(name, 100 * right, -lost, *ranges))
    return table("Rules on the domain that was left out, search items", columns, rows)


def _range(strengths: list[float]) -> str:
    """Strengths as text: 0.02, or 0 to 0.04."""
    least, most = min(strengths), max(strengths)
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _tests(models: Models, measures: StrengthMeasures) -> Table:
    columns = (
        *("domain", "pruned|%", "strength by the rule"),
        *("strength 0|%", f"strength {PAPER:g}|%", "by the rule|%"),
        *("rule − 0|points", f"rule − {PAPER:g}|points"),
    )
    rows = []
    for place, strength in measures.choices[measures.best].items():
        *fixed, ruled = (measures.tested[place, at] for at in (0.0, PAPER, strength))
        gaps = [
            Cell(None, note="the same merge")
            if strength == at
            else points(compared({"": ruled}, {"": marks}))
            for at, marks in zip((0.0, PAPER), fixed, strict=True)
        ]
        first = place.name, 100 * place.rate, strength
        merge = recipe(*models[place.size, place.domain], place.rate, strength)
        rows.append(row(*first, *map(accuracy, (*fixed, ruled)), *gaps, recipe=merge))
    return table(f"The best other rule ({measures.best}) on test items", columns, rows)


def _plots(measures: StrengthMeasures) -> tuple[Heatmap, ...]:
    """One heatmap per domain, and one per other size: the mean of its domains."""
    drawn: dict[str, list[RatePoint]] = {}
    for place in measures.scores:
        drawn.setdefault(f"size {place.size}" if place.size else place.name, []).append(place)
    return tuple(_plot(measures, name, places) for name, places in drawn.items())


def _plot(measures: StrengthMeasures, name: str, places: list[RatePoint]) -> Heatmap:
    cells = []
    for rate in RATES:
        scores = [measures.scores[place] for place in places if place.rate == rate]
        gaps = [
            [100 * (score[strength][0] - score[0.0][0]) for strength in STRENGTHS]
            for score in scores
        ]
        cells.append(tuple(float(mean) for mean in np.mean(gaps, 0)))
    return Heatmap(
        f"{capital(name)}: strength against rate, search items",
        Axis("strength"),
        Axis("pruned", "%"),
        Axis("against strength 0", "points"),
        tuple(f"{strength:g}" for strength in STRENGTHS),
        tuple(percent(rate) for rate in RATES),
        tuple(cells),
        middle=0.0,
    )


STRENGTH = declared("strength", steps)
