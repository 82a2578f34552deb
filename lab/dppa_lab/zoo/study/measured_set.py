"""Measures all merges of the study on one set; what was measured before comes from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dppa_core.evaluation.scores import Target
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.zoo.results.choosing import choose
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.study.merges import (
    BUDGETS,
    METHODS,
    MODULES,
    RATES,
    SHUFFLED,
    WHOLE,
    StudyMerge,
    merges,
)
from dppa_lab.zoo.study.shuffled import shuffle_set
from dppa_lab.zoo.trained_set import TrainedSet, trained_set


def measure_set(
    folder: Path,
    *,
    limit: int | None = None,
    search_items: int = JOINT_ITEMS,
    rates: Sequence[float] = RATES,
    methods: Sequence[str] = METHODS,
    budgets: Sequence[str] = BUDGETS,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The hits of every merge on the test items, as a JSON-ready dictionary.

    Args:
        folder: A set that `dppa zoo train` made, all three domains.
        limit: Test items per domain; all if None.
        search_items: Search items per domain, on which the numbers of a merge are chosen.
        rates: Pruning rates to measure; the controls belong to `CLAIM_RATES`.
        methods: Names of the merges to measure.
        budgets: What their rates count; the controls belong to all entries.

    Raises:
        MissingCheckpoint: a model of the set is not there.
    """
    models = trained_set(folder)
    references, examiner = models.complete(), MergeExaminer(limit, search_items)
    unmerged = {
        name: _hits(dict.fromkeys(DOMAINS, references[name]), examiner)
        for name in ("base", *DOMAINS)
    }
    own_hits = {domain: unmerged[domain][domain] for domain in DOMAINS}
    say(f"{models.name}: alone " + _accuracies(own_hits))
    selected = [
        merge
        for merge in merges()
        if merge.rate in (0.0, *rates)
        and merge.name in methods
        and merge.budget in (WHOLE, *budgets)
        # An adapter changes modules alone: both budgets count the same delta.
        and not (models.adapted and merge.budget == MODULES)
    ]
    rows = []
    with TemporaryDirectory(prefix="dppa-shuffled-") as place:
        for row in _rows(models, selected, examiner, Path(place)):
            rows.append(row)
            say(f"{models.name}: {row['key']} " + _accuracies(row["hits"]))
    return {
        "set": dict(models.record),
        "search_items": search_items,
        "own": own_hits,
        "unmerged": unmerged,
        "merges": rows,
    }


def _rows(
    models: TrainedSet, selected: Sequence[StudyMerge], examiner: MergeExaminer, place: Path
) -> Iterator[dict[str, Any]]:
    shuffled = None
    for merge in selected:
        references = models.references
        if merge.name == SHUFFLED:
            if shuffled is None:
                shuffled = shuffle_set(models.written(place / "whole"), place / "shuffled")
            references = trained_set(shuffled).references
        entry = replace(merge.entry, references=references)
        choice = choose(entry, examiner, models.references)
        yield {
            "key": merge.key,
            "name": merge.name,
            "rate": merge.rate,
            "budget": merge.budget,
            "values": dict(choice.values),
            "tried": choice.tried,
            "hits": _hits(entry.recipes(choice.point), examiner),
        }


def _hits(targets: Mapping[str, Target], examiner: MergeExaminer) -> dict[str, str]:
    """Domain -> the hits of its model or merge on the test items."""
    return {domain: bits(examiner.hits(targets[domain], domain, "test")) for domain in DOMAINS}


def _accuracies(hits: Mapping[str, str]) -> str:
    return ", ".join(
        f"{d} {100 * answers.count('1') / len(answers):.1f} %" for d, answers in hits.items()
    )
