"""Experiment 6b: DPPA's gain over magnitude against the size of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Table, listed, percent
from dppa_lab.experiments.paper.contest import (
    METHODS,
    TITLES,
    Contest,
    against_magnitude,
    contests,
    kept,
)
from dppa_lab.experiments.score_table import row, table
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import Steps, declared
from dppa_lab.zoo.spec import EMBEDDED, SIZES, TrainingSize

RATES = (0.8, 0.9)
RIVALS = ("dp", "dppa")
FOLDER = Path("out/sizes")
"""Folder in which `dppa zoo train --size NAME` puts a size's models."""
Contests = Mapping[str, Mapping[str, Contest]]
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
    by_title = {size_setting.title: size_setting for size_setting in setting.sizes}
    by_title[EMBEDDED.name] = setting
    sizes = {name: size for name, size in SIZES.items() if name in by_title}
    by_place = yield from contests({name: by_title[name] for name in sizes}, RATES)
    by_rate = {
        rate: {
            name: {domain: by_place[name, domain, rate, 1.0] for domain in setting.domains}
            for name in sizes
        }
        for rate in RATES
    }
    tables = _trained(sizes, by_rate[RATES[0]]), _together(by_rate), _apart(by_rate)
    plots = tuple(_plot(sizes, at_rate, rate) for rate, at_rate in by_rate.items())
    return Findings(tables, plots)


def _millions(size: TrainingSize) -> float:
    return round(size.architecture.parameters / 1e6, 1)


def _texts(size: TrainingSize) -> float:
    """Texts of training, in per cent of the embedded models'."""
    return 100 * size.share * size.batch / EMBEDDED.batch


def _trained(sizes: Mapping[str, TrainingSize], at_rate: Contests) -> Table:
    """Each size with the accuracies of its domain models, which differ."""
    first = next(iter(at_rate.values()))
    columns = (
        *("size", "parameters|M", "steps of the recipe|%", "texts of it|%"),
        *(f"{contest.subject.name}, own|%" for contest in first.values()),
    )
    rows = (
        row(
            *(name, _millions(size), 100 * size.share, _texts(size)),
            *(contest.cells()[0] for contest in at_rate[name].values()),
        )
        for name, size in sizes.items()
    )
    return table("The sizes, and what their domain models answer", columns, rows)


def _together(by_rate: Mapping[float, Contests]) -> Table:
    columns = (
        *("size", "pruned|%"),
        *(f"{TITLES[method]} keeps|%" for method in ("magnitude", *RIVALS)),
        *(f"{TITLES[method]} − magnitude|points" for method in ("dare", *RIVALS)),
    )
    rows = (
        row(
            *(name, 100 * rate),
            *(kept(contests, method) for method in ("magnitude", *RIVALS)),
            *(against_magnitude(contests, method) for method in ("dare", *RIVALS)),
        )
        for rate, at_rate in by_rate.items()
        for name, contests in at_rate.items()
    )
    return table("Single deltas, the domains counting equally", columns, rows)


def _apart(by_rate: Mapping[float, Contests]) -> Table:
    columns = (
        *("size", "domain", "pruned|%", "unpruned|%"),
        *(f"{TITLES[method]}|%" for method in METHODS),
        "DPPA's factors",
    )
    rows = (
        row(name, contest.subject.name, 100 * rate, *contest.cells())
        for name in next(iter(by_rate.values()))
        for rate, at_rate in by_rate.items()
        for contest in at_rate[name].values()
    )
    return table("Accuracy of each domain on its own test items", columns, rows)


def _plot(sizes: Mapping[str, TrainingSize], at_rate: Contests, rate: float) -> Chart:
    alike = trained_alike(sizes)
    gaps = {
        TITLES[method]: [against_magnitude(at_rate[name], method) for name in alike]
        for method in ("dare", *RIVALS)
    }
    axes = Axis("parameters", "M"), Axis("minus magnitude", "points")
    title = f"Against magnitude at {percent(rate)}"
    return Chart.of("lines", title, axes, map(_millions, alike.values()), gaps, tuple(alike))


def trained_alike(sizes: Mapping[str, TrainingSize]) -> Mapping[str, TrainingSize]:
    """The sizes with as many texts as most of them; all, if no two learned from as many."""
    usual, members = Counter(map(_texts, sizes.values())).most_common(1)[0]
    if members == 1:
        return sizes
    return {name: size for name, size in sizes.items() if _texts(size) == usual}


MODEL_SIZES = declared("sizes", steps, wants)
