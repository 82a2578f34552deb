"""Measures all merges of the study on one set; what was measured before comes from the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dppa_core.errors import MissingCheckpoint
from dppa_core.studies.zoo.results.leaderboard import ChosenValues, choose
from dppa_core.studies.zoo.results.leaderboard_entry import Entry
from dppa_core.studies.zoo.results.leaderboard_exam import LeaderboardExaminer
from dppa_core.studies.zoo.results.scores import ZooExaminer
from dppa_core.studies.zoo.study.merges import (
    ALL,
    MAIN_RATE,
    StudyMerge,
    controls,
    key_of,
    merges,
)
from dppa_core.studies.zoo.study.shuffled import shuffle_set
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits
from dppa_core.tuning.search.joint import ITEMS

Say = Callable[[str], None]


def measure_set(
    folder: Path, *, limit: int | None = None, search_items: int = ITEMS, say: Say = lambda _: None
) -> dict[str, Any]:
    """The hits of every merge on the test items, as a JSON-ready dictionary.

    Args:
        folder: A set that `dppa zoo train` made: base, math, finance, law.
        limit: Test items per domain; all if None.
        search_items: Search items per domain, on which the numbers of a merge are chosen.

    Raises:
        MissingCheckpoint: a model of the set is not there.
    """
    training = _training(folder)
    examiner = LeaderboardExaminer(ZooExaminer(limit, search_items))
    own = {d: _bits(examiner.hits(str(folder / d), d, "test")) for d in DOMAINS}
    say(f"{folder.name}: alone " + _accuracies(own))
    rows = []
    for row in _rows(folder, examiner):
        rows.append(row)
        say(f"{folder.name}: {row['key']} " + _accuracies(row["hits"]))
    return {"set": training, "search_items": search_items, "own": own, "merges": rows}


def _rows(folder: Path, examiner: LeaderboardExaminer) -> Iterator[dict[str, Any]]:
    found = {}
    for merge in merges():
        entry = _on(merge.entry, folder)
        found[merge.key] = choose(entry, examiner)
        yield _row(merge, entry, found[merge.key], examiner)
    chosen = found[key_of("dppa", MAIN_RATE, ALL)]
    for name, control in controls().items():
        if name != "shuffled":
            yield _row(control, _on(control.entry, folder), chosen, examiner)
            continue
        with TemporaryDirectory(prefix="dppa-shuffled-") as place:
            shuffled = shuffle_set(folder, Path(place))
            yield _row(control, _on(control.entry, shuffled), chosen, examiner)


def _on(entry: Entry, folder: Path) -> Entry:
    return replace(entry, root=f"{folder}/")


def _row(
    merge: StudyMerge, entry: Entry, chosen: ChosenValues, examiner: LeaderboardExaminer
) -> dict[str, Any]:
    made = entry.recipes(chosen.point)
    return {
        "key": merge.key,
        "name": merge.name,
        "rate": merge.rate,
        "budget": merge.budget,
        "values": dict(chosen.values),
        "tried": {"losses": chosen.losses, "retentions": chosen.retentions},
        "hits": {d: _bits(examiner.hits(made[d], d, "test")) for d in DOMAINS},
    }


def _bits(hits: Hits) -> str:
    """A character for each item, 1 for a right answer."""
    return "".join("01"[hit] for hit in hits)


def _accuracies(hits: Mapping[str, str]) -> str:
    return ", ".join(f"{d} {100 * of.count('1') / len(of):.1f} %" for d, of in hits.items())


def _training(folder: Path) -> dict[str, Any]:
    """Size, regime and seed of the set, from its record."""
    record = folder / DOMAINS[0] / "training.json"
    for name in ("base", *DOMAINS):
        if not (folder / name / "training.json").is_file():
            raise MissingCheckpoint(
                f"{folder}: no model {name}. `dppa zoo train` makes a set of four models."
            )
    told = json.loads(record.read_text("utf-8"))
    return {
        "size": told.get("size", "embedded"),
        "regime": told.get("regime", "settled"),
        "seed": told.get("seed", 0),
    }
