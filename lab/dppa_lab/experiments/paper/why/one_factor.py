"""Experiment 6e: why a factor brings answers back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Table
from dppa_core.evaluation.analysis.curvature import Curvature
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.exams import alone, exam
from dppa_lab.experiments.paper.why.loss_questions import NO_ANSWERS, CurvatureQuestion
from dppa_lab.experiments.score_table import accuracy, compared, points, pruned, row, table
from dppa_lab.experiments.setting import Setting, Subject, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, declared

RATES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
SET_UP_TO = 0.99
"""Rows at larger rates have no recipe: the sliders of the page end here."""
FACTORS = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)
PRODUCTS = ("g·k", "g·r", "kᵀGk", "kᵀGr", "rᵀGr")
"""Names of the fields of a `Quadratic` after its loss."""
DRAWN = 0.9
"""The rate whose losses are drawn over the factor."""
Place = tuple[str, float]
"""Domain, rate."""


@dataclass(frozen=True, slots=True)
class Gains:
    """All results of the experiment."""

    curvatures: dict[Place, Curvature]
    recipes: dict[Place, MergeRecipe]
    """With the best factor."""
    plain: dict[Place, Marks]
    """On test items, without a factor."""
    amplified: dict[Place, Marks]

    def best(self, place: Place) -> float:
        """The factor of least loss on the search items."""
        return best_factor(self.curvatures[place])

    def loss(self, place: Place, factor: float) -> float:
        """Measured on the search items."""
        return self.curvatures[place].losses[FACTORS.index(factor)]

    def gain(self, place: Place) -> Comparison:
        """Accuracy with the best factor minus without."""
        return compared({"": self.amplified[place]}, {"": self.plain[place]})

    def figures(self, place: Place) -> dict[str, float]:
        """Foretold and measured figures at one place."""
        measured, quadratic = self.curvatures[place], self.curvatures[place].quadratic
        least = self.loss(place, self.best(place))
        return {
            "energy": measured.energy,
            "cost": self.loss(place, 1.0) - quadratic.loss,
            "foretold cost": quadratic.at(1.0) - quadratic.loss,
            "left": least - quadratic.loss,
            "factor": self.best(place),
            "foretold factor": quadratic.best_factor,
            "alike": quadratic.alike,
        }


def best_factor(measured: Curvature) -> float:
    """The factor of least measured loss; of equal ones the one nearest to 1."""
    ranked = zip(measured.losses, (abs(factor - 1) for factor in FACTORS), FACTORS, strict=True)
    return min(ranked)[-1]


def steps(setting: Setting) -> Steps[Findings]:
    """Foretell and measure losses on search items, then ask test items with the best factor."""
    questions = {
        (subject.domain, rate): CurvatureQuestion(
            _recipe(setting, subject, rate), subject.domain, setting.search, FACTORS
        )
        for subject in setting.subjects
        for rate in RATES
    }
    curvatures = yield from all_asked(questions)
    recipes = {
        place: _amplified(question.recipe, best_factor(curvatures[place]))
        for place, question in questions.items()
    }
    questions_of = {
        (*place, 1): exam(setting, q.recipe, place[0]) for place, q in questions.items()
    }
    questions_of |= {
        (*place, 0): exam(setting, recipe, place[0]) for place, recipe in recipes.items()
    }
    marks = yield from all_asked(questions_of)
    plain, amplified = ({p: marks[*p, kind] for p in questions} for kind in (1, 0))
    gains = Gains(curvatures, recipes, plain, amplified)
    charts = _added(gains), _losses(gains), _factors(gains)
    tables = _table(gains), _products(gains), _measured(gains)
    return Findings(tables, charts)


def _recipe(setting: Setting, subject: Subject, rate: float) -> MergeRecipe:
    return alone(setting, subject, Treatment("magnitude", rate))[0]


def _amplified(recipe: MergeRecipe, factor: float) -> MergeRecipe:
    models = tuple(replace(model, amplification=(factor,)) for model in recipe.models)
    return replace(recipe, models=models)


def _table(gains: Gains) -> Table:
    columns = (
        *("domain", "pruned|%", "d² kept|%"),
        *("cost, foretold|nats/token", "cost, measured|nats/token"),
        *("best factor, foretold|×", "best factor, measured|×", "cost left with it|nats/token"),
        *("accuracy without|%", "accuracy with it|%", "gain|points"),
    )
    rows = []
    for place, recipe in gains.recipes.items():
        figures, (domain, rate) = gains.figures(place), place
        names = ("foretold cost", "cost", "foretold factor", "factor", "left")
        amplified = gains.amplified[place]
        rows.append(
            row(
                *(domain, 100 * rate, 100 * figures["energy"]),
                *(figures[name] for name in names),
                *(accuracy(gains.plain[place]), accuracy(amplified)),
                points(gains.gain(place), len(amplified.hits)),
                recipe=recipe if rate <= SET_UP_TO else None,
            )
        )
    return table("Magnitude pruning of one model, and one factor on what is kept", columns, rows)


def _products(gains: Gains) -> Table:
    """The coefficients of the parabola L(a) of each place."""
    rows = {
        place: tuple(asdict(measured.quadratic).values())
        for place, measured in gains.curvatures.items()
    }
    title = "Products of the unpruned model, which foretell the loss"
    return _of_places(title, ("L", *PRODUCTS), rows)


def _measured(gains: Gains) -> Table:
    rows = {place: measured.losses for place, measured in gains.curvatures.items()}
    title = "Loss of the right answers with each factor, measured"
    return _of_places(title, [f"× {factor:g}" for factor in FACTORS], rows)


def _of_places(title: str, names: Sequence[str], rows: Mapping[Place, Sequence[float]]) -> Table:
    columns = ("domain", "pruned|%", *(f"{name}|nats/token" for name in names))
    cells = (row(domain, 100 * rate, *values) for (domain, rate), values in rows.items())
    return table(title, columns, cells)


def _added(gains: Gains) -> Chart:
    cells = {
        domain: [points(gains.gain((domain, rate))) for rate in RATES]
        for domain in dict.fromkeys(domain for domain, _ in gains.curvatures)
    }
    axes = Axis("pruned", "%"), Axis("gain in accuracy", "points")
    title = "What the best factor adds to magnitude"
    return Chart.of("lines", title, axes, [100 * rate for rate in RATES], cells)


def _losses(gains: Gains) -> Chart:
    lines, drawn = [], tuple(factor for factor in FACTORS if 0.8 <= factor <= 2)
    first = FACTORS.index(drawn[0])
    for place, measured in gains.curvatures.items():
        if place[1] == DRAWN:
            lines.append(Series(place[0], drawn, measured.losses[first : first + len(drawn)]))
            foretold = tuple(map(measured.quadratic.at, drawn))
            lines.append(Series(f"{place[0]}, foretold", drawn, foretold))
    axes = Axis("factor", "×"), Axis("loss of right answers", "nats per token")
    return Chart("lines", f"Loss against the factor at {pruned(DRAWN)}", *axes, tuple(lines))


def _factors(gains: Gains) -> Chart:
    series = []
    for domain in dict.fromkeys(domain for domain, _ in gains.curvatures):
        foretold = [gains.figures((domain, rate))["foretold factor"] for rate in RATES]
        best = [gains.best((domain, rate)) for rate in RATES]
        series.append(Series(domain, tuple(foretold), tuple(best)))
    axes = Axis("foretold factor", "×"), Axis("best factor", "×")
    return Chart("scatter", "The best factor, foretold and measured", *axes, tuple(series))


GAIN = declared("gain", steps, NO_ANSWERS)
