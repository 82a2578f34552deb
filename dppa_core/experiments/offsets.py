"""Experiment 6c: the size of the offset, ‖d‖/‖W‖, against which method keeps most."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.advice import LARGE_CHANGE
from dppa_core.advice_run import profile_facts
from dppa_core.experiments.contest import (
    DRAWS,
    METHODS,
    TITLES,
    Contest,
    against_magnitude,
    contests,
    gap,
    points,
    tally,
)
from dppa_core.experiments.declared import Declared
from dppa_core.experiments.ranks import correlation
from dppa_core.experiments.scores import share
from dppa_core.experiments.setting import Setting
from dppa_core.experiments.steps import Steps
from dppa_core.experiments.values import Axis, Cell, Chart, Column, Findings, Row, Series, Table
from dppa_core.experiments.words import listed, number, percent, told, verdict
from dppa_core.profile import cached_profile

RATE = 0.9
"""That of the paper's rule of thumb for DARE; at 80 % all methods are too near each other."""
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Of every delta."""
KEEPS = 0.9
"""Share that DARE keeps where deltas are small, by the paper's rule of thumb."""
OTHERS = METHODS[1:]
Key = tuple[str, float]
"""Domain, scale."""


def steps(setting: Setting) -> Steps[Findings]:
    """Ask all, then tell."""
    changes = {
        one.domain: profile_facts(cached_profile(setting.base, one.model)).relative_change
        for one in setting.subjects
    }
    found = yield from contests({"": setting}, (RATE,), SCALES)
    cells = {
        (domain, scale): found["", domain, RATE, scale]
        for domain in setting.domains
        for scale in SCALES
    }
    return Findings((_table(changes, cells),), _plots(changes, cells), finding(changes, cells))


def _table(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> Table:
    columns = (
        *(Column("domain"), Column("delta", "×"), Column("‖d‖/‖W‖"), Column("unpruned", "%")),
        *(Column(TITLES[method], "%") for method in METHODS),
        Column("DPPA's factors"),
        *(Column(f"{TITLES[method]} − magnitude", "points") for method in OTHERS),
    )
    rows = []
    for (domain, scale), one in cells.items():
        gaps = (points(against_magnitude({domain: one}, method)) for method in OTHERS)
        first = Cell(one.subject.name), Cell(scale), Cell(scale * changes[domain])
        rows.append(Row((*first, *one.cells(), one.factors_cell(), *gaps)))
    return Table(f"Every delta at five sizes, pruned at {percent(RATE)}", columns, tuple(rows))


def _plots(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> tuple[Chart, ...]:
    order = sorted(cells, key=lambda key: key[1] * changes[key[0]])
    x = tuple(scale * changes[domain] for domain, scale in order)
    labels = tuple(f"{cells[key].subject.name} × {key[1]:g}" for key in order)
    gaps = []
    for method in OTHERS:
        each = [gap(against_magnitude({key[0]: cells[key]}, method)) for key in order]
        y = tuple(100 * one.value for one in each)
        low, high = tuple(100 * one.low for one in each), tuple(100 * one.high for one in each)
        gaps.append(Series(TITLES[method], x, y, low, high, labels))
    kept = [
        Series(TITLES[method], x, tuple(_kept(cells[key], method) for key in order), labels=labels)
        for method in METHODS
    ]
    offset = Axis("‖d‖/‖W‖")
    return (
        Chart(
            "scatter", "Against magnitude", offset, Axis("minus magnitude", "points"), tuple(gaps)
        ),
        Chart("scatter", "What is kept", offset, Axis("of unpruned", "%"), tuple(kept)),
    )


def _kept(one: Contest, method: str) -> float | None:
    """Per cent of what the unpruned model answers."""
    own = share(one.own)
    return 100 * one.marks[method].mean / own if own else None


def finding(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> str:
    """What was seen, for and against a role of the offset's size.

    Args:
        changes: Domain -> ‖d‖/‖W‖ of the whole delta.
        cells: The contests, by domain and scale.
    """
    offsets = [scale * changes[domain] for domain, scale in cells]
    lines = [
        f"‖d‖/‖W‖ goes from {number(min(offsets))} to {number(max(offsets))} in {len(cells)} cells."
    ]
    for method in OTHERS:
        better, same, worse = tally(cells.values(), method)
        lines.append(
            f"{TITLES[method]} keeps more than magnitude in {better}, less in {worse}; in {same} "
            "no difference was seen."
        )
    lines += [_by_scale(cells, method) for method in ("dp", "dppa")]
    lines += [_trend(changes, cells, method) for method in OTHERS]
    lines.append(_dare(changes, cells))
    return " ".join(lines)


def _by_scale(cells: Mapping[Key, Contest], method: str) -> str:
    """The differences at every scale, all domains together."""
    parts = []
    for scale in dict.fromkeys(scale for _, scale in cells):
        of = {domain: one for (domain, s), one in cells.items() if s == scale}
        parts.append(f"{told(against_magnitude(of, method))} at × {scale:g}")
    return f"{TITLES[method]} minus magnitude, over the domains: {listed(parts)}."


def _trend(changes: Mapping[str, float], cells: Mapping[Key, Contest], method: str) -> str:
    offsets = [scale * changes[domain] for domain, scale in cells]
    gaps = [gap(against_magnitude({key[0]: one}, method)).value for key, one in cells.items()]
    within = []
    for domain in changes:
        own = [place for place, key in enumerate(cells) if key[0] == domain]
        of = correlation([offsets[i] for i in own], [gaps[i] for i in own])
        within.append(f"{of:+.2f} in {domain}")
    overall = correlation(offsets, gaps)
    return (
        f"Rank correlation of ‖d‖/‖W‖ with what {TITLES[method]} has over magnitude: "
        f"{overall:+.2f} over all cells, {listed(within)}."
    )


def _dare(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> str:
    """The paper's rule of thumb, and the advisor's bound, against what DARE kept."""
    small = [key for key, one in cells.items() if (_kept(one, "dare") or 0.0) >= 100 * KEEPS]
    large = [key for key in cells if key[1] * changes[key[0]] >= LARGE_CHANGE]
    below = [key for key in large if key not in small]
    told_of = listed([f"{domain} × {scale:g}" for domain, scale in small]) or "none"
    best = [TITLES[method] for method in OTHERS if any(_wins(cells[key], method) for key in small)]
    return (
        f"DARE keeps {percent(KEEPS)} or more of the unpruned model in {len(small)} cells "
        f"({told_of}); of the {len(large)} with ‖d‖/‖W‖ from {LARGE_CHANGE:g} on, which the "
        f"advice calls large, in {len(large) - len(below)}. Better than magnitude where DARE "
        f"keeps so much: {listed(best) or 'no method'}."
    )


def _wins(one: Contest, method: str) -> bool:
    return verdict(against_magnitude({one.subject.domain: one}, method)) > 0


OFFSETS = Declared(
    key="offsets",
    number="6c",
    title="The size of the offset",
    question="Does ‖d‖/‖W‖ say which method keeps most?",
    measured="Every delta D is mixed as base + s·D, s from 0.25 to 2: that is the model, unpruned, "
    f"that pruning is compared with. It is pruned at {percent(RATE)} by every method and asked "
    f"{{test}} test items of its domain; DARE {DRAWS} times with other seeds, DPPA with factors "
    "climbed on {search} search items at every size. Pruning keeps the same entries at every size.",
    steps=steps,
)
