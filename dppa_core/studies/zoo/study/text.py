"""The study as a page: figures of every merge, comparisons over seeds, and their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from dppa_core.evaluation.tables import listed, settings_text
from dppa_core.studies.zoo.study.compare import (
    EQUAL,
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    SeedComparison,
    answer_little,
    apart,
    by_accuracy,
    by_kind,
    claim_rates,
    compare,
    of_all_sizes,
    of_one_model,
    retention,
    student_interval,
)
from dppa_core.studies.zoo.study.merges import ALL, MAIN_RATE, MODULES, key_of
from dppa_core.studies.zoo.trained_set import set_title
from dppa_core.tasks.intervals import Interval, holm
from dppa_core.tuning.search.axes import FACTORS, LEAST_STRENGTH, LONE_FACTORS

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


def markdown(sets: Sequence[Measured], command: str) -> str:
    """The page, from what `measure_set` returned for every set."""
    parts = [
        "# Over seeds and regimes\n\nThe [study plan](study-plan.md) fixed beforehand what is "
        "measured, and how. Its end lists what was changed later, and when: the search, for one, "
        "twice. Retention is a merge's accuracy divided by the domain model's own, the arithmetic "
        "mean of math, finance and law (most experiments use the geometric one). All sets are "
        "asked the same items; intervals treat them as independent, though "
        f"patterns of sentences recur. {_at_an_end(sets)} Made by `{command}`."
    ]
    parts += [_group(size, regime, of) for (size, regime), of in sorted(by_kind(sets).items())]
    parts += [_all_sizes(regime, of) for regime, of in of_all_sizes(sets).items()]
    return "\n\n".join(parts) + "\n"


def _at_an_end(sets: Sequence[Measured]) -> str:
    """How many searches chose a number at an end of its range: the best may lie beyond."""
    values = [row["values"] for of in sets for row in of["merges"]]
    asked = [one for one in values if any(name.startswith("factor") for name in one)]
    ended = sum(
        any(v in _bounds(one) for name, v in one.items() if name.startswith("factor"))
        for one in asked
    )
    strengths = [one["strength"] for one in values if "strength" in one]
    least = sum(v <= LEAST_STRENGTH for v in strengths)
    return (
        f"Factors lie between {LONE_FACTORS[0]:g} and {LONE_FACTORS[1]:g}; where embeddings stay "
        f"whole, beside a coefficient, between {FACTORS[0]:g} and {FACTORS[1]:g}. "
        f"{ended} of {len(asked)} searches chose such an end, {least} of {len(strengths)} the "
        "least strength, "
        f"{LEAST_STRENGTH:g}: beyond may be better. DPA is strength 0. Within its settings a "
        "search may miss better numbers (the plan says how near it comes), so small differences "
        "may come from that."
    )


def _bounds(values: Mapping[str, float]) -> tuple[float, float]:
    return FACTORS if "coefficient" in values else LONE_FACTORS


def _group(size: str, regime: str, sets: Sequence[Measured]) -> str:
    seeds = [str(of["set"]["seed"]) for of in sets]
    told = f"Seeds: {', '.join(seeds)}. {_alone(sets)}"
    parts = [f"## {size}, {regime}", told]
    if len(sets) < LEAST_SEEDS:
        parts += [
            f"Fewer than {LEAST_SEEDS} seeds: figures without a claim. Intervals (95 %) are over "
            "questions alone; other seeds may differ by more."
        ]
        return "\n\n".join([*parts, *map(_one_set, sets)])
    return "\n\n".join([*parts, *_compared(sets), _figures(sets)])


def _compared(sets: Sequence[Measured]) -> list[str]:
    """The comparisons by retention, and by accuracy where a model answers little."""
    parts = _claims(sets, "By retention")
    if answer_little(sets):
        parts += _claims(by_accuracy(sets), "By accuracy, since a model answers less than half")
    return parts


def _all_sizes(regime: str, sets: Sequence[Measured]) -> str:
    sizes = listed(list(dict.fromkeys(of["set"]["size"] for of in sets)))
    told = (
        f"The {len(sets)} sets of {sizes} together, each counting once. Not planned: decided after "
        "the tables of each size had been seen. So its outcomes are hints and no claims. DPPA "
        f"minus magnitude by set: {'; '.join(_leverage(sets, rate) for rate in claim_rates(sets))}."
    )
    return "\n\n".join([f"## {regime}, all sizes", told, *_compared(sets)])


def _leverage(sets: Sequence[Measured], rate: float) -> str:
    """The set with the largest difference at a rate, beside the mean of the others, in points."""
    (gaps,) = (
        one.by_seed for one in compare(sets, rate) if (one.one, one.other) == ("dppa", "magnitude")
    )
    largest = max(range(len(gaps)), key=lambda place: abs(gaps[place]))
    rest = fmean(gap for place, gap in enumerate(gaps) if place != largest)
    return (
        f"at {100 * rate:g} % {set_title(sets[largest]['set'])} {100 * gaps[largest]:+.1f} points, "
        f"the others {100 * rest:+.1f} on average"
    )


def _claims(sets: Sequence[Measured], by: str) -> list[str]:
    """The comparisons at every rate that all sets were measured at."""
    found = {rate: compare(sets, rate) for rate in claim_rates(sets)}
    if not found:
        return ["No rate was measured in every set with all controls: no comparison."]
    every = iter(holm([one.p for of in found.values() for one in of]))
    every_one = sum(map(len, found.values()))
    return [
        f"{by}. P-values are corrected by Holm: for the {len(PRIMARY)} comparisons of a rate, as "
        f"planned (one less without a control), and for all {every_one} of the rates below. The "
        "last column goes by the former.",
        *(_comparisons(of, rate, [next(every) for _ in of]) for rate, of in found.items()),
        *_secondary(sets),
    ]


def _secondary(sets: Sequence[Measured]) -> list[str]:
    """The comparisons planned later, at the rates that all sets were measured at."""
    found = {rate: compare(sets, rate, SECONDARY) for rate in claim_rates(sets, SECONDARY)}
    every = iter(holm([one.p for of in found.values() for one in of]))
    tables = [_comparisons(of, rate, [next(every) for _ in of]) for rate, of in found.items()]
    return (
        [
            f"Planned later and secondary, so hints and no claims; corrected for the "
            f"{len(SECONDARY)} of a rate:",
            *tables,
        ]
        if tables
        else []
    )


def _one_set(of: Measured) -> str:
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


def _rate(row: Measured) -> str:
    if not row["rate"]:
        return "–"
    whole = ", embeddings whole" if row["budget"] == MODULES else ""
    return f"{100 * row['rate']:g} %{whole}"


def _alone(sets: Sequence[Measured]) -> str:
    means = {
        domain: fmean(of["own"][domain].count("1") / len(of["own"][domain]) for of in sets)
        for domain in sets[0]["own"]
    }
    told = ", ".join(f"{domain} {100 * mean:.1f} %" for domain, mean in means.items())
    asked = ", ".join(f"{len(hits)} of {domain}" for domain, hits in sets[0]["own"].items())
    return (
        f"Domain models alone answer {told} of their own test items ({asked}). {_unmerged(sets)} "
        f"Settings were chosen on {sets[0]['search_items']} search items of each domain."
    )


def _unmerged(sets: Sequence[Measured]) -> str:
    """What is kept without a merge: by the base, and by the best of the domain models."""
    best = f"{100 * fmean(map(of_one_model, sets)):.1f} %"
    if not all("unmerged" in of for of in sets):
        return f"Not merged, the best of them keeps {best} or more."
    base = fmean(retention(of["unmerged"]["base"], of["own"]) for of in sets)
    return f"Not merged, the best of them keeps {best}, the base {100 * base:.1f} %."


def _comparisons(found: Sequence[SeedComparison], rate: float, every: Sequence[float]) -> str:
    head = (
        f"| at {100 * rate:g} % of all entries | question | points | over seeds | seeds and items "
        "| p | corrected, rate | corrected, all | |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *map(_comparison, found, every)])


def _comparison(one: SeedComparison, every: float) -> str:
    names = f"{TITLES[one.one]} minus {TITLES[one.other]}"
    mean = f"{100 * one.over_seeds.value:+.1f}"
    ends = _ends(one.over_seeds), _ends(one.hierarchical)
    cells = (mean, *ends, *map(_p, (one.p, one.corrected, every)))
    return f"| {names} | {one.question} | {' | '.join(cells)} | {VERDICTS[one.verdict]} |"


def _ends(one: Interval) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _figures(sets: Sequence[Measured]) -> str:
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
