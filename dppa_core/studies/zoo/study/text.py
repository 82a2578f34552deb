"""The study as a page: figures of every merge, comparisons over seeds, and their words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dppa_core.evaluation.tables import settings_text
from dppa_core.studies.zoo.study.compare import (
    LEAST_SEEDS,
    SeedComparison,
    apart,
    claim_rates,
    compare,
    retention,
)
from dppa_core.studies.zoo.study.merges import ALL, MAIN_RATE
from dppa_core.tasks.intervals import Interval

TITLES = {
    "task_arithmetic": "task arithmetic",
    "magnitude": "magnitude pruning",
    "dp": "DP",
    "dppa": "DPPA (joint)",
    "dare": "DARE",
    "ties": "TIES",
    "reversed": "DPPA, densities reversed",
    "random": "DPPA, random significance",
    "shuffled": "DPPA on shuffled deltas",
}
VERDICTS = {
    "more": "keeps more",
    "less": "keeps less",
    "alike": "no difference",
    "open": "open",
}
Measured = Mapping[str, Any]


def markdown(sets: Sequence[Measured], command: str) -> str:
    """The page, from what `measure_set` returned for every set."""
    groups: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for of in sorted(sets, key=lambda of: of["set"]["seed"]):
        groups[of["set"]["size"], of["set"]["regime"]].append(of)
    parts = [
        "# Over seeds and regimes\n\nWhat was measured, and how, was fixed beforehand in the "
        "[study plan](study-plan.md). Retention is a merge's accuracy divided by the domain "
        f"model's own, averaged over math, finance and law. Made by `{command}`."
    ]
    parts += [_group(size, regime, of) for (size, regime), of in sorted(groups.items())]
    return "\n\n".join(parts) + "\n"


def _group(size: str, regime: str, sets: Sequence[Measured]) -> str:
    seeds = [str(of["set"]["seed"]) for of in sets]
    parts = [f"## {size}, {regime}", f"Seeds: {', '.join(seeds)}. {_alone(sets)}"]
    if len(sets) >= LEAST_SEEDS:
        parts += [_comparisons(compare(sets, rate), rate) for rate in claim_rates(sets)]
    else:
        parts += [
            f"Fewer than {LEAST_SEEDS} seeds: figures without a claim. Intervals (95 %) are over "
            "questions alone; other seeds may differ by more."
        ]
        return "\n\n".join([*parts, *map(_one_set, sets)])
    return "\n\n".join([*parts, _figures(sets)])


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
            found = apart(row["hits"], other, of["own"])
            gap = f"{100 * found.value:+.1f} ({_ends(found)})"
        settings = settings_text(row["values"])
        cells = (TITLES[row["name"]], _rate(row), kept, each, gap, settings)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rate(row: Measured) -> str:
    if not row["rate"]:
        return "–"
    whole = ", embeddings whole" if row["budget"] == "modules" else ""
    return f"{100 * row['rate']:g} %{whole}"


def _alone(sets: Sequence[Measured]) -> str:
    means = {
        domain: fmean(of["own"][domain].count("1") / len(of["own"][domain]) for of in sets)
        for domain in sets[0]["own"]
    }
    told = ", ".join(f"{domain} {100 * mean:.1f} %" for domain, mean in means.items())
    asked = ", ".join(f"{len(hits)} of {domain}" for domain, hits in sets[0]["own"].items())
    return (
        f"Domain models alone answer {told} of their own test items ({asked}). Settings were "
        f"chosen on {sets[0]['search_items']} search items of each domain."
    )


def _comparisons(found: Sequence[SeedComparison], rate: float) -> str:
    head = (
        f"| at {100 * rate:g} % of all entries | question | points | over seeds | seeds and items "
        "| p | corrected | |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *map(_comparison, found)])


def _comparison(one: SeedComparison) -> str:
    names = f"{TITLES[one.one]} minus {TITLES[one.other]}"
    mean = f"{100 * one.over_seeds.value:+.1f}"
    cells = (mean, _ends(one.over_seeds), _ends(one.hierarchical), _p(one.p), _p(one.corrected))
    return f"| {names} | {one.question} | {' | '.join(cells)} | {VERDICTS[one.verdict]} |"


def _ends(one: Interval) -> str:
    return f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _figures(sets: Sequence[Measured]) -> str:
    lines = [
        "| merge | pruned | counted | mean retention | by seed |\n| --- | --- | --- | --- | --- |"
    ]
    everywhere = set.intersection(*({row["key"] for row in of["merges"]} for of in sets))
    for row in sets[0]["merges"]:
        if row["key"] not in everywhere:
            continue
        hits = [next(m["hits"] for m in of["merges"] if m["key"] == row["key"]) for of in sets]
        kept = [100 * retention(of, one["own"]) for of, one in zip(hits, sets, strict=True)]
        seeds = ", ".join(f"{one:.1f}" for one in kept)
        rate = f"{100 * row['rate']:g} %" if row["rate"] else "–"
        counted = {"all": "all entries", "modules": "modules", "whole": "–"}[row["budget"]]
        title = TITLES[row["name"]]
        lines.append(f"| {title} | {rate} | {counted} | {fmean(kept):.1f} % | {seeds} |")
    return "\n".join(lines)
