"""The study's numbers and tables: comparisons over seeds, by kind of set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from dppa_core.evaluation.tables import markdown_table, signed_text
from dppa_core.tasks.intervals import holm
from dppa_core.tuning.search.axes import FACTORS, LEAST_STRENGTH, LONE_FACTORS
from dppa_lab.zoo.study.compare import (
    LEAST_SEEDS,
    SECONDARY,
    SeedComparison,
    answer_little,
    apart,
    by_accuracy,
    by_kind,
    claim_rates,
    compare,
    embeddings_whole,
    hits_of,
    of_all_sizes,
    of_one_model,
    retention,
)
from dppa_lab.zoo.study.confirmation import PAIRS, confirmation, without_new
from dppa_lab.zoo.study.merges import ALL, CLAIM_RATES, MAIN_RATE, WHOLE, key_of
from dppa_lab.zoo.study.tables import TITLES, comparisons, confirmed, figures, one_set
from dppa_lab.zoo.trained_set import kind_title

Sets = Sequence[Mapping[str, Any]]
Values = Mapping[str, Any]
JOINED = "all sizes"
FEW = "one seed"
"""In the place of a verdict: an interval over items alone."""
WORDS = {"alike": "within 2 points"}
"""Verdicts that a table says otherwise."""


def groups(planned: Sets) -> dict[str, Sets]:
    """Kind of set -> its sets; regimes of several sizes also together, marked so."""
    single = {kind_title(of[0]["set"]): of for _, of in sorted(by_kind(planned).items())}
    joined = {f"{JOINED}, {regime}": of for regime, of in of_all_sizes(planned).items()}
    return {**single, **joined}


def study_tables(sets: Sets) -> str:
    """All tables of the command: the confirmation, then every kind of set."""
    planned, new = without_new(sets)
    parts = []
    if found := confirmation(new):
        parts += ["## Confirmation", confirmed(found)]
        if answer_little(new):
            parts += ["By accuracy:", confirmed(confirmation(by_accuracy(new)))]
        parts.append(figures(new))
    elif new:
        parts += ["## Confirmation", *map(one_set, new)]
    for name, of in groups(planned).items():
        parts.append(f"## {name}")
        if len(of) < LEAST_SEEDS:
            parts += map(one_set, of)
            continue
        parts += _compared(of)
        if answer_little(of):
            parts += ["By accuracy:", *_compared(by_accuracy(of))]
        parts.append(figures(of))
    return "\n\n".join(parts)


def _compared(sets: Sets) -> Iterator[str]:
    """The comparisons at every rate, first those planned, then the secondary ones; p-values also
    corrected for all rates."""
    for pairs in ((), (SECONDARY,)):
        found = {rate: compare(sets, rate, *pairs) for rate in claim_rates(sets, *pairs)}
        every = iter(holm([one.p for of in found.values() for one in of]))
        yield from (comparisons(of, rate, [next(every) for _ in of]) for rate, of in found.items())


def confirmation_table(study: Values) -> str:
    """The four comparisons of the confirmation, and what the merges keep, of `study_figures`."""
    rows = [
        [
            f"{rate} %",
            f"{_name(one)} minus {_name(other)}",
            *(f"{100 * at['kept'][name]:.1f}" for name in (one, other)),
            _difference(at[f"{one}-{other}"]),
        ]
        for rate in map("{:g}".format, (100 * share for share in CLAIM_RATES))
        for one, other, _ in PAIRS
        for at in [study["confirmation"][rate]]
    ]
    head = ["pruned", "comparison", "first keeps %", "second keeps %", "points"]
    return markdown_table(head, rows)


def study_table(study: Values) -> str:
    """Kind of set and rate -> what whole deltas and DPPA keep, and two differences."""
    rows = [
        [
            name,
            f"{kind['sets']}",
            f"{rate} %",
            *(f"{100 * at['kept'][merge]:.1f}" for merge in ("task_arithmetic", "dppa")),
            *(_difference(at[f"dppa-{other}"]) for other in ("magnitude", "task_arithmetic")),
        ]
        for name, kind in study["kinds"].items()
        for rate, at in kind["rates"].items()
    ]
    head = ["models", "sets", "pruned", "whole deltas %", "DPPA %", "DPPA minus magnitude"]
    return markdown_table([*head, "DPPA minus whole deltas"], rows)


def study_figures(sets: Sets) -> dict[str, Any]:
    """The numbers of both tables, and those that the searches ended at."""
    planned, new = without_new(sets)
    kinds = {name: _of_kind(of) for name, of in groups(planned).items()}
    single = [kind for name, kind in kinds.items() if not name.startswith(JOINED)]
    told = [one for kind in single for one in _verdicts(kind, "dppa-task_arithmetic")]
    told = [one for one in told if one not in ("worthless", FEW)]
    return {
        "sets": len(sets),
        "sets of the study": len(planned),
        "sets of the confirmation": len(new),
        "kinds": kinds,
        "DPPA minus whole deltas, that can be told": len(told),
        "DPPA minus whole deltas, less": told.count("less"),
        "confirmation": _confirmed(new),
        "searches": _ends(planned),
    }


def _verdicts(kind: Mapping[str, Any], pair: str) -> list[str]:
    return [at[pair]["verdict"] for at in kind["rates"].values() if pair in at]


def _of_kind(sets: Sets) -> dict[str, Any]:
    """Retentions and comparisons of a kind of set at each rate."""
    return {
        "sets": len(sets),
        "seeds": [of["set"]["seed"] for of in sets],
        "one model": fmean(map(of_one_model, sets)),
        "own": {d: fmean(_share(of["own"][d]) for of in sets) for d in sets[0]["own"]},
        "rates": {f"{100 * rate:g}": _at_rate(sets, rate) for rate in _rates(sets)},
    }


def _at_rate(sets: Sets, rate: float) -> dict[str, Any]:
    shared = set.intersection(*({row["key"] for row in of["merges"]} for of in sets))
    names = [name for name in TITLES if _key(name, rate) in shared]
    figures: dict[str, Any] = {"kept": {name: _kept(sets, name, rate) for name in names}}
    if len(sets) >= LEAST_SEEDS:
        pairs = [compare(sets, rate)] if rate in claim_rates(sets) else []
        pairs += [compare(sets, rate, SECONDARY)] if rate in claim_rates(sets, SECONDARY) else []
        figures |= {f"{one.one}-{one.other}": _values(one) for of in pairs for one in of}
    elif len(sets) == 1:
        figures |= {f"dppa-{name}": _of_one(sets[0], name, rate) for name in names}
    return figures


def _confirmed(new: Sets) -> dict[str, Any]:
    """Comparisons of the confirmation, those it calls secondary, and the retentions."""
    figures: dict[str, Any] = {}
    for rate, of in confirmation(new).items():
        (whole,) = compare(new, rate, [("task_arithmetic", "dppa", "")])
        kept = {name: _kept(new, name, rate) for name in ("task_arithmetic", "magnitude", "dpa")}
        figures[f"{100 * rate:g}"] = {
            "kept": {**kept, "dppa": _kept(new, "dppa", rate)},
            **{f"{one.one}-{one.other}": _values(one) for one in of},
            "task_arithmetic-dppa": _values(whole),
        }
    if (kept_whole := embeddings_whole(new, MAIN_RATE)) is not None:
        figures["embeddings whole"] = _values(kept_whole)
    return figures


def _ends(sets: Sets) -> dict[str, int]:
    """Searches of factors or strengths, and those that chose an end of a range."""
    values = [row["values"] for of in sets for row in of["merges"]]
    factors = [
        {value for name, value in one.items() if name.startswith("factor")}
        & {*(FACTORS if "coefficient" in one else LONE_FACTORS)}
        for one in values
        if any(name.startswith("factor") for name in one)
    ]
    strengths = [one["strength"] for one in values if "strength" in one]
    return {
        "of factors": len(factors),
        "of factors, at an end": sum(map(bool, factors)),
        "of strengths": len(strengths),
        "of strengths, at the least": sum(value <= LEAST_STRENGTH for value in strengths),
    }


def _values(one: SeedComparison) -> dict[str, Any]:
    """The wider of both intervals, the corrected p-value and the verdict."""
    interval = asdict(one.interval)
    return {**interval, "p": one.p, "corrected": one.corrected, "verdict": one.verdict}


def _rates(sets: Sets) -> list[float]:
    """Rates of all entries at which every set has DPPA and magnitude."""
    known = [{(row["name"], row["rate"]) for row in of["merges"]} for of in sets]
    rates = sorted({rate for rows in known for _, rate in rows if rate})
    names = ("dppa", "magnitude")
    return [r for r in rates if all((name, r) in rows for rows in known for name in names)]


def _of_one(of: Mapping[str, Any], other: str, rate: float) -> dict[str, Any]:
    """DPPA minus another merge of one set, with an interval over its items."""
    found = apart(hits_of(of, "dppa", rate), hits_of(of, other, rate), of["own"])
    return {**asdict(found), "verdict": FEW}


def _difference(found: Values) -> str:
    """In points; bold where a claim holds, without figures where both merges are too low."""
    if found["verdict"] == "worthless":
        return "too low"
    text = signed_text(found["value"], (found["low"], found["high"]))
    if found["verdict"] in ("more", "less"):
        return f"**{text}**"
    return f"{text}, {WORDS.get(found['verdict'], found['verdict'])}"


def _kept(sets: Sets, name: str, rate: float) -> float:
    """Mean retention of a merge over the sets."""
    return fmean(retention(hits_of(of, name, rate), of["own"]) for of in sets)


def _key(name: str, rate: float) -> str:
    return key_of(name, 0.0, WHOLE) if name == "task_arithmetic" else key_of(name, rate, ALL)


def _share(hits: str) -> float:
    return hits.count("1") / len(hits)


def _name(merge: str) -> str:
    return {"dppa": "DPPA", "dpa": "DPA"}.get(merge, merge)
