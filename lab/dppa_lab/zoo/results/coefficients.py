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
from dppa_core.tasks.intervals import Interval, accuracy
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, with_coefficients
from dppa_core.tuning.adamerging.texts import task_domains
from dppa_lab.zoo.results.retained import paired_gain

GRID = tuple(round(0.1 * step, 1) for step in range(1, 11))
RATE = 0.9

Say = Callable[[str], None]
DomainHits = Mapping[str, tuple[bool, ...]]
"""Domain -> whether each item was answered right."""


@dataclass(frozen=True, slots=True)
class CoefficientSearch:
    """One way to search for coefficients."""

    title: str
    changes: Mapping[str, Any]
    """Settings that differ from `common`'s."""


WAYS = (
    CoefficientSearch("per layer", {"per": "layer"}),
    CoefficientSearch("per layer, surprise", {"per": "layer", "objective": "surprise"}),
    CoefficientSearch("per layer, domains balanced", {"per": "layer", "balance": "relative"}),
    CoefficientSearch("per model", {}),
    CoefficientSearch("per model, from 0.3", {"start": 0.3, "steps": 60, "every": 20}),
    CoefficientSearch("per model, the merge's own replies", {"positions": "own"}),
)
"""Searches start from the best uniform coefficient unless they set another."""


@dataclass(frozen=True, slots=True)
class CoefficientsFound:
    """The result of one search."""

    title: str
    settings: AdaMergeSettings
    step: int
    """Step of the best checkpoint."""
    coefficients: tuple[tuple[float, ...], ...]
    course: tuple[tuple[int, float, float, float], ...]
    """Step, entropy in nats, perplexity and accuracy at every checkpoint, on search items."""
    collapsed: bool
    marks: DomainHits
    """Hits on the test split."""


@dataclass(frozen=True, slots=True)
class CoefficientReport:
    """Everything measured."""

    own: DomainHits
    """Each domain model on its own domain, test split."""
    grid: Mapping[float, float]
    """Uniform coefficient -> mean retention on search items."""
    uniform: tuple[float, DomainHits]
    """The best of them, on the test split."""
    found: tuple[CoefficientsFound, ...]
    search_items: int


def unamplified() -> MergeRecipe:
    """DPPA of all three domain models, one partition at factor 1."""
    models = tuple(DomainModel(f"zoo:{domain}", (RATE,)) for domain in DOMAINS)
    return MergeRecipe("zoo:base", models, method="dppa")


def common(start: float, held_out: int) -> AdaMergeSettings:
    """A few long steps, a minute a search, instead of the paper's 500 short ones, half an hour."""
    return AdaMergeSettings(
        start=start, lr=0.02, steps=30, every=10, batch=8, prompts=100, held_out=held_out
    )


def measure(
    work: Path,
    *,
    limit: int | None = None,
    search_limit: int = 60,
    ways: Sequence[CoefficientSearch] = WAYS,
    say: Say = lambda text: None,
) -> CoefficientReport:
    """Measure everything, or what is still missing.

    Args:
        work: Folder of AdaMerging's logs; use another one for other models or another version.
        limit: Test items per domain; all if None.
        search_limit: Search items per domain.

    Raises:
        InvalidValue: the work folder cannot be written.
    """
    asked = _Measurements(work, say)
    own = {d: asked.marks(f"zoo:{d}", (d,), "test", limit)[d] for d in DOMAINS}
    searched = {d: asked.marks(f"zoo:{d}", (d,), "search", search_limit)[d] for d in DOMAINS}
    plain = unamplified()

    def uniform(coefficient: float) -> MergeRecipe:
        return with_coefficients(plain, [[coefficient]] * len(DOMAINS))

    grid = {
        c: retention(asked.marks(uniform(c), DOMAINS, "search", search_limit), searched)
        for c in GRID
    }
    best = max(grid, key=lambda c: grid[c])
    tested = asked.marks(uniform(best), DOMAINS, "test", limit)
    found = []
    for way in ways:
        settings = replace(common(best, search_limit), **way.changes)
        log = asked.run(plain, settings)
        rows = [list(row) for row in log["best"]["coefficients"]]
        marks = asked.marks(with_coefficients(plain, rows), DOMAINS, "test", limit)
        found.append(_found(way, settings, log, marks))
    return CoefficientReport(own, grid, (best, tested), tuple(found), search_limit)


def retention(merged: DomainHits, own: DomainHits) -> float:
    """Mean over the domains of accuracy ÷ the own model's; raises InvalidValue if that is 0."""
    for domain in merged:
        if not any(own[domain]):
            raise InvalidValue(
                f"The {domain} model answers none of its {len(own[domain])} items, so nothing can "
                "be retained of it. Models of another zoo (DPPA_ZOO) are the usual cause."
            )
    return sum(accuracy(merged[d]).value / accuracy(own[d]).value for d in merged) / len(merged)


def as_json(report: CoefficientReport) -> dict[str, Any]:
    """A JSON-ready copy with accuracies instead of single hits."""

    def shares(hits: DomainHits) -> dict[str, float]:
        return {domain: accuracy(one).value for domain, one in hits.items()}

    return {
        "search_items": report.search_items,
        "test_items": {domain: len(hits) for domain, hits in report.own.items()},
        "own": shares(report.own),
        "grid": {f"{c:g}": value for c, value in report.grid.items()},
        "uniform": {"coefficient": report.uniform[0], "test": shares(report.uniform[1])},
        "found": [
            {
                "title": one.title,
                "step": one.step,
                "coefficients": one.coefficients,
                "course": one.course,
                "collapsed": one.collapsed,
                "test": shares(one.marks),
                "gain": asdict(difference(one.marks, report.uniform[1], report.own)),
            }
            for one in report.found
        ],
    }


def difference(merged: DomainHits, other: DomainHits, own: DomainHits) -> Interval:
    """Mean retention of one merge minus another's, paired by item."""
    return paired_gain(merged, other, {domain: accuracy(own[domain]).value for domain in merged})


def _found(
    way: CoefficientSearch, settings: AdaMergeSettings, log: Mapping[str, Any], marks: DomainHits
) -> CoefficientsFound:
    course = tuple(
        (one["step"], *(one["mean"][name] for name in ("entropy", "perplexity", "accuracy")))
        for one in log["snapshots"]
    )
    best = log["best"]
    rows = tuple(tuple(row) for row in best["coefficients"])
    return CoefficientsFound(
        way.title, settings, best["step"], rows, course, log["collapsed"], marks
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
        """Which items of a split a model answers rightly."""
        exams = {domain: Exam(target, domain, split, limit) for domain in domains}
        marks = {domain: self._examiner.marks(exam) for domain, exam in exams.items()}
        self._say(f"asked {target_name(target)}: {', '.join(domains)}, {split}")
        return {domain: found.hits for domain, found in marks.items()}

    def run(self, plain: MergeRecipe, settings: AdaMergeSettings) -> dict[str, Any]:
        """The log of a run of AdaMerging."""
        text = recipe_hash(plain) + json.dumps(asdict(settings), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        path, state = (self._work / f"{key}.{name}.json" for name in ("log", "state"))
        if not path.exists():
            found = adamerge(plain, task_domains(DOMAINS, settings), settings, state=state)
            replace_file(path, json.dumps(found.to_json(), allow_nan=False) + "\n")
            state.unlink(missing_ok=True)
            self._say(f"ran AdaMerging: {path.name}")
        log: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return log
