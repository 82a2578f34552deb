"""Experiment 3 as tables, plots and a paragraph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, capital
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.score_table import (
    Draws,
    against_draws,
    compared,
    difference_of,
    flipped,
    gap,
    mean_retained,
    points,
    pruned,
    told,
    told_each,
    verdict_texts,
    verdicts,
)

TITLES = {"dppa": "DPPA", "dare": "DARE", "ties": "TIES", "task_arithmetic": "task arithmetic"}
STEPS = 20
"""Of AdaMerging: few long ones, a minute, instead of the paper's 500 of 0.001, ten minutes."""
REFERENCE = "dppa"
RANDOM = "dare"


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge with its marks on all its domains."""

    method: str
    rate: float
    """0: nothing is pruned."""
    tuned: bool
    """Whether its coefficients are AdaMerging's."""
    coefficients: str
    """How the coefficients were chosen, in a few words."""
    recipe: MergeRecipe
    draws: Mapping[str, Draws]
    """Domain -> draws; one for a deterministic method."""
    unmoved: bool = False
    """Whether the checkpoint of AdaMerging that search items chose is the start, step 0."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        return TITLES[self.method] + (", AdaMerging" if self.tuned else "")

    @property
    def first(self) -> dict[str, Marks]:
        """Domain -> marks of the first draw."""
        return {domain: draws.marks[0] for domain, draws in self.draws.items()}

    @property
    def drawn(self) -> int:
        """Number of draws."""
        return max(len(draws.marks) for draws in self.draws.values())

    def against(self, other: Merge) -> Comparison | Interval:
        """Comparison with the first draw of another merge of the same models.

        All of its own draws count if it has several and the other method differs.
        """
        if self.drawn > 1 and other.method != self.method:
            return flipped(against_draws(other.first, self.draws, together=True))
        return compared(self.first, other.first)


@dataclass(frozen=True, slots=True)
class MergesMeasured:
    """All merges of the experiment."""

    own: Mapping[str, Marks]
    """Marks of each merged domain model on its own domain."""
    merges: tuple[Merge, ...]

    @property
    def named(self) -> str:
        """The merged domains."""
        return " + ".join(domain.rpartition(":")[2] for domain in self.own)

    def rates(self) -> list[float]:
        """The pruning rates above 0, ascending."""
        return sorted({one.rate for one in self.merges if one.rate})

    def of(self, method: str, rate: float, tuned: bool) -> Merge | None:
        """One merge, or None; merges of whole deltas match every rate."""
        for one in self.merges:
            if one.method == method and one.tuned == tuned and one.rate in (rate, 0.0):
                return one
        return None

    def kept(self, one: Merge) -> Cell:
        """Mean retention in per cent; of several draws the mean of theirs."""
        each = [
            {domain: draws.marks[place] for domain, draws in one.draws.items()}
            for place in range(one.drawn)
        ]
        return mean_retained(each, self.own)


def findings(found: MergesMeasured, missing: tuple[str, ...]) -> Findings:
    """Table, plot and findings."""
    return Findings((_table(found),), (_plot(found),), finding(found), missing, short(found))


def _table(found: MergesMeasured) -> Table:
    columns = (
        Column("merge"),
        Column("pruned", "%"),
        Column("coefficient", "×"),
        *(Column(domain.rpartition(":")[2], "%") for domain in found.own),
        Column("mean retention", "%"),
        *(Column(f"minus DPPA at {pruned(rate)}", "points") for rate in found.rates()),
        Column("minus the same with one coefficient", "points"),
    )
    rows = []
    for one in sorted(found.merges, key=lambda one: one.rate):
        scores = [of.cell() for of in one.draws.values()]
        references = [
            found.of(REFERENCE, rate, one.tuned) if one.rate in (rate, 0.0) else None
            for rate in found.rates()
        ]
        before = found.of(one.method, one.rate, False) if one.tuned else None
        rows.append(
            Row(
                (
                    Cell(one.name),
                    Cell(100 * one.rate),
                    Cell(one.coefficients),
                    *scores,
                    found.kept(one),
                    *(_gap(one, reference) for reference in references),
                    _gap(one, before),
                ),
                dump_recipe(one.recipe),
            )
        )
    return Table(f"{found.named}, test items", columns, tuple(rows))


def _gap(one: Merge, other: Merge | None) -> Cell:
    if other is None or other is one:
        return Cell(None)
    return points(one.against(other))


def _plot(found: MergesMeasured) -> Chart:
    series = []
    for rate in found.rates():
        for tuned in (False, True):
            places = [
                (title, one)
                for method, title in TITLES.items()
                if (one := found.of(method, rate, tuned)) is not None
            ]
            name = f"{pruned(rate)}{', AdaMerging' if tuned else ''}"
            kept = (found.kept(one) for _, one in places)
            series.append(Series.of(name, (title for title, _ in places), kept))
    return Chart(
        "bars",
        f"{capital(found.named)} in one model",
        Axis("method"),
        Axis("mean retention", "%"),
        tuple(series),
    )


def finding(found: MergesMeasured) -> str:
    """DPPA against each method, with and without AdaMerging, and the best merge."""
    lines = []
    for rate in found.rates():
        lines += [_rank(found, rate), _versus(found, rate)]
    lines.append(_adamerging(found))
    lines += [_papers_way(found, rate) for rate in found.rates()]
    return " ".join(line for line in lines if line)


def _rank(found: MergesMeasured, rate: float) -> str:
    merges = {title: found.of(method, rate, False) for method, title in TITLES.items()}
    cells = {title: found.kept(one) for title, one in merges.items() if one is not None}
    kept = {title: one.value for title, one in cells.items() if isinstance(one.value, float)}
    order = sorted(kept, key=lambda title: -kept[title])
    said = ", ".join(f"{title} {kept[title]:.0f} %" for title in order)
    return f"{found.named} at {pruned(rate)}, mean retention with one coefficient: {said}."


def _versus(found: MergesMeasured, rate: float) -> str:
    words = {1: "more is kept by {}", -1: "less is kept by {}"}
    words[0] = "no significant difference for {}"
    others = _against(found, rate, tuned=False)
    parts = verdict_texts(words, {f"{t} {gap(difference_of(of))}": of for t, of in others.items()})
    return f"Against DPPA at {pruned(rate)}: {'; '.join(parts)}." if parts else ""


def _against(
    found: MergesMeasured, rate: float, *, tuned: bool
) -> dict[str, Comparison | Interval]:
    reference = found.of(REFERENCE, rate, tuned)
    others = {
        title: found.of(method, rate, tuned)
        for method, title in TITLES.items()
        if method != REFERENCE
    }
    return {
        title + _once(other): other.against(reference)
        for title, other in others.items()
        if reference is not None and other is not None
    }


def _once(one: Merge) -> str:
    """A note if a random method has a single draw: another draw is another merge."""
    return " (one draw)" if one.method == RANDOM and one.drawn == 1 else ""


def short(found: MergesMeasured) -> str:
    """DPPA against the others at every rate, without and with AdaMerging."""
    lines = []
    for rate in found.rates():
        line = f"at {pruned(rate)} DPPA is {_placed(found, rate, tuned=False)}"
        if found.of(REFERENCE, rate, True):
            line += f"; with AdaMerging {_placed(found, rate, tuned=True)}"
        lines.append(f"{capital(line)}.")
    lines.append("Tuned unequally: DPPA's factors were searched, the others have a coefficient.")
    return " ".join(lines)


def _placed(found: MergesMeasured, rate: float, *, tuned: bool) -> str:
    words = {-1: "ahead of {}", 1: "behind {}", 0: "not significantly different from {}"}
    return ", ".join(verdict_texts(words, _against(found, rate, tuned=tuned)))


def _adamerging(found: MergesMeasured) -> str:
    gains = []
    for one in found.merges:
        if one.tuned:
            before = found.of(one.method, one.rate, False)
            if before is not None:
                gains.append((one, compared(one.first, before.first)))
    if not gains:
        return ""
    sides = verdicts([gain for _, gain in gains])
    better, worse = sides.count(1), sides.count(-1)
    lines = [
        f"AdaMerging, {STEPS} steps, made {better} of {len(gains)} merges better and {worse} "
        "worse; no other change is beyond chance."
    ]
    stayed = [one.method for one, _ in gains if one.unmoved]
    if stayed:
        summed = ", and TIES alone differs, as it is summed" if "ties" in stayed else ""
        lines.append(
            f"For {len(stayed)} of them the search items chose the start, step 0: it changed no "
            f"coefficient there{summed}."
        )
    moved = [pair for pair in gains if not pair[0].unmoved]
    if moved:
        most, gain = max(moved, key=lambda pair: abs(pair[1].difference.value))
        lines.append(
            f"Its largest effect: {found.named} by {TITLES[most.method]}"
            f"{f' at {pruned(most.rate)}' if most.rate else ''}, {told(gain)}."
        )
    return " ".join(lines)


def _papers_way(found: MergesMeasured, rate: float) -> str:
    """DPPA with AdaMerging, the paper's full method, against the others with AdaMerging."""
    reference = found.of(REFERENCE, rate, True)
    if reference is None:
        return ""
    others = told_each(_against(found, rate, tuned=True)).items()
    kept = found.kept(reference).value
    share = f" keeps {kept:.0f} %" if isinstance(kept, float) else ""
    ours = f"With AdaMerging, DPPA at {pruned(rate)}{share}."
    return f"{ours} The others with AdaMerging, minus DPPA: {'; '.join(map(' '.join, others))}."
