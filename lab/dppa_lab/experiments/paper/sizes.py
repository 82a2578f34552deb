"""Experiment 6b: DPPA's gain over magnitude against the size of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.tables import Cell, Column, Row, Table, listed, percent
from dppa_lab.experiments.exams import CHOSEN
from dppa_lab.experiments.paper.contest import (
    DRAWS,
    METHODS,
    TITLES,
    Contest,
    against_magnitude,
    contests,
    kept,
)
from dppa_lab.experiments.score_table import (
    points,
)
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import Declared, Steps
from dppa_lab.zoo.spec import EMBEDDED, SIZES, TrainingSize

RATES = (0.8, 0.9)
RIVALS = ("dp", "dppa")
FOLDER = Path("out/sizes")
"""Folder in which `dppa zoo train --size NAME` puts a size's models."""
Cells = Mapping[str, Mapping[str, Contest]]
"""Size -> domain -> the contest, at one rate."""


def wants(setting: Setting) -> str:
    """Why the experiment cannot run: it needs models of other sizes. Empty if it can."""
    if setting.sizes:
        return ""
    if setting.base != embedded().base:
        return "it is about the embedded models, whose recipe makes other sizes of them"
    others = [size for size in SIZES.values() if size != EMBEDDED]
    how = listed([f"{size.name} (about {size.minutes} minutes of one core)" for size in others])
    return (
        "it needs the models at another size: `dppa zoo train --size NAME` trains them into "
        f"{FOLDER}, --sizes names another folder. There are {how}"
    )


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    settings = {size_setting.title: size_setting for size_setting in setting.sizes} | {
        EMBEDDED.name: setting
    }
    named = {name: SIZES[name] for name in SIZES if name in settings}
    by_place = yield from contests({name: settings[name] for name in named}, RATES)
    by_rate = {
        rate: {
            name: {domain: by_place[name, domain, rate, 1.0] for domain in setting.domains}
            for name in named
        }
        for rate in RATES
    }
    tables = (_trained(named, by_rate[RATES[0]]), _together(named, by_rate), _apart(named, by_rate))
    plots = tuple(_plot(named, cells, rate) for rate, cells in by_rate.items())
    return Findings(tables, plots)


def _millions(size: TrainingSize) -> float:
    return round(size.architecture.parameters / 1e6, 1)


def _trained(sizes: Mapping[str, TrainingSize], cells: Cells) -> Table:
    """Each size with the accuracies of its domain models, which differ."""
    first = next(iter(cells.values()))
    columns = (
        *(Column("size"), Column("parameters", "M"), Column("steps of the recipe", "%")),
        *(Column("texts of it", "%"),),
        *(Column(f"{contest.subject.name}, own", "%") for contest in first.values()),
    )
    rows = []
    for name, size in sizes.items():
        about = Cell(name), Cell(_millions(size)), Cell(100 * size.share), Cell(_texts(size))
        answered = (contest.cells()[0] for contest in cells[name].values())
        rows.append(Row((*about, *answered)))
    return Table("The sizes, and what their domain models answer", columns, tuple(rows))


def _together(sizes: Mapping[str, TrainingSize], by_rate: Mapping[float, Cells]) -> Table:
    columns = (
        *(Column("size"), Column("pruned", "%")),
        *(Column(f"{TITLES[m]} keeps", "%") for m in ("magnitude", *RIVALS)),
        *(Column(f"{TITLES[m]} − magnitude", "points") for m in ("dare", *RIVALS)),
    )
    rows = []
    for rate, cells in by_rate.items():
        for name in sizes:
            contests = cells[name]
            shares = (kept(contests, method) for method in ("magnitude", *RIVALS))
            gaps = (points(against_magnitude(contests, method)) for method in ("dare", *RIVALS))
            rows.append(Row((Cell(name), Cell(100 * rate), *shares, *gaps)))
    return Table("Single deltas, the domains counting equally", columns, tuple(rows))


def _apart(sizes: Mapping[str, TrainingSize], by_rate: Mapping[float, Cells]) -> Table:
    columns = (
        *(Column("size"), Column("domain"), Column("pruned", "%"), Column("unpruned", "%")),
        *(Column(TITLES[method], "%") for method in METHODS),
        Column("DPPA's factors"),
    )
    rows = []
    for name in sizes:
        for rate, cells in by_rate.items():
            for contest in cells[name].values():
                first = Cell(name), Cell(contest.subject.name), Cell(100 * rate)
                rows.append(Row((*first, *contest.cells(), contest.factors_cell())))
    return Table("Accuracy of each domain on its own test items", columns, tuple(rows))


def _plot(sizes: Mapping[str, TrainingSize], cells: Cells, rate: float) -> Chart:
    alike = trained_alike(sizes)
    gaps = {
        TITLES[method]: [points(against_magnitude(cells[name], method)) for name in alike]
        for method in ("dare", *RIVALS)
    }
    x, axes = (
        map(_millions, alike.values()),
        (Axis("parameters", "M"), Axis("minus magnitude", "points")),
    )
    title = f"Against magnitude at {percent(rate)}"
    return Chart.of("lines", title, axes, x, gaps, tuple(alike))


def trained_alike(sizes: Mapping[str, TrainingSize]) -> Mapping[str, TrainingSize]:
    """The sizes with as many texts as most of them; all, if no two learned from as many."""
    counts = Counter(map(_texts, sizes.values()))
    usual, members = counts.most_common(1)[0]
    if members == 1:
        return sizes
    return {name: size for name, size in sizes.items() if _texts(size) == usual}


def _texts(size: TrainingSize) -> float:
    """Texts of training, in per cent of the embedded models'."""
    return 100 * size.share * size.batch / EMBEDDED.batch


def _called(name: str, size: TrainingSize) -> str:
    return f"{name} ({_millions(size):.1f} M)"


MODEL_SIZES = Declared(
    key="sizes",
    number="6b",
    title="The size of the model",
    question="Does DPPA gain more over plain magnitude in larger models?",
    measured="The recipe of the embedded models at several sizes (`dppa zoo train --size`). Every "
    "domain model's delta is pruned and put back on its base alone, and asked {test} test items of "
    f"its domain; DARE {DRAWS} times with other seeds, DPPA with factors chosen on {{search}} "
    f"search items, {CHOSEN}. Retention, what is kept, is the geometric mean over the domains, in "
    "which a domain that is hardly answered weighs as much as the others; differences are of "
    "accuracies.",
    steps=steps,
    wants=wants,
)
