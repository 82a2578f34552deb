"""Experiment 6a: what DP and DPPA gain over magnitude as the rate rises beyond 80 %, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, listed, percent
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_lab.experiments.exams import CHOSEN, alone, chosen_at, own_marks
from dppa_lab.experiments.score_table import (
    RatedMarks,
    gap,
    mean_share,
    number,
    points,
    pruned,
    verdict_texts,
    verdicts,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

RATES = (0.8, 0.85, 0.9, 0.95, 0.99)
METHODS = ("magnitude", "dp", "dppa")
TITLES = {"dp": "DP", "dppa": "DPPA"}
BEHIND = "is behind magnitude without a factor at"
AHEAD = "is ahead of magnitude without a factor at"
STARVED = 0.1
"""A matrix with less than this part of its even share counts as starved."""
FLOOR = 0.1
"""Below this accuracy of magnitude no method can be clearly worse."""


@dataclass(frozen=True, slots=True)
class KeptShares:
    """Figures of a pruning computed from profiles; means over the domains, as fractions."""

    energy: float
    """Share of the sum of d²."""
    starved: float
    """Share of the matrices with less than a tenth of their even share."""


@dataclass(frozen=True, slots=True)
class Beyond(RatedMarks):
    """All results of the experiment, by method."""

    shares: dict[tuple[str, float], KeptShares]
    """(method, rate) -> figures, for magnitude and DP."""

    def over(self, method: str, rate: float) -> Comparison:
        """A method against magnitude."""
        return self.gain(method, "magnitude", rate)


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors at every rate, ask test items, and measure what the plans keep."""
    factors_at = yield from chosen_at(setting, setting.subjects, RATES)
    own = yield from own_marks(setting)
    asked = {}
    for method in METHODS:
        for rate in RATES:
            for one in setting.subjects:
                amplification = factors_at[rate, one.domain].amplification
                factors = amplification if method == "dppa" else None
                _, question = alone(setting, one, Treatment(method, rate), factors)
                asked[method, rate, one.domain] = question
    marks = yield from all_asked(asked)
    found = Beyond(own, marks, plans(setting))
    return Findings(
        (_table(found),), (_gains(found), _reasons(found)), finding(found), short=short(found)
    )


def plans(setting: Setting) -> dict[tuple[str, float], KeptShares]:
    """What magnitude and DP keep at every rate, from the profiles alone."""
    profiles = [cached_profile(setting.base, one.model) for one in setting.subjects]
    found = {}
    for method, parameters in (
        ("magnitude", PruningParameters(strength=0.0)),
        ("dp", PruningParameters()),
    ):
        for rate in RATES:
            made = [plan_pruning(profile, [rate], parameters) for profile in profiles]
            energy = _mean([one.energy for one in made])
            starved = [
                _mean([module.density < STARVED * (1 - rate) for module in one.modules])
                for one in made
            ]
            found[method, rate] = KeptShares(energy, _mean(starved))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _table(found: Beyond) -> Table:
    columns = (
        Column("pruned", "%"),
        *(Column(title, "%") for title in ("magnitude", "DP", "DPPA")),
        Column("DP minus magnitude", "points"),
        Column("DPPA minus magnitude", "points"),
        Column("d² kept by magnitude", "%"),
        Column("d² kept by DP", "%"),
        Column("matrices DP starves", "%"),
    )
    rows = []
    for rate in RATES:
        shares = [Cell(100 * mean_share(found.at(method, rate))) for method in METHODS]
        gains = [points(found.over(method, rate)) for method in METHODS[1:]]
        energies = [Cell(100 * found.shares[method, rate].energy) for method in METHODS[:2]]
        starved = Cell(100 * found.shares["dp", rate].starved)
        rows.append(Row((Cell(100 * rate), *shares, *gains, *energies, starved)))
    return Table("Means over the domains, each model alone; test items", columns, tuple(rows))


def _gains(found: Beyond) -> Chart:
    cells = {
        f"{title} minus magnitude": [points(found.over(method, rate)) for rate in RATES]
        for method, title in TITLES.items()
    }
    axes, rates = (Axis("pruned", "%"), Axis("gain in accuracy", "points")), _percents(RATES)
    return Chart.of("lines", "Gain over magnitude beyond 80 %", axes, rates, cells)


def _percents(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _reasons(found: Beyond) -> Chart:
    lines = {
        "d² kept by magnitude": [found.shares["magnitude", rate].energy for rate in RATES],
        "d² kept by DP": [found.shares["dp", rate].energy for rate in RATES],
        "matrices DP starves": [found.shares["dp", rate].starved for rate in RATES],
    }
    series = tuple(
        Series(title, tuple(_percents(RATES)), tuple(_percents(each)))
        for title, each in lines.items()
    )
    axes = Axis("pruned", "%"), Axis("share", "%")
    return Chart("lines", "What the plans keep, and whom DP starves", *axes, series)


def finding(found: Beyond) -> str:
    """How the gain changes with the rate, and what changes with it."""
    courses = (_course(found, method, TITLES[method]) for method in METHODS[1:])
    lines = [_answer(found), *(one for one in courses if AHEAD not in one or BEHIND in one)]
    first, last = RATES[0], min(RATES, key=lambda rate: _gain(found, "dp", rate))
    lines.append(
        f"Of the sum of d², DP keeps {_energies(found, first)} by magnitude at {pruned(first)}, "
        f"and {_energies(found, last)} at {pruned(last)}, where its gain is least."
    )
    starved = [found.shares["dp", rate].starved for rate in (first, last)]
    lines.append(
        f"At {pruned(first)} it leaves {percent(starved[0])} of the matrices less than a tenth of "
        f"their even share, at {pruned(last)} {percent(starved[1])}: the strength moves densities "
        f"by up to ±{number(200 * PruningParameters().strength)} points, however little is left to "
        "share out. That goes along with the loss; *Strength against rate* tests whether a smaller "
        "strength at the same rate loses less."
    )
    return " ".join(lines)


def _gain(found: Beyond, method: str, rate: float) -> float:
    return found.over(method, rate).difference.value


def _energies(found: Beyond, rate: float) -> str:
    mine, other = (found.shares[method, rate].energy for method in ("dp", "magnitude"))
    return f"{percent(mine)} against {percent(other)}"


def _roomy(found: Beyond) -> list[float]:
    """The rates at which magnitude still answers enough."""
    rates = [r for r in RATES if mean_share(found.at("magnitude", r)) >= FLOOR]
    return rates or list(RATES)


def _answer(found: Beyond) -> str:
    """The answer, one sentence per method; and the rates that allow none."""
    rates = _roomy(found)
    first, last = rates[0], rates[-1]
    lines = []
    for method, title in TITLES.items():
        gains = [found.over(method, rate) for rate in rates]
        sides = dict(zip(rates, verdicts(gains), strict=True))
        ahead = [pruned(rate) for rate in rates if sides[rate] > 0]
        moved = gains[-1].difference.value - gains[0].difference.value
        how = "falls" if moved < 0 else "rises"
        lines.append(
            f"{title} {f'{AHEAD} {listed(ahead)}' if ahead else 'has no gain'}; "
            f"its difference {how} from {gap(gains[0].difference)} at {pruned(first)} to "
            f"{gap(gains[-1].difference)} at {pruned(last)}."
        )
    floor = [pruned(rate) for rate in RATES if rate not in rates]
    if floor:
        lines.append(
            f"At {listed(floor)} magnitude itself answers less than {percent(FLOOR)}: too little "
            "to compare there."
        )
    return " ".join(lines)


def short(found: Beyond) -> str:
    """Where DP and DPPA are better and worse than magnitude; each model alone."""
    return " ".join(_course(found, method, title) for method, title in TITLES.items())


def _course(found: Beyond, method: str, title: str) -> str:
    gains = {pruned(rate): found.over(method, rate) for rate in _roomy(found)}
    words = {1: f"{AHEAD} {{}}", -1: f"{BEHIND} {{}}"}
    parts = verdict_texts(words, gains)
    if not parts:
        return f"No difference between {title} and magnitude was seen at any rate from 80 % on."
    ahead = max(verdicts(list(gains.values()))) > 0
    return f"{title} {', and '.join(parts)}{'' if ahead else ', and ahead at none'}."


BEYOND = Declared(
    key="beyond",
    number="6a",
    title="Gain against rate beyond 80 %",
    question="Does the gain shrink as the rate rises beyond 80 %, as the paper reports without "
    "saying why?",
    measured="Each domain model alone at five rates, {test} test items of its domain; factors are "
    f"chosen on {{search}} search items, {CHOSEN}. Beside the answers stands what the plans keep, "
    "before any weight is touched: the share of the sum of d², and how many matrices DP leaves "
    "less than a tenth of the even share 1 − rate.",
    steps=steps,
)
