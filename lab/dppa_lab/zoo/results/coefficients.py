"""Measures whether AdaMerging beats a uniform coefficient on the embedded models.

The uniform coefficient is the best of a grid on search items; AdaMerging starts there, or at 0.3 as
in the paper, and keeps its best checkpoint on the same items. Results come from the test split.
Answers are cached and logs of AdaMerging stored in a work folder, so that it can resume.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam, Target, target_name
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.system.atomic_folders import replace_file, unwritable
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import accuracy
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, with_coefficients
from dppa_core.tuning.adamerging.texts import task_domains
from dppa_lab.zoo.results.retained import DomainHits, paired_gain

GRID = tuple(round(0.1 * step, 1) for step in range(1, 11))
RATE = 0.9
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CoefficientSearch:
    """One way to search for coefficients."""

    title: str
    changes: Mapping[str, Any]
    """Settings that differ from `common_settings`."""


WAYS = (
    CoefficientSearch("per layer", {"per": "layer"}),
    CoefficientSearch("per layer, surprise", {"per": "layer", "objective": "surprise"}),
    CoefficientSearch("per layer, domains balanced", {"per": "layer", "balance": "relative"}),
    CoefficientSearch("per model", {}),
    CoefficientSearch("per model, from 0.3", {"start": 0.3, "steps": 60, "every": 20}),
    CoefficientSearch("per model, the merge's own replies", {"positions": "own"}),
)
"""Searches start from the best uniform coefficient unless they set another."""


def unamplified() -> MergeRecipe:
    """DPPA of all three domain models, one partition at factor 1."""
    models = tuple(DomainModel(f"zoo:{domain}", (RATE,)) for domain in DOMAINS)
    return MergeRecipe("zoo:base", models, method="dppa")


def common_settings(start: float, held_out: int) -> AdaMergeSettings:
    """A few long steps, a minute a search, instead of the paper's 500 short ones, half an hour."""
    return AdaMergeSettings(
        start=start, lr=0.02, steps=30, every=10, batch=8, prompts=100, held_out=held_out
    )


def measure_coefficients(
    work: Path,
    *,
    limit: int | None = None,
    search_limit: int = 60,
    ways: Sequence[CoefficientSearch] = WAYS,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Measure everything, or what is still missing; ready for JSON.

    Args:
        work: Folder of AdaMerging's logs; use another one for other models or another version.
        limit: Test items per domain; all if None.
        search_limit: Search items per domain.

    Raises:
        InvalidValue: the work folder cannot be written.
    """
    measurements, plain = _Measurements(work, say), unamplified()

    def uniform(coefficient: float) -> MergeRecipe:
        return with_coefficients(plain, [[coefficient]] * len(DOMAINS))

    def marks(target: Target, split: str) -> DomainHits:
        items = search_limit if split == "search" else limit
        return measurements.marks(target, DOMAINS, split, items)

    def own_marks(split: str, items: int | None) -> DomainHits:
        return {d: measurements.marks(f"zoo:{d}", (d,), split, items)[d] for d in DOMAINS}

    own_hits, searched = own_marks("test", limit), own_marks("search", search_limit)
    grid = {c: retention(marks(uniform(c), "search"), searched) for c in GRID}
    best = max(grid, key=lambda coefficient: grid[coefficient])
    tested = marks(uniform(best), "test")
    searches = []
    for way in ways:
        log = measurements.run(plain, replace(common_settings(best, search_limit), **way.changes))
        rows = [list(row) for row in log["best"]["coefficients"]]
        hits = marks(with_coefficients(plain, rows), "test")
        searches.append(search_json(way.title, log, hits, tested, own_hits))
    return {
        "search_items": search_limit,
        "test_items": {domain: len(hits) for domain, hits in own_hits.items()},
        "own": shares(own_hits),
        "grid": {f"{coefficient:g}": kept for coefficient, kept in grid.items()},
        "uniform": {"coefficient": best, "test": shares(tested)},
        "found": searches,
    }


def search_json(
    title: str, log: Mapping[str, Any], hits: DomainHits, uniform: DomainHits, own_hits: DomainHits
) -> dict[str, Any]:
    """The result of one search.

    Args:
        log: Of AdaMerging.
        hits: On the test split, with the coefficients of the best checkpoint.
        uniform: The same with the best uniform coefficient.
        own: The same of each domain model on its own domain.
    """
    names = ("entropy", "perplexity", "accuracy")
    return {
        "title": title,
        "step": log["best"]["step"],
        "coefficients": log["best"]["coefficients"],
        "course": [
            [snapshot["step"], *(snapshot["mean"][name] for name in names)]
            for snapshot in log["snapshots"]
        ],
        "collapsed": log["collapsed"],
        "test": shares(hits),
        "gain": asdict(paired_gain(hits, uniform, shares(own_hits))),
    }


def shares(hits: DomainHits) -> dict[str, float]:
    """Domain -> accuracy, as a fraction."""
    return {domain: accuracy(answers).value for domain, answers in hits.items()}


def retention(merged: DomainHits, own_hits: DomainHits) -> float:
    """Mean over the domains of accuracy ÷ the own model's; raises InvalidValue if that is 0."""
    for domain in merged:
        if not any(own_hits[domain]):
            raise InvalidValue(
                f"The {domain} model answers none of its {len(own_hits[domain])} items, so nothing "
                "can be retained of it. Models of another zoo (DPPA_ZOO) are the usual cause."
            )
    return sum(accuracy(merged[d]).value / accuracy(own_hits[d]).value for d in merged) / len(
        merged
    )


class _Measurements:
    """Asks models and runs AdaMerging, whose logs are kept in the work folder."""

    def __init__(self, work: Path, say: Say) -> None:
        try:
            work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(work, error) from error
        self._work, self._say = work, say
        self._examiner = Examiner(ModelPool())

    def marks(
        self, target: Target, domains: Sequence[str], split: str, limit: int | None
    ) -> DomainHits:
        """The hits of a model on the items of a split."""
        exams = {domain: Exam(target, domain, split, limit) for domain in domains}
        marks = {domain: self._examiner.marks(exam) for domain, exam in exams.items()}
        self._say(f"asked {target_name(target)}: {', '.join(domains)}, {split}")
        return {domain: of_domain.hits for domain, of_domain in marks.items()}

    def run(self, plain: MergeRecipe, settings: AdaMergeSettings) -> dict[str, Any]:
        """The log of a run of AdaMerging."""
        text = recipe_hash(plain) + json.dumps(asdict(settings), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        path, state = (self._work / f"{key}.{name}.json" for name in ("log", "state"))
        if not path.exists():
            result = adamerge(plain, task_domains(DOMAINS, settings), settings, state=state)
            replace_file(path, json.dumps(result.to_json(), allow_nan=False) + "\n")
            state.unlink(missing_ok=True)
            self._say(f"ran AdaMerging: {path.name}")
        log: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return log
