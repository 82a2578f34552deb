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
from dppa_lab.zoo.study.merges import MODULES, SHUFFLED, StudyMerge
from dppa_lab.zoo.study.shuffled import shuffle_set
from dppa_lab.zoo.trained_set import TrainedSet, trained_set


def measure_set(
    folder: Path,
    every: Sequence[StudyMerge],
    *,
    limit: int | None = None,
    search_items: int = JOINT_ITEMS,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The hits of every merge on the test items, as a JSON-ready dictionary.

    Args:
        folder: A set that `dppa zoo train` made, all three domains.
        every: The merges to measure.
        limit: Test items per domain; all if None.
        search_items: Search items per domain, on which the numbers of a merge are chosen.

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
        for merge in every
        # An adapter changes modules alone: both budgets count the same delta.
        if not (models.adapted and merge.budget == MODULES)
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
    shuffled, chosen = None, dict[str, Mapping[str, float]]()
    for merge in selected:
        references = models.references
        if merge.name == SHUFFLED:
            if shuffled is None:
                shuffled = shuffle_set(models.written(place / "whole"), place / "shuffled")
            references = trained_set(shuffled).references
        entry = replace(merge.entry, references=references)
        choice = choose(
            entry,
            examiner,
            models.references,
            times=merge.times,
            begun=chosen.get(merge.begins),
        )
        chosen[merge.name] = choice.values
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
