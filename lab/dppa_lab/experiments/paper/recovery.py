"""Experiment 2: the accuracy that Dynamically Partition Amplification recovers at every rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.errors import many
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, factors_text, listed, percent
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tuning.search.verdict import CLAIM_DENSITY, CLAIM_RETENTION
from dppa_lab.experiments.exams import CHOSEN, alone, chosen_at, own_marks
from dppa_lab.experiments.paper.pruning import RATES
from dppa_lab.experiments.score_table import (
    RatedMarks,
    accuracy,
    compared,
    mean_share,
    points,
    pruned,
    retained,
    share,
    told,
    verdict_texts,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

CLAIM, CLAIMED_AT = CLAIM_RETENTION, round(1 - CLAIM_DENSITY, 9)
"""The paper's claim: at least this retention at this rate."""
Place = tuple[float, str]
"""Rate, domain."""


@dataclass(frozen=True, slots=True)
class Recovered(RatedMarks):
    """All marks of the experiment: of DP alone, and of DPPA with the chosen factors."""

    factors: dict[Place, tuple[float, ...]]
    scores: dict[Place, float]
    """Retention with these factors on the search items that chose them."""
    recipes: dict[Place, MergeRecipe]

    def added(self, rate: float) -> Comparison:
        """DPPA minus DP over all domains."""
        return self.gain("dppa", "dp", rate)

    def alone(self, domain: str, rate: float) -> Comparison:
        """DPPA minus DP on one domain."""
        after, before = (self.marks[kind, rate, domain] for kind in ("dppa", "dp"))
        return compared({domain: after}, {domain: before})


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors on search items, then ask test items with and without the factors."""
    searches = yield from chosen_at(setting, setting.subjects, RATES)
    factors = {place: search.amplification for place, search in searches.items()}
    own = yield from own_marks(setting)
    asked = {
        (kind, rate, one.domain): alone(setting, one, Treatment(kind, rate), by)
        for rate in RATES
        for one in setting.subjects
        for kind, by in (("dp", None), ("dppa", factors[rate, one.domain]))
    }
    asked |= {
        ("magnitude", CLAIMED_AT, one.domain): alone(
            setting, one, Treatment("magnitude", CLAIMED_AT)
        )
        for one in setting.subjects
    }
    marks = yield from all_asked({key: question for key, (_, question) in asked.items()})
    recipes = {key[1:]: recipe for key, (recipe, _) in asked.items() if key[0] == "dppa"}
    scores = {place: search.kept for place, search in searches.items()}
    found = Recovered(own, marks, factors, scores, recipes)
    return Findings((_table(setting, found),), (_plot(found),), finding(found), short=short(found))


def _table(setting: Setting, found: Recovered) -> Table:
    columns = (
        Column("domain"),
        Column("pruned", "%"),
        Column("DP", "%"),
        Column("DPPA", "%"),
        Column("factors, strongest / next band", "×"),
        Column("gain", "points"),
        Column("kept of the domain model", "%"),
    )
    rows = []
    for one in setting.subjects:
        for rate in RATES:
            place = rate, one.domain
            before, after = (found.marks[kind, rate, one.domain] for kind in ("dp", "dppa"))
            rows.append(
                Row(
                    (
                        Cell(one.name),
                        Cell(100 * rate),
                        accuracy(before),
                        accuracy(after),
                        Cell(factors_text(found.factors[place])),
                        points(found.alone(one.domain, rate), len(after.hits)),
                        retained({one.domain: after}, {one.domain: found.own[one.domain]}),
                    ),
                    dump_recipe(found.recipes[place]),
                )
            )
    return Table("Pruned by DP, then amplified; test items of each domain", columns, tuple(rows))


def _plot(found: Recovered) -> Chart:
    gains = {
        domain.rpartition(":")[2]: [points(found.alone(domain, rate)) for rate in RATES]
        for domain in found.own
    }
    axes, rates = (
        (Axis("pruned", "%"), Axis("gain in accuracy", "points")),
        [100 * r for r in RATES],
    )
    return Chart.of("lines", "What amplification adds to DP", axes, rates, gains)


def finding(found: Recovered) -> str:
    """Where amplification helps or harms, and whether the paper's claim is reached."""
    words = {
        1: "Amplification adds to DP at {}.",
        -1: "It makes DP worse at {}.",
        0: "No difference from DP alone was seen at {}.",
    }
    lines = verdict_texts(words, {pruned(rate): found.added(rate) for rate in RATES})
    widest = max(RATES, key=lambda rate: abs(found.added(rate).difference.value))
    lines.append(
        f"The largest difference over all domains is at {pruned(widest)}: "
        f"{told(found.added(widest))}."
    )
    lines += [_claim(found), _chance(found), _lost(found)]
    ones = sum(all(factor == 1 for factor in each) for each in found.factors.values())
    weaker = sum(each[-1] > each[0] for each in found.factors.values())
    lines.append(
        f"Of {many(len(found.factors), 'search', 'searches')} {ones} chose factors of 1, plain DP; "
        f"in {weaker} the weaker band has the larger factor."
    )
    return " ".join(lines)


def _without(found: Recovered) -> str:
    """The same of DP and of magnitude pruning, without amplification."""
    told_of = _claimed(found, "dp")[1], _claimed(found, "magnitude")[1]
    if set(told_of) == {_claimed(found)[1]}:
        return "by DP without factors and by plain magnitude as well"
    return f"by DP without factors {told_of[0]}; by plain magnitude {told_of[1]}"


def _claimed(found: Recovered, method: str = "dppa") -> tuple[dict[str, Cell], str]:
    """Retention of each domain at the claim's rate, and whether its interval supports the claim."""
    cells = {
        domain: retained({domain: found.marks[method, CLAIMED_AT, domain]}, {domain: own})
        for domain, own in found.own.items()
        if share(own)
    }
    groups: dict[str, list[str]] = {"reached by": [], "not reached by": [], "open for": []}
    for domain, cell in cells.items():
        above = cell.low is not None and cell.low >= 100 * CLAIM
        below = cell.high is not None and cell.high < 100 * CLAIM
        groups["reached by" if above else "not reached by" if below else "open for"].append(domain)
    parts = [f"{words} {listed(names)}" for words, names in groups.items() if names]
    return cells, "; ".join(parts)


def _claim(found: Recovered) -> str:
    cells, verdict_ = _claimed(found)
    return (
        f"The paper claims at least {percent(CLAIM)} kept with 20 % of the parameters; here: "
        f"{_shares(cells)}. By the intervals that is {verdict_}. Plain magnitude keeps "
        f"{_shares(_claimed(found, 'magnitude')[0])}."
    )


def _shares(cells: Mapping[str, Cell]) -> str:
    return listed(
        [f"{domain} {c.value:.0f} % ({c.low:.0f}–{c.high:.0f})" for domain, c in cells.items()]
    )


def short(found: Recovered) -> str:
    """Whether the paper's claim is reached, and what amplification adds."""
    gain = told(found.added(CLAIMED_AT))
    return (
        f"The paper's claim, {percent(CLAIM)} kept at {pruned(CLAIMED_AT)}, is "
        f"{_claimed(found)[1]} (by 95 % intervals), {_without(found)}. What amplification adds to "
        f"DP there: {gain}."
    )


def _chance(found: Recovered) -> str:
    """Retention at the claim's rate on test items, and on the items that chose the factors."""
    rate = CLAIMED_AT
    chosen = [found.scores[rate, domain] for domain in found.own]
    kept = [share(found.marks["dppa", rate, d]) / share(own) for d, own in found.own.items()]
    return (
        f"At {pruned(rate)} the factors were chosen by search items, of which they keep "
        f"{percent(sum(chosen) / len(chosen))} (mean of the domains); of the test items they keep "
        f"{percent(sum(kept) / len(kept))}. Choosing on some items keeps more of these by chance."
    )


def _lost(found: Recovered) -> str:
    """The share of DP's loss that amplification recovers at the largest rate."""
    rate = RATES[-1]
    own = mean_share(found.own)
    before, after = (mean_share(found.at(kind, rate)) for kind in ("dp", "dppa"))
    lost, back = own - before, after - before
    does = "brings {:+.1f} of them back" if back >= 0 else "takes another {:.1f} away"
    return (
        f"At {pruned(rate)} DP loses {100 * lost:.0f} points of accuracy on average, "
        f"amplification {does.format(100 * abs(back))}."
    )


RECOVERY = Declared(
    key="recovery",
    number="2",
    title="Recovery by DPA",
    question="How much of what pruning cost is brought back by amplifying bands of the delta?",
    measured="DP at each rate, its kept entries split into two equal bands. Factors are chosen "
    f"on {{search}} search items a domain, {CHOSEN}. Then {{test}} test items "
    "are asked. Differences are paired by item.",
    steps=steps,
)
