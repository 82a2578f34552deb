"""The study as a page: figures of every merge, comparisons over seeds, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from dppa_core.errors import many
from dppa_core.evaluation.tables import listed
from dppa_core.tasks.intervals import holm
from dppa_core.tuning.search.axes import FACTORS, LEAST_STRENGTH, LONE_FACTORS
from dppa_lab.zoo.study.compare import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    answer_little,
    by_accuracy,
    by_kind,
    claim_rates,
    compare,
    embeddings_whole,
    of_all_sizes,
    of_one_model,
    retention,
)
from dppa_lab.zoo.study.confirmation import PLANNED, confirmation, without_new
from dppa_lab.zoo.study.merges import MAIN_RATE
from dppa_lab.zoo.study.tables import (
    comparisons,
    confirmed,
    figures,
    one_set,
    points_text,
)
from dppa_lab.zoo.trained_set import kind_title, set_title

Measured = Mapping[str, Any]


def markdown(sets: Sequence[Measured], command: str) -> str:
    """The page, from what `measure_set` returned for every set."""
    planned, new = without_new(sets)
    parts = [
        "# Over seeds and regimes\n\nThe [study plan](study-plan.md) fixed beforehand what is "
        "measured, and how. Its end lists what was changed later, and when: the search, for one, "
        "twice. Retention is a merge's accuracy divided by the domain model's own, the arithmetic "
        "mean of math, finance and law (most experiments use the geometric one). All sets are "
        "asked the same items; intervals treat them as independent, though "
        f"patterns of sentences recur. {_at_an_end(planned)} Made by `{command}`."
    ]
    parts += [_new(new)] if new else []
    parts += [_group(size, regime, of) for (size, regime), of in sorted(by_kind(planned).items())]
    parts += [_all_sizes(regime, of) for regime, of in of_all_sizes(planned).items()]
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


def _new(sets: Sequence[Measured]) -> str:
    """The confirmation: sets trained to test what others had hinted at."""
    kinds = {kind_title(of[0]["set"]): of for of in by_kind(sets).values()}
    seeds = [
        f"{kind}, {many(len(of), 'seed')} ({', '.join(str(one['set']['seed']) for one in of)})"
        for kind, of in kinds.items()
    ]
    parts = [
        "## Confirmation",
        "Trained inside merges, as all *settled* sets, to test what ten others had hinted at, by "
        f"the plan's *Confirmation*: {len(sets)} of {len(PLANNED)} planned: {'; '.join(seeds)}, "
        "below in this order. The training is new, the questions are those of all sets. They enter "
        f"nothing else on this page. {_alone(sets)}",
    ]
    if found := confirmation(sets):
        tables = [confirmed(found), *_new_by_accuracy(sets), _beside(sets, found), figures(sets)]
        return "\n\n".join([*parts, *tables])
    few = f"Fewer than {LEAST_SEEDS} sets: figures without a claim."
    return "\n\n".join([*parts, few, *map(one_set, sets)])


def _beside(sets: Sequence[Measured], rates: Iterable[float]) -> str:
    """What the plan of the confirmation calls secondary: whole deltas, and embeddings whole."""
    whole = [
        f"{points_text(compare(sets, rate, [('task_arithmetic', 'dppa', '')])[0])} at "
        f"{100 * rate:g} %"
        for rate in rates
    ]
    told = f"Secondary: whole deltas minus DPPA is {listed(whole)} of all entries"
    kept = embeddings_whole(sets, MAIN_RATE)
    if kept is None:
        return f"{told}."
    return (
        f"{told}. With embeddings whole DPPA minus magnitude is {points_text(kept)} at "
        f"{100 * MAIN_RATE:g} %."
    )


def _new_by_accuracy(sets: Sequence[Measured]) -> list[str]:
    """The confirmation by accuracy, which its plan did not name, where a model answers little."""
    if not answer_little(sets):
        return []
    told = "By accuracy, since a model answers less than half; not planned for these sets:"
    return [told, confirmed(confirmation(by_accuracy(sets)))]


def _group(size: str, regime: str, sets: Sequence[Measured]) -> str:
    seeds = [str(of["set"]["seed"]) for of in sets]
    told = f"Seeds: {', '.join(seeds)}. {_alone(sets)}"
    parts = [f"## {size}, {regime}", told]
    if len(sets) < LEAST_SEEDS:
        parts += [
            f"Fewer than {LEAST_SEEDS} seeds: figures without a claim. Intervals (95 %) are over "
            "questions alone; other seeds may differ by more."
        ]
        return "\n\n".join([*parts, *map(one_set, sets)])
    return "\n\n".join([*parts, *_compared(sets), figures(sets)])


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
        *(comparisons(of, rate, [next(every) for _ in of]) for rate, of in found.items()),
        *_secondary(sets),
    ]


def _secondary(sets: Sequence[Measured]) -> list[str]:
    """The comparisons planned later, at the rates that all sets were measured at."""
    found = {rate: compare(sets, rate, SECONDARY) for rate in claim_rates(sets, SECONDARY)}
    every = iter(holm([one.p for of in found.values() for one in of]))
    tables = [comparisons(of, rate, [next(every) for _ in of]) for rate, of in found.items()]
    return (
        [
            f"Planned later and secondary, so hints and no claims; corrected for the "
            f"{len(SECONDARY)} of a rate:",
            *tables,
        ]
        if tables
        else []
    )


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
