"""The study's tables: figures of every merge, and comparisons over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from dppa_core.charts.tables import markdown_table, settings_text, signed_text
from dppa_core.tasks.intervals import Interval, holm
from dppa_lab.zoo.study.merges import (
    ALL,
    BEGUN,
    CLAIM_RATES,
    MAIN_RATE,
    MODULES,
    TWICE,
    key_of,
)
from dppa_lab.zoo.study.nested_figures import NESTED
from dppa_lab.zoo.study.seed_comparison import (
    EQUAL,
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    SeedComparison,
    gap_over_items,
    retention,
    student_interval,
)
from dppa_lab.zoo.study.study_sets import (
    PAIRS,
    Sets,
    answers_little,
    by_accuracy,
    claim_rates,
    compare,
    confirmation,
    groups,
    without_new,
)

Values = Mapping[str, Any]
TITLES = {
    "task_arithmetic": "task arithmetic",
    "magnitude": "magnitude pruning",
    "dp": "DP",
    "dpa": "DPA (strength 0)",
    "dppa": "DPPA (joint)",
    "dare": "DARE",
    "ties": "TIES",
    TWICE: "DPA, 48 settings",
    BEGUN: "DPPA begun at DPA's best, 24 and 24 settings",
    "reversed": "DPPA, densities reversed",
    "random": "DPPA, entries ranked at random",
    "shuffled": "DPPA on shuffled deltas",
}
SHORT_TITLES = {"dppa": "DPPA", "dpa": "DPA"}
VERDICTS = {
    "more": "keeps more",
    "less": "keeps less",
    "alike": f"within {100 * EQUAL:g} points",
    "open": "open",
    "worthless": "none: both below one model",
}
NOTES = {"alike": "within 2 points"}
"""Verdicts that a page's table says otherwise."""


def study_tables(sets: Sets) -> str:
    """All tables of the command: the confirmation, then every kind of set."""
    planned, new = without_new(sets)
    parts = []
    if gaps := confirmation(new):
        parts += ["## Confirmation", _confirmed(gaps)]
        if answers_little(new):
            parts += ["By accuracy:", _confirmed(confirmation(by_accuracy(new)))]
        parts.append(_merges(new))
    elif new:
        parts += ["## Confirmation", *(_merges([measured]) for measured in new)]
    for name, members in groups(planned).items():
        parts.append(f"## {name}")
        if len(members) < LEAST_SEEDS:
            parts += [_merges([measured]) for measured in members]
            continue
        parts += _compared(members)
        if answers_little(members):
            parts += ["By accuracy:", *_compared(by_accuracy(members))]
        parts.append(_merges(members))
    return "\n\n".join(parts)


def _compared(sets: Sets) -> Iterator[str]:
    """The comparisons at every rate, first those planned, then the secondary ones; p-values also
    corrected for all rates."""
    columns = ("over seeds", "seeds and items", "p", "corrected, rate", "corrected, all", "")
    for pairs in (PRIMARY, SECONDARY):
        by_rate = {rate: compare(sets, rate, pairs) for rate in claim_rates(sets, pairs)}
        corrected = iter(holm([gap.p for gaps in by_rate.values() for gap in gaps]))
        for rate, gaps in by_rate.items():
            head = [f"at {100 * rate:g} % of all entries", "question", "points", *columns]
            rows = [
                [
                    *(_pair(gap), gap.question, *_gap(gap)),
                    *map(_p, (gap.p, gap.corrected, next(corrected))),
                    VERDICTS[gap.verdict],
                ]
                for gap in gaps
            ]
            yield markdown_table(head, rows)


def _confirmed(by_rate: Mapping[float, Sequence[SeedComparison]]) -> str:
    """The comparisons of the confirmation by rate, p-values corrected over all."""
    count = sum(map(len, by_rate.values()))
    head = ["comparison", "of all entries pruned", "points", "over seeds", "seeds and items", "p"]
    rows = [
        [
            *(_pair(gap), f"{100 * rate:g} %", *_gap(gap)),
            *(_p(gap.p), _p(gap.corrected), VERDICTS[gap.verdict]),
        ]
        for rate, gaps in by_rate.items()
        for gap in gaps
    ]
    return markdown_table([*head, f"corrected, all {count}", ""], rows)


def _pair(gap: SeedComparison) -> str:
    return f"{TITLES[gap.merge]} minus {TITLES[gap.rival]}"


def _gap(gap: SeedComparison) -> tuple[str, str, str]:
    """The difference in points and its two intervals."""
    return f"{100 * gap.over_seeds.value:+.1f}", _ends(gap.over_seeds), _ends(gap.hierarchical)


def _ends(gap: Interval) -> str:
    return f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _merges(sets: Sets) -> str:
    """The figures of each merge that every set has, beside DPPA at the same rate: over the seeds,
    or of one set with its domains and an interval over its items."""
    by_key = [{row["key"]: row for row in of["merges"]} for of in sets]
    lines = []
    for key, row in by_key[0].items():
        if not all(key in rows for rows in by_key):
            continue
        of_sets = [rows[key] for rows in by_key]
        kept = [100 * retention(r["hits"], of["own"]) for r, of in zip(of_sets, sets, strict=True)]
        domains = [100 * hits.count("1") / len(hits) for hits in row["hits"].values()]
        beside = key_of("dppa", row["rate"] or MAIN_RATE, row["budget"] if row["rate"] else ALL)
        gap = "–"
        if row["name"] != "dppa" and all(beside in rows for rows in by_key):
            gap = _minus_dppa(sets, of_sets, [rows[beside] for rows in by_key])
        whole = ", embeddings whole" if row["budget"] == MODULES else ""
        lines.append(
            [
                TITLES[row["name"]],
                f"{100 * row['rate']:g} %{whole}" if row["rate"] else "–",
                f"{fmean(kept):.1f} %",
                ", ".join(f"{share:.1f}" for share in (kept if len(sets) > 1 else domains)),
                gap,
                "; ".join(settings_text(r["values"]) for r in of_sets),
            ]
        )
    breakdown, by = ("by seed", " by seed") if len(sets) > 1 else ("math, finance, law", "")
    head = ["merge", "pruned", "mean retention", breakdown, "minus DPPA (joint)", f"settings{by}"]
    return markdown_table(head, lines)


def _minus_dppa(sets: Sets, rows: Sequence[Values], dppa: Sequence[Values]) -> str:
    """The difference of a merge from DPPA in points with its interval."""
    if len(sets) == 1:  # the same draws as in the overview
        turned = gap_over_items(dppa[0]["hits"], rows[0]["hits"], sets[0]["own"])
        gap = Interval(0.0 - turned.value, -turned.high, -turned.low)
    else:
        pairs = zip(rows, dppa, sets, strict=True)
        gaps = [
            retention(r["hits"], s["own"]) - retention(d["hits"], s["own"]) for r, d, s in pairs
        ]
        gap = student_interval(np.array(gaps))[0]
    return f"{100 * gap.value:+.1f} ({_ends(gap)})"


def confirmation_table(study: Values) -> str:
    """The four comparisons of the confirmation, and what the merges keep, of `study_figures`."""
    rows = [
        [
            f"{rate} %",
            " minus ".join(SHORT_TITLES.get(name, name) for name in pair[:2]),
            *(f"{100 * at['kept'][name]:.1f}" for name in pair[:2]),
            _difference(at["-".join(pair[:2])]),
        ]
        for rate in map("{:g}".format, (100 * share for share in CLAIM_RATES))
        for pair in PAIRS
        for at in [study["confirmation"][rate]]
    ]
    head = ["pruned", "comparison", "first keeps %", "second keeps %", "points"]
    return markdown_table(head, rows)


def nested_table(nested: Values) -> str:
    """What two searches of DPA and two of DPPA keep, of `nested_figures`, and their differences."""
    kept = {TITLES[name]: f"{100 * share:.1f}" for name, share in nested["kept"].items()}
    rows = [[title, share] for title, share in kept.items()]
    gaps = [
        [f"{TITLES[first]} minus {TITLES[second]}", _difference(nested[f"{first}-{second}"])]
        for first, second, _question in NESTED
        if f"{first}-{second}" in nested
    ]
    return "\n\n".join(
        [
            markdown_table(["95 % pruned by", "keeps %"], rows),
            *([markdown_table(["difference", "points"], gaps)] if gaps else []),
        ]
    )


def study_table(study: Values) -> str:
    """Kind of set and rate -> what whole deltas and DPPA keep, and two differences."""
    rows = [
        [
            *(name, f"{kind['sets']}", f"{rate} %"),
            *(f"{100 * at['kept'][merge]:.1f}" for merge in ("task_arithmetic", "dppa")),
            *(_difference(at[f"dppa-{rival}"]) for rival in ("magnitude", "task_arithmetic")),
        ]
        for name, kind in study["kinds"].items()
        for rate, at in kind["rates"].items()
    ]
    head = ["models", "sets", "pruned", "whole deltas %", "DPPA %", "DPPA minus magnitude"]
    return markdown_table([*head, "DPPA minus whole deltas"], rows)


def _difference(gap: Values) -> str:
    """In points; bold where a claim holds, without figures where both merges are too low."""
    if gap["verdict"] == "worthless":
        return "too low"
    text = signed_text(gap["value"], (gap["low"], gap["high"]))
    if gap["verdict"] in ("more", "less"):
        return f"**{text}**"
    return f"{text}, {NOTES.get(gap['verdict'], gap['verdict'])}"
