"""Experiment 5: what ranks the entries of a delta."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dppa_core.calibration import Calibration
from dppa_core.evaluate_rows import Comparison
from dppa_core.experiments.asking import alone, exam, own_marks
from dppa_core.experiments.declared import Declared
from dppa_core.experiments.scores import Draws, against_draws, compared, mean_share, retained
from dppa_core.experiments.setting import HARNESS, Setting, Subject, Treatment
from dppa_core.experiments.steps import Steps, all_asked
from dppa_core.experiments.values import Axis, Cell, Chart, Column, Findings, Row, Series, Table
from dppa_core.experiments.words import capital, listed, percent, pruned, told, verdict
from dppa_core.intervals import Interval
from dppa_core.marks import Marks
from dppa_core.recipe import MergeRecipe

RATES = (0.8, 0.9)
KINDS = ("magnitude", "fisher", "activation", "random")
DRAWS = 2
"""Of the random ranking."""
Place = tuple[str, float, str]
"""Kind, rate, domain."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """All marks of the experiment."""

    own: dict[str, Marks]
    draws: dict[Place, Draws]

    def at(self, kind: str, rate: float) -> dict[str, Draws]:
        """Domain -> draws."""
        return {domain: self.draws[kind, rate, domain] for domain in self.own}

    def first(self, kind: str, rate: float) -> dict[str, Marks]:
        """Domain -> marks of the first draw."""
        return {domain: draws.marks[0] for domain, draws in self.at(kind, rate).items()}

    def against(self, kind: str, rate: float) -> Comparison | Interval:
        """How much better the magnitude is."""
        magnitude = self.first("magnitude", rate)
        if kind == "random":
            return against_draws(magnitude, self.at(kind, rate))
        return compared(magnitude, self.first(kind, rate))


def steps(setting: Setting) -> Steps[Findings]:
    """Ask all, then tell."""
    own = yield from own_marks(setting)
    asked = {
        (kind, rate, one.domain, seed): exam(
            setting, _recipe(setting, one, kind, rate, seed), one.domain
        )
        for kind in KINDS
        for rate in RATES
        for one in setting.subjects
        for seed in range(DRAWS if kind == "random" else 1)
    }
    answers = yield from all_asked(asked)
    grouped: dict[Place, tuple[Marks, ...]] = {}
    for (kind, rate, domain, _), marks in answers.items():
        grouped[kind, rate, domain] = (*grouped.get((kind, rate, domain), ()), marks)
    found = Ranked(own, {place: Draws(marks) for place, marks in grouped.items()})
    return Findings((_table(setting, found),), (_plot(found),), finding(found))


def _recipe(setting: Setting, subject: Subject, kind: str, rate: float, seed: int) -> MergeRecipe:
    treatment = Treatment("dppa", rate, (("significance", "magnitude"),), seed)
    recipe, _ = alone(setting, subject, treatment)
    models = recipe.models
    if kind in ("fisher", "activation") and not subject.model.startswith("zoo:"):
        models = tuple(replace(one, calibration=Calibration((subject.domain,))) for one in models)
    return replace(recipe, models=models, parameters={**recipe.parameters, "significance": kind})


def _table(setting: Setting, found: Ranked) -> Table:
    columns = (
        Column("significance"),
        Column("pruned", "%"),
        *(Column(one.name, "%") for one in setting.subjects),
        Column("mean retention", "%"),
        Column("against magnitude", "points"),
    )
    rows = []
    for rate in RATES:
        for kind in KINDS:
            draws = found.at(kind, rate)
            gap = Cell(None)
            if kind != "magnitude":
                against = found.against(kind, rate)
                given = against.difference if isinstance(against, Comparison) else against
                gap = Cell(-100 * given.value, -100 * given.high, -100 * given.low)
            scores = [draws[one.domain].cell() for one in setting.subjects]
            first = Cell(kind), Cell(100 * rate)
            rows.append(Row((*first, *scores, _kept(found, kind, rate), gap)))
    return Table("Each domain model alone, pruned by DP", columns, tuple(rows))


def _kept(found: Ranked, kind: str, rate: float) -> Cell:
    cells = [
        retained({d: draws.marks[place] for d, draws in found.at(kind, rate).items()}, found.own)
        for place in range(DRAWS if kind == "random" else 1)
    ]
    values = [cell.value for cell in cells if isinstance(cell.value, float)]
    if len(cells) == 1 or len(values) < len(cells):
        return cells[0]
    note = f"{len(values)} draws: {min(values):.1f}–{max(values):.1f}"
    return Cell(sum(values) / len(values), n=cells[0].n, note=note)


def _plot(found: Ranked) -> Chart:
    series = []
    for rate in RATES:
        cells = [_kept(found, kind, rate) for kind in KINDS]
        series.append(
            Series(
                pruned(rate),
                KINDS,
                tuple(cell.value if isinstance(cell.value, float) else None for cell in cells),
                tuple(cell.low for cell in cells),
                tuple(cell.high for cell in cells),
            )
        )
    return Chart(
        "bars",
        "What is kept by what ranks the entries",
        Axis("significance"),
        Axis("mean retention", "%"),
        tuple(series),
    )


def finding(found: Ranked) -> str:
    """Whether any ranking is better than the magnitude, and whether ranking matters at all."""
    lines = []
    for kind in ("fisher", "activation"):
        lines.append(_against(found, kind))
    for rate in RATES:
        chance = sum(draws.mean for draws in found.at("random", rate).values()) / len(found.own)
        share = mean_share(found.first("magnitude", rate))
        lines.append(
            f"Ranked at random, without anything else changed, {percent(chance)} of the answers "
            f"are right at {pruned(rate)}; by magnitude {percent(share)}, "
            f"{told(found.against('random', rate))}."
        )
    return " ".join(lines)


def _against(found: Ranked, kind: str) -> str:
    groups: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for rate in RATES:
        groups[verdict(found.against(kind, rate))].append(pruned(rate))
    words = {
        1: "{} ranks worse than magnitude at {}",
        -1: "{} ranks better than magnitude at {}",
        0: "{} and magnitude are not told apart at {}",
    }
    said = [words[which].format(kind, listed(rates)) for which, rates in groups.items() if rates]
    widest = max(RATES, key=lambda rate: abs(_value(found.against(kind, rate))))
    return (
        f"{capital('; '.join(said))} (magnitude minus {kind} at {pruned(widest)}: "
        f"{told(found.against(kind, widest))})."
    )


def _value(found: Comparison | Interval) -> float:
    return found.difference.value if isinstance(found, Comparison) else found.value


def _wants(setting: Setting) -> str:
    if any(one.domain.startswith(HARNESS) for one in setting.subjects):
        return (
            "fisher and activation read texts of each domain; for tasks of lm-evaluation-harness "
            "none are known"
        )
    return ""


SIGNIFICANCE = Declared(
    key="significance",
    number="5",
    title="What ranks the entries of a delta",
    question="Is the magnitude |d| the right significance, or do Fisher information and "
    "activations know better?",
    measured="Each domain model alone, pruned by DP at 80 and 90 % with each score in the place "
    "of |d|, and {test} test items of its domain. Fisher and activation are measured on 4096 "
    f"tokens of questions of the domain's train split. Random is the control, {DRAWS} draws. "
    "Differences are paired by item, the domains counting equally.",
    steps=steps,
    wants=_wants,
)
