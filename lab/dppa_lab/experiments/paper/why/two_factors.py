"""Experiment 6f: why two factors help more than one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.evaluation.tables import Cell, Column, Row, Table, factors_text
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks.intervals import RESAMPLES, SEED, Interval
from dppa_lab.analysis.band_curvature import BandCurvature
from dppa_lab.experiments.exams import alone
from dppa_lab.experiments.paper.why.loss_questions import BandsQuestion
from dppa_lab.experiments.score_table import pruned
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

RATES = (0.8, 0.9, 0.95)
FACTORS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SETTINGS = tuple(product(FACTORS, repeat=2))
"""Factors of the strongest band and of the next."""
ITEMS = 60
"""Most items of a split: losses need fewer than answers."""
ASKED = ("without", "one", "two", "foretold")
"""Settings on test items."""
Place = tuple[str, float]
"""Domain, rate."""


@dataclass(frozen=True, slots=True)
class TwoFactors:
    """All results of the experiment."""

    curvatures: Mapping[Place, BandCurvature]
    """On search items, with `SETTINGS`."""
    settings: Mapping[Place, tuple[tuple[float, ...], ...]]
    """The factors of `ASKED`."""
    test: Mapping[Place, BandCurvature]
    """On test items, with these."""
    recipes: Mapping[Place, MergeRecipe]
    """With the two factors of least loss."""

    def factors(self, place: Place, kind: str) -> tuple[float, ...]:
        """Those of one of `ASKED`."""
        return self.settings[place][ASKED.index(kind)]

    def gap(self, places: Sequence[Place], kind: str, reference: str) -> Interval:
        """Mean test loss with one setting minus another, places counting equally; bootstrap over
        items."""
        rng, values, draws = np.random.default_rng(SEED), [], np.zeros(RESAMPLES)
        for place in places:
            measured = self.test[place]
            first, second = (
                np.array(measured.losses[ASKED.index(kind)]) for kind in (kind, reference)
            )
            gaps = first - second
            tokens, n = np.array(measured.tokens), len(measured.tokens)
            weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
            values.append(gaps.sum() / tokens.sum())
            draws += (weights @ gaps) / (weights @ tokens) / len(places)
        low, high = np.quantile(draws, (0.025, 0.975))
        return Interval(float(np.mean(values)), float(low), float(high))


def steps(setting: Setting) -> Steps[Findings]:
    """Foretell and measure losses on search items, then measure the chosen ones on test items."""
    places = {(subject.domain, rate): subject for subject in setting.subjects for rate in RATES}
    recipes = {place: _recipe(setting, subject, place[1]) for place, subject in places.items()}
    test = min(ITEMS, setting.test or ITEMS)
    curvatures = yield from all_asked(
        {
            place: BandsQuestion(recipe, place[0], "search", min(ITEMS, setting.search), SETTINGS)
            for place, recipe in recipes.items()
        }
    )
    settings = {
        place: ((1.0, 1.0), least_loss(measured, same=True), least_loss(measured), measured.best)
        for place, measured in curvatures.items()
    }
    test_curvatures = yield from all_asked(
        {
            place: BandsQuestion(recipe, place[0], "test", test, settings[place])
            for place, recipe in recipes.items()
        }
    )
    best = {
        place: _recipe(setting, subject, place[1], settings[place][2])
        for place, subject in places.items()
    }
    all_ = TwoFactors(curvatures, settings, test_curvatures, best)
    return Findings((_table(all_),), (_likeness(all_), _scatter(all_)))


def _recipe(
    setting: Setting, subject: Subject, rate: float, factors: Sequence[float] = (1.0, 1.0)
) -> MergeRecipe:
    return alone(setting, subject, Treatment("magnitude", rate), factors)[0]


def least_loss(measured: BandCurvature, *, same: bool = False) -> tuple[float, ...]:
    """The factors of least measured loss; of equal ones those nearest to 1.

    Args:
        same: Only settings with one factor for both bands.
    """
    ranked = [
        (measured.loss(place), sum(abs(factor - 1) for factor in factors), factors)
        for place, factors in enumerate(SETTINGS)
        if not same or len(set(factors)) == 1
    ]
    return min(ranked)[-1]


def _table(all_: TwoFactors) -> Table:
    columns = (
        *(Column("domain"), Column("pruned", "%")),
        *(Column(f"d² in {part}", "%") for part in ("strongest band", "next", "removed")),
        *(Column(f"likeness of {band} and removed") for band in ("strongest band", "next")),
        Column("next minus strongest"),
        *(
            Column(f"factors, {how}", "×")
            for how in ("foretold", "least loss", "the same for both")
        ),
        Column("loss unpruned", "nats/token"),
        *(
            Column(f"loss {how}", "nats/token")
            for how in ("pruned", "with one factor", "with two", "with the foretold two")
        ),
        Column("two minus one", "nats/token"),
    )
    rows = []
    for place, measured in all_.curvatures.items():
        test, apart = all_.test[place], all_.gap([place], "two", "one")
        cells = (
            *(Cell(place[0]), Cell(100 * place[1])),
            *(Cell(100 * share) for share in measured.energies),
            *map(Cell, measured.likeness),
            Cell(measured.lead.value, *measured.lead.ends, len(measured.tokens)),
            *(Cell(_rounded(all_.factors(place, kind))) for kind in ("foretold", "two")),
            Cell(all_.factors(place, "one")[0]),
            Cell(sum(test.own) / sum(test.tokens)),
            *(Cell(test.loss(setting)) for setting in range(len(ASKED))),
            Cell(apart.value, *apart.ends, len(test.tokens)),
        )
        rows.append(Row(cells, dump_recipe(all_.recipes[place])))
    return Table("Magnitude pruning of one model, in two even bands", columns, tuple(rows))


def _rounded(factors: Sequence[float]) -> str:
    return factors_text([round(factor, 2) for factor in factors])


def _likeness(all_: TwoFactors) -> Chart:
    names = [f"{domain}, {pruned(rate)}" for domain, rate in all_.curvatures]
    cells = {
        band: [Cell(measured.likeness[at]) for measured in all_.curvatures.values()]
        for at, band in enumerate(("strongest band", "next band"))
    }
    axes = Axis("model and rate"), Axis("cosine with the removed part")
    return Chart.of("bars", "What the bands do to the logits", axes, names, cells)


def _scatter(all_: TwoFactors) -> Chart:
    series = []
    for at, band in enumerate(("strongest band", "next band")):
        foretold, best = (
            tuple(all_.factors(place, kind)[at] for place in all_.curvatures)
            for kind in ("foretold", "two")
        )
        labels = tuple(f"{domain}, {pruned(rate)}" for domain, rate in all_.curvatures)
        series.append(Series(band, foretold, best, labels=labels))
    axes = Axis("foretold factor", "×"), Axis("factor of least loss", "×")
    return Chart("scatter", "The two factors, foretold and measured", *axes, tuple(series))


BANDS = Declared(
    key="bands",
    number="6f",
    title="Do two factors help more, and why?",
    question="Do two factors, the larger one on the weaker band, bring back more than one?",
    measured="Each domain model alone, pruned by magnitude at one rate for all matrices, what is "
    f"kept split into two even bands. On {{search}} search items, at most {ITEMS}, the loss of "
    f"the right answers is measured with {len(SETTINGS)} pairs of factors from {FACTORS[0]:g} to "
    f"{FACTORS[-1]:g}; the pair and the single factor of least loss are chosen. The best pair is "
    "also foretold from the unpruned model alone, by the second order of its loss: with m the "
    "factors minus 1, k the bands, r the removed part, G the Gauss-Newton matrix and g the slope, "
    "it solves Σⱼ kᵢᵀGkⱼ mⱼ = kᵢᵀGr − g·kᵢ. Likeness is the cosine kᵀGr / √(kᵀGk · rᵀGr) of what "
    "two parts do to the logits; its interval is a bootstrap over items. Losses in the table are "
    f"those of at most {ITEMS} test items; differences are paired by item.",
    steps=steps,
    wants=lambda setting: (
        "it reads right answers, and tasks of lm-evaluation-harness have none here"
        if any(subject.domain.startswith(HARNESS) for subject in setting.subjects)
        else ""
    ),
)
