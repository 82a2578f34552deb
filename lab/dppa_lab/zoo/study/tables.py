"""The study's tables: figures of every merge, and comparisons over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from dppa_core.evaluation.tables import settings_text
from dppa_core.tasks.intervals import Interval
from dppa_lab.zoo.study.compare import (
    EQUAL,
    SeedComparison,
    apart,
    retention,
    student_interval,
)
from dppa_lab.zoo.study.merges import ALL, MAIN_RATE, MODULES, key_of

TITLES = {
    "task_arithmetic": "task arithmetic",
    "magnitude": "magnitude pruning",
    "dp": "DP",
    "dpa": "DPA (strength 0)",
    "dppa": "DPPA (joint)",
    "dare": "DARE",
    "ties": "TIES",
    "reversed": "DPPA, densities reversed",
    "random": "DPPA, entries ranked at random",
    "shuffled": "DPPA on shuffled deltas",
}
VERDICTS = {
    "more": "keeps more",
    "less": "keeps less",
    "alike": f"within {100 * EQUAL:g} points",
    "open": "open",
    "worthless": "none: both below one model",
}
Measured = Mapping[str, Any]


def one_set(of: Measured) -> str:
    """The figures of one set, each merge beside DPPA at the same rate."""
    lines = [
        "| merge | pruned | mean retention | math, finance, law | minus DPPA (joint) | settings |"
        "\n| --- | --- | --- | --- | --- | --- |"
    ]
    beside = {
        (row["rate"], row["budget"]): row["hits"] for row in of["merges"] if row["name"] == "dppa"
    }
    for row in of["merges"]:
        kept = f"{100 * retention(row['hits'], of['own']):.1f} %"
        each = ", ".join(
            f"{100 * hits.count('1') / len(hits):.1f}" for hits in row["hits"].values()
        )
        other = beside.get((row["rate"], row["budget"]) if row["rate"] else (MAIN_RATE, ALL))
        gap = "–"
        if other is not None and row["name"] != "dppa":
            found = apart(other, row["hits"], of["own"])  # the same draws as in the overview
            turned = Interval(0.0 - found.value, -found.high, -found.low)
            gap = f"{100 * turned.value:+.1f} ({_ends(turned)})"
        settings = settings_text(row["values"])
        cells = (TITLES[row["name"]], _rate(row), kept, each, gap, settings)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def comparisons(found: Sequence[SeedComparison], rate: float, every: Sequence[float]) -> str:
    """The comparisons of a rate; `every`: their p-values corrected over all rates."""
    head = (
        f"| at {100 * rate:g} % of all entries | question | points | over seeds | seeds and items "
        "| p | corrected, rate | corrected, all | |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *map(_comparison, found, every)])


def confirmed(found: Mapping[float, Sequence[SeedComparison]]) -> str:
    """The comparisons of the confirmation: rate -> those at it, p-values corrected over all."""
    head = (
        "| comparison | of all entries pruned | points | over seeds | seeds and items | p "
        f"| corrected, all {sum(map(len, found.values()))} | |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    rows = [
        f"| {_names(one)} | {100 * rate:g} % | {' | '.join([*_gaps(one), _p(one.p)])} "
        f"| {_p(one.corrected)} | {VERDICTS[one.verdict]} |"
        for rate, of in found.items()
        for one in of
    ]
    return "\n".join([head, *rows])


def _comparison(one: SeedComparison, every: float) -> str:
    cells = (*_gaps(one), *map(_p, (one.p, one.corrected, every)))
    return f"| {_names(one)} | {one.question} | {' | '.join(cells)} | {VERDICTS[one.verdict]} |"


def _names(one: SeedComparison) -> str:
    return f"{TITLES[one.one]} minus {TITLES[one.other]}"


def _gaps(one: SeedComparison) -> tuple[str, str, str]:
    """The difference in points and its two intervals."""
    mean = f"{100 * one.over_seeds.value:+.1f}"
    return mean, _ends(one.over_seeds), _ends(one.hierarchical)


def figures(sets: Sequence[Measured]) -> str:
    """The figures of each merge that every set has, over the sets."""
    lines = [
        "| merge | pruned | mean retention | by seed | minus DPPA (joint) | settings by seed |\n"
        "| --- | --- | --- | --- | --- | --- |"
    ]
    known = [{row["key"]: row for row in of["merges"]} for of in sets]
    for key in (key for key in known[0] if all(key in rows for rows in known)):
        row = known[0][key]
        each = [rows[key] for rows in known]
        kept = [retention(one["hits"], of["own"]) for one, of in zip(each, sets, strict=True)]
        beside = key_of("dppa", row["rate"] or MAIN_RATE, row["budget"] if row["rate"] else ALL)
        gap = "–"
        if row["name"] != "dppa" and all(beside in rows for rows in known):
            pairs = zip(kept, known, sets, strict=True)
            gaps = [k - retention(rows[beside]["hits"], of["own"]) for k, rows, of in pairs]
            found = student_interval(np.array(gaps))[0]
            gap = f"{100 * found.value:+.1f} ({_ends(found)})"
        seeds = ", ".join(f"{100 * one:.1f}" for one in kept)
        settings = "; ".join(settings_text(one["values"]) for one in each)
        mean = f"{100 * fmean(kept):.1f} %"
        cells = (TITLES[row["name"]], _rate(row), mean, seeds, gap, settings)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rate(row: Measured) -> str:
    if not row["rate"]:
        return "–"
    whole = ", embeddings whole" if row["budget"] == MODULES else ""
    return f"{100 * row['rate']:g} %{whole}"


def _ends(one: Interval) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
