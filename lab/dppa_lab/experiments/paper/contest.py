"""One delta at one rate, pruned by every method; several experiments compare the results.

A delta may be scaled first. Masks do not depend on the scale, so pruning a scaled delta equals
scaling the pruned delta, and base + s·D is a merge of one whole delta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.charts.tables import Cell, factors_text
from dppa_core.evaluation.scores import Marks
from dppa_lab.experiments.exams import alone, chosen_factors, exam, whole
from dppa_lab.experiments.score_table import (
    Draws,
    accuracy,
    against_draws,
    compared,
    flipped,
    points,
    retained,
)
from dppa_lab.experiments.setting import Setting, Subject, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, together

METHODS = ("magnitude", "dare", "dp", "dppa")
TITLES = {"magnitude": "magnitude", "dare": "DARE", "dp": "DP", "dppa": "DPPA"}
DRAWS = 3
"""Number of DARE draws; a single one says little."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Marks of one model's delta on its own domain, at one scale and rate."""

    subject: Subject
    rate: float
    scale: float
    unpruned: Marks
    """Marks of base + scale · delta, unpruned."""
    marks: Mapping[str, Draws]
    """Marks of every method; one draw for deterministic methods."""
    factors: tuple[float, ...]
    """Factors of DPPA's two bands, chosen on the search items."""

    def sole_marks(self, method: str) -> Marks:
        """Marks of a deterministic method."""
        return self.marks[method].marks[0]

    def cells(self) -> tuple[Cell, ...]:
        """Accuracies: the whole delta, then every method; and the factors."""
        marks = (self.marks[method].cell() for method in METHODS)
        return accuracy(self.unpruned), *marks, Cell(factors_text(self.factors))


def contest(setting: Setting, subject: Subject, rate: float, scale: float = 1.0) -> Steps[Contest]:
    """Choose factors, then ask test items; `rate` in [0, 1), `scale` also of the unpruned delta."""
    factors = yield from chosen_factors(setting, subject, Treatment("dppa", rate), scale)
    questions = {
        (method, seed): alone(setting, subject, Treatment(method, rate, seed=seed), scale=scale)[1]
        for method in METHODS[:3]
        for seed in range(DRAWS if method == "dare" else 1)
    }
    questions["dppa", 0] = alone(setting, subject, Treatment("dppa", rate), factors, scale=scale)[1]
    questions["own", 0] = exam(setting, whole(setting, subject, scale), subject.domain)
    answers = yield from all_asked(questions)
    marks = {
        method: Draws(tuple(answers[key] for key in questions if key[0] == method))
        for method in METHODS
    }
    return Contest(subject, rate, scale, answers["own", 0], marks, factors)


def contests(
    settings: Mapping[str, Setting], rates: tuple[float, ...], scales: tuple[float, ...] = (1.0,)
) -> Steps[dict[tuple[str, str, float, float], Contest]]:
    """Contests of all models of some settings by setting, domain, rate and scale."""
    several = {
        (name, subject.domain, rate, scale): contest(setting, subject, rate, scale)
        for name, setting in settings.items()
        for subject in setting.subjects
        for rate in rates
        for scale in scales
    }
    return (yield from together(several))


def against_magnitude(several: Mapping[str, Contest], method: str) -> Cell:
    """A method's accuracy minus magnitude's in points; the domains, at least one, count equally."""
    plain = {domain: held.sole_marks("magnitude") for domain, held in several.items()}
    if method == "dare":
        draws = {domain: held.marks["dare"] for domain, held in several.items()}
        return points(flipped(against_draws(plain, draws)))
    marks = {domain: held.sole_marks(method) for domain, held in several.items()}
    return points(compared(marks, plain))


def kept(several: Mapping[str, Contest], method: str) -> Cell:
    """Retention of a deterministic method in per cent; geometric mean over the domains."""
    unpruned = {domain: held.unpruned for domain, held in several.items()}
    return retained({domain: held.sole_marks(method) for domain, held in several.items()}, unpruned)
