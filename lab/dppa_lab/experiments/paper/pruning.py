"""Experiment 1: DP, magnitude and DARE at several rates, each domain by itself."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, capital, listed, percent
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import dump_recipe
from dppa_core.tuning.advice.facts import PROBE_KEEPS, PROBE_RATE, enough
from dppa_lab.experiments.exams import alone, own_marks
from dppa_lab.experiments.score_table import (
    Draws,
    accuracy,
    against_draws,
    compared,
    pruned,
    share,
    told,
    verdict_texts,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

RATES = (0.1, 0.5, 0.8, 0.9, 0.95)
DRAWS = 5
TITLES = {"magnitude": "magnitude", "dp": "DP", "dare": "DARE"}
Key = tuple[str, float, str]
"""Method, rate, domain."""


UNCLEAR = f"unclear (draws on both sides of {percent(PROBE_KEEPS)})"
"""The word for a delta whose draws disagree."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """All marks of the experiment."""

    own: dict[str, Marks]
    marks: dict[Key, Draws]
    """One draw for deterministic methods."""

    def ranked(self, method: str, rate: float) -> dict[str, Marks]:
        """Domain -> marks of a deterministic method."""
        return {d: self.marks[method, rate, d].marks[0] for d in self.own}

    def drawn(self, method: str, rate: float) -> dict[str, Draws]:
        """Domain -> draws."""
        return {d: self.marks[method, rate, d] for d in self.own}


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    own = yield from own_marks(setting)
    asked = {
        (method, rate, one.domain, seed): alone(setting, one, Treatment(method, rate, seed=seed))[1]
        for rate in RATES
        for one in setting.subjects
        for method in TITLES
        for seed in range(DRAWS if method == "dare" else 1)
    }
    answers = yield from all_asked(asked)
    grouped: dict[Key, tuple[Marks, ...]] = {}
    for (method, rate, domain, _), marks in answers.items():
        key = method, rate, domain
        grouped[key] = (*grouped.get(key, ()), marks)
    found = Pruned(own, {key: Draws(marks) for key, marks in grouped.items()})
    return Findings(
        (_table(setting, found),),
        tuple(_plot(found, domain) for domain in setting.domains),
        finding(found),
    )


def _table(setting: Setting, found: Pruned) -> Table:
    columns = (
        Column("domain"),
        Column("pruned", "%"),
        *(Column(title, "%") for title in TITLES.values()),
        Column("DP kept of the domain model", "%"),
    )
    rows = []
    for one in setting.subjects:
        rows.append(
            Row((Cell(one.name), Cell(0.0), *([accuracy(found.own[one.domain])] * 3), Cell(100.0)))
        )
        for rate in RATES:
            recipe, _ = alone(setting, one, Treatment("dp", rate))
            marks = [found.marks[method, rate, one.domain] for method in TITLES]
            cells = [each.cell() for each in marks]
            own = share(found.own[one.domain])
            kept = 100 * found.marks["dp", rate, one.domain].mean / own if own else None
            first = Cell(one.name), Cell(100 * rate)
            rows.append(Row((*first, *cells, Cell(kept)), dump_recipe(recipe)))
    return Table("Accuracy of each domain on its own test items", columns, tuple(rows))


def _plot(found: Pruned, domain: str) -> Chart:
    whole = accuracy(found.own[domain])
    cells = {
        title: [whole, *(found.marks[method, rate, domain].cell() for rate in RATES)]
        for method, title in TITLES.items()
    }
    axes = Axis("pruned", "%"), Axis("accuracy", "%")
    title = f"{capital(domain.rpartition(':')[2])}: what pruning costs"
    return Chart.of("lines", title, axes, [100 * rate for rate in (0.0, *RATES)], cells)


def finding(found: Pruned) -> str:
    """The findings, for and against DP."""
    words = {
        1: "DP keeps more than magnitude at {}.",
        0: "No difference between DP and magnitude was seen at {}.",
        -1: "DP keeps less than magnitude at {}.",
    }
    lines = verdict_texts(words, {pruned(rate): _against_magnitude(found, rate) for rate in RATES})
    for rate in RATES[-3:]:
        lines.append(
            f"At {pruned(rate)}, over all domains: DP minus magnitude "
            f"{told(_against_magnitude(found, rate))}; DP minus DARE "
            f"{told(against_draws(found.ranked('dp', rate), found.drawn('dare', rate)))}."
        )
    return " ".join([*lines, _noise(found), _rule(found)])


def _against_magnitude(found: Pruned, rate: float) -> Comparison:
    return compared(found.ranked("dp", rate), found.ranked("magnitude", rate))


def _noise(found: Pruned) -> str:
    widest = max(
        (key for key in found.marks if key[0] == "dare"),
        key=lambda key: max(found.marks[key].shares) - min(found.marks[key].shares),
    )
    draws = found.marks[widest]
    return (
        f"One draw of DARE says little: of {len(draws.marks)} draws on {widest[2]} at "
        f"{pruned(widest[1])} the worst answers {100 * min(draws.shares):.1f} %, the "
        f"best {100 * max(draws.shares):.1f} %."
    )


def _rule(found: Pruned) -> str:
    kept: list[str] = []
    domains: dict[str, list[str]] = {"large": [], "small": [], UNCLEAR: []}
    for domain, own in found.own.items():
        draws = found.marks["dare", PROBE_RATE, domain]
        sides = {enough(one / share(own)) for one in draws.shares}
        size = "small" if True in sides else "large"
        domains[UNCLEAR if len(sides) > 1 else size].append(domain)
        kept.append(f"{domain} {percent(draws.mean / share(own))}")
    sizes = [f"{size} in {listed(of)}" for size, of in domains.items() if of]
    return (
        f"DARE at 90 % keeps, mean of the draws: {listed(kept)}; by the paper's rule of thumb the "
        f"deltas are {', '.join(sizes)}."
    )


PRUNING = Declared(
    key="pruning",
    number="1",
    title="DP, magnitude and DARE at rising rates",
    question="Does DP (Dynamically Pruning) keep more of a model than plain magnitude or DARE?",
    measured="Each domain model's delta is pruned and put back on the base alone, the whole delta "
    "of embeddings and norms with it, and asked {test} test items of its domain. DP at the paper's "
    f"strength {PruningParameters().strength:g}, magnitude at one rate for all matrices, DARE "
    f"{DRAWS} times with other seeds. Differences are paired by item, the domains counting "
    "equally.",
    steps=steps,
)
