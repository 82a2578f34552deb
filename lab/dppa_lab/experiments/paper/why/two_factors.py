"""Experiment 6f: why two factors help more than one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Cell, Table, factors_text
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks.intervals import RESAMPLES, SEED, Interval
from dppa_lab.experiments.exams import alone
from dppa_lab.experiments.paper.why.band_curvature import BandCurvature
from dppa_lab.experiments.paper.why.loss_questions import NO_ANSWERS, BandsQuestion
from dppa_lab.experiments.score_table import pruned, row, table
from dppa_lab.experiments.setting import Setting, Subject, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, declared

RATES = (0.8, 0.9, 0.95)
FACTORS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SETTINGS = tuple(product(FACTORS, repeat=2))
"""Factors of the strongest band and of the next."""
ITEMS = 60
"""Most items of a split: losses need fewer than answers."""
KINDS = ("without", "one", "two", "foretold")
"""Settings on test items."""
Place = tuple[str, float]
"""Domain, rate."""


@dataclass(frozen=True, slots=True)
class TwoFactors:
    """All results of the experiment."""

    curvatures: Mapping[Place, BandCurvature]
    """On search items, with `SETTINGS`."""
    settings: Mapping[Place, tuple[tuple[float, ...], ...]]
    """The factors of `KINDS`."""
    test: Mapping[Place, BandCurvature]
    """On test items, with these."""
    recipes: Mapping[Place, MergeRecipe]
    """With the two factors of least loss."""

    def factors(self, place: Place, kind: str) -> tuple[float, ...]:
        """The factors of one of `KINDS`."""
        return self.settings[place][KINDS.index(kind)]

    def gap(self, places: Sequence[Place], kind: str, reference: str) -> Interval:
        """Mean test loss with one setting minus another, places counting equally; bootstrap over
        items."""
        rng, values, draws = np.random.default_rng(SEED), [], np.zeros(RESAMPLES)
        for place in places:
            measured = self.test[place]
            first, second = (
                np.array(measured.losses[KINDS.index(kind)]) for kind in (kind, reference)
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
    measures = TwoFactors(curvatures, settings, test_curvatures, best)
    return Findings((_table(measures),), (_likeness(measures), _scatter(measures)))


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


def _table(measures: TwoFactors) -> Table:
    columns = (
        *("domain", "pruned|%", "d² in strongest band|%", "d² in next|%", "d² in removed|%"),
        *("likeness of strongest band and removed", "likeness of next and removed"),
        "next minus strongest",
        *("factors, foretold|×", "factors, least loss|×", "factors, the same for both|×"),
        *("loss unpruned|nats/token", "loss pruned|nats/token", "loss with one factor|nats/token"),
        *("loss with two|nats/token", "loss with the foretold two|nats/token"),
        "two minus one|nats/token",
    )
    rows = []
    for place, measured in measures.curvatures.items():
        test, gap = measures.test[place], measures.gap([place], "two", "one")
        rows.append(
            row(
                *place[:1],
                100 * place[1],
                *(100 * share for share in measured.energies),
                *measured.likeness,
                Cell(measured.lead.value, *measured.lead.ends, len(measured.tokens)),
                *(_rounded(measures.factors(place, kind)) for kind in ("foretold", "two")),
                measures.factors(place, "one")[0],
                sum(test.own) / sum(test.tokens),
                *(test.loss(setting) for setting in range(len(KINDS))),
                Cell(gap.value, *gap.ends, len(test.tokens)),
                recipe=measures.recipes[place],
            )
        )
    return table("Magnitude pruning of one model, in two even bands", columns, rows)


def _rounded(factors: Sequence[float]) -> str:
    return factors_text([round(factor, 2) for factor in factors])


def _likeness(measures: TwoFactors) -> Chart:
    names = [f"{domain}, {pruned(rate)}" for domain, rate in measures.curvatures]
    cells = {
        band: [Cell(measured.likeness[at]) for measured in measures.curvatures.values()]
        for at, band in enumerate(("strongest band", "next band"))
    }
    axes = Axis("model and rate"), Axis("cosine with the removed part")
    return Chart.of("bars", "What the bands do to the logits", axes, names, cells)


def _scatter(measures: TwoFactors) -> Chart:
    series = []
    for at, band in enumerate(("strongest band", "next band")):
        foretold, best = (
            tuple(measures.factors(place, kind)[at] for place in measures.curvatures)
            for kind in ("foretold", "two")
        )
        labels = tuple(f"{domain}, {pruned(rate)}" for domain, rate in measures.curvatures)
        series.append(Series(band, foretold, best, labels=labels))
    axes = Axis("foretold factor", "×"), Axis("factor of least loss", "×")
    return Chart("scatter", "The two factors, foretold and measured", *axes, tuple(series))


BANDS = declared("bands", steps, NO_ANSWERS)
