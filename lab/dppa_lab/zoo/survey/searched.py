"""What searched settings bring back of what pruning by magnitude costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from dppa_core.errors import many
from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_lab.zoo.study.compare import LEAST_SEEDS, student_interval
from dppa_lab.zoo.survey.rule import LEAST_OWN, Record, shrunk, title

BINS = ((0.9, 1.01), (0.5, 0.9), (0.0, 0.5))
"""Foretold retentions that are told together."""
FAR = 0.05
"""A difference of retentions that is told."""
TITLES = {"magnitude": "magnitude", "dppa": "DPPA", "dare": "DARE"}
RIVALS = ("dppa", "dare")


def regained(records: Sequence[Record]) -> list[str]:
    """What a search of DPPA's settings brings back, beside what shrinking costs."""
    found, more_than_one = [], dict[str, list[float]]()
    for one in records:
        own = one["own"].count("1")
        for at in one["places"] if own >= LEAST_OWN * len(one["own"]) else ():
            kept = at["pruned"]["magnitude"].count("1") / own
            if "searched" in at and kept < PROBE_KEEPS:
                back = [
                    at["searched"][method]["hits"].count("1") / own - kept
                    for method in ("dppa", "magnitude")
                ]
                found.append((1 - kept, 1 - shrunk(one, at["energy"]), *back))
                more_than_one.setdefault(title(one["set"]), []).append(back[0] - back[1])
    if not found:
        return []
    lost, shrinking, *back = (100 * fmean(column) for column in zip(*found, strict=True))
    sets = many(len(more_than_one), "set")
    more = sum(dppa > shrinking + FAR for _, shrinking, dppa, _ in found)
    return [
        f"Where magnitude loses a tenth or more and settings were searched, at "
        f"{_searched_at(records)} ({many(len(found), 'place')} in {sets}), it loses {lost:.0f} "
        f"points on average, shrinking alone {shrinking:.0f}. DPPA brings back {back[0]:.0f} "
        f"points, magnitude with one factor {back[1]:.0f}; by sets, DPPA minus that is "
        f"{_told(more_than_one)} points (Student's interval over sets). In {more} of these DPPA "
        f"brings back over {100 * FAR:g} points more than shrinking costs."
    ]


def _searched_at(records: Sequence[Record]) -> str:
    rates = {at["rate"] for one in records for at in one["places"] if "searched" in at}
    return listed([f"{100 * rate:g} %" for rate in sorted(rates)])


def added(records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]) -> list[str]:
    """A section of the page: what DPPA and DARE keep beyond magnitude, by what is foretold."""
    searched = _searched_at(records)
    sets = dict.fromkeys(title(one["set"]) for one in records)
    return [
        "## What DPPA and DARE add",
        f"At {searched} each method's factors, coefficient and strength were searched on "
        f"{records[0]['search_items']} search items, with one budget, in {len(sets)} of the sets "
        f"({'; '.join(sets)}). Differences are means over the deltas of a set, then over the sets, "
        "with Student's interval over sets (95 %), not corrected for their number: they support no "
        "claim. Magnitude has its one factor searched, too; the bins are those without. In "
        "brackets the deltas and sets.",
        _methods(records, foretold),
    ]


def _methods(records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]) -> str:
    rows = []
    for low, high in BINS:
        gaps: dict[str, dict[str, list[float]]] = {name: {} for name in RIVALS}
        for one in records:
            own, name = one["own"].count("1"), title(one["set"])
            for at in one["places"]:
                key = name, one["domain"], at["rate"]
                if "searched" not in at or not low <= foretold.get(key, -1.0) < high:
                    continue
                known = {m: of["hits"].count("1") / own for m, of in at["searched"].items()}
                for rival in RIVALS:
                    gaps[rival].setdefault(name, []).append(known[rival] - known["magnitude"])
        count = sum(map(len, gaps["dppa"].values()))
        if count:
            told = f"{100 * low:g} to {100 * min(high, 1):g} % ({count}, {len(gaps['dppa'])})"
            rows.append([told, *(_told(gaps[rival]) for rival in RIVALS)])
    heads = [f"{TITLES[name]} minus magnitude with one factor, points" for name in RIVALS]
    return markdown_table(["foretold retention by magnitude", *heads], rows)


def _told(by_set: Mapping[str, Sequence[float]]) -> str:
    means = np.array([np.mean(of) for of in by_set.values()])
    if len(means) < LEAST_SEEDS:
        return f"{100 * means.mean():+.1f}"
    found = student_interval(means)[0]
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
