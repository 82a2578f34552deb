"""Experiment 1: DP, magnitude and DARE at several rates, each domain by itself."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Table, capital
from dppa_core.evaluation.scores import Marks
from dppa_lab.experiments.exams import alone, own_marks
from dppa_lab.experiments.score_table import ByDomain, Draws, accuracy, row, share, table
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, declared

RATES = (0.1, 0.5, 0.8, 0.9, 0.95)
DRAWS = 5
TITLES = {"magnitude": "magnitude", "dp": "DP", "dare": "DARE"}
ByPlace = Mapping[tuple[str, float, str], Draws]
"""Method, rate, domain -> marks; one draw for deterministic methods."""


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    unpruned = yield from own_marks(setting)
    questions = {
        (method, rate, subject.domain, seed): alone(
            setting, subject, Treatment(method, rate, seed=seed)
        )[1]
        for rate in RATES
        for subject in setting.subjects
        for method in TITLES
        for seed in range(DRAWS if method == "dare" else 1)
    }
    answers = yield from all_asked(questions)
    grouped: dict[tuple[str, float, str], tuple[Marks, ...]] = {}
    for (method, rate, domain, _), marks in answers.items():
        grouped[method, rate, domain] = (*grouped.get((method, rate, domain), ()), marks)
    draws = {place: Draws(marks) for place, marks in grouped.items()}
    plots = tuple(_plot(draws, domain, unpruned[domain]) for domain in setting.domains)
    return Findings((_table(setting, draws, unpruned),), plots)


def _table(setting: Setting, draws: ByPlace, unpruned: ByDomain) -> Table:
    titles = (f"{title}|%" for title in TITLES.values())
    columns = ("domain", "pruned|%", *titles, "DP kept of the domain model|%")
    rows = []
    for subject in setting.subjects:
        marks_unpruned = unpruned[subject.domain]
        rows.append(row(subject.name, 0.0, *[accuracy(marks_unpruned)] * len(TITLES), 100.0))
        for rate in RATES:
            recipe, _ = alone(setting, subject, Treatment("dp", rate))
            by_method = {method: draws[method, rate, subject.domain] for method in TITLES}
            kept = (
                100 * by_method["dp"].mean / share(marks_unpruned)
                if share(marks_unpruned)
                else None
            )
            cells = [drawn.cell() for drawn in by_method.values()]
            rows.append(row(subject.name, 100 * rate, *cells, kept, recipe=recipe))
    return table("Accuracy of each domain on its own test items", columns, rows)


def _plot(draws: ByPlace, domain: str, unpruned: Marks) -> Chart:
    cells = {
        title: [accuracy(unpruned), *(draws[method, rate, domain].cell() for rate in RATES)]
        for method, title in TITLES.items()
    }
    axes = Axis("pruned", "%"), Axis("accuracy", "%")
    title = f"{capital(domain.rpartition(':')[2])}: what pruning costs"
    return Chart.of("lines", title, axes, [100 * rate for rate in (0.0, *RATES)], cells)


PRUNING = declared("pruning", steps)
