"""Every merge method on the embedded models: one merge of all three domains each, scored alike.

A joint search with one budget for all chooses factors, coefficient or scale, and strength of each
merge on the search split; results come from the test split. They are cached by the hash of their
recipe, so that a run can resume. `leaderboard_text` writes the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import DomainScore, Evaluation
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.progress import Progress
from dppa_core.studies.zoo.results.leaderboard_entry import VARIANTS, Entry, MethodVariant, entry
from dppa_core.studies.zoo.results.leaderboard_exam import Added, LeaderboardExaminer
from dppa_core.studies.zoo.results.scores import ZooExaminer, paired_gain, retained
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits, accuracy
from dppa_core.tuning.search.joint import (
    ACCURACIES,
    ITEMS,
    LOSSES,
    Budget,
    Point,
    joint_search,
)
from dppa_core.tuning.search.trial import geometric_mean

MAIN = ("coefficient", "scale")
"""What makes a whole merge stronger."""
BUDGET = Budget(LOSSES, ACCURACIES)
"""Settings asked of every method: 24 by loss, 6 by retention."""


@dataclass(frozen=True, slots=True)
class ChosenValues:
    """The values chosen on the search split, and the cost of the search."""

    values: Mapping[str, float]
    """By the names of the entry's axes; empty for a method with nothing to choose."""
    losses: int
    """Number of settings whose loss was measured."""
    retentions: int
    """Number of settings whose retention was measured."""

    @property
    def point(self) -> Point:
        """The values in the order of the axes."""
        return tuple(self.values.values())


REFERENCE = "dppa"
"""The method all others are compared with."""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """The results of one method."""

    entry: Entry
    chosen: ChosenValues
    hits: Mapping[str, Hits]
    """Domain -> hits on its test items."""
    added: tuple[Added, ...]
    """Delta of the merge, or of one merge per domain."""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.entry.method.name


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All methods, the best first."""

    rows: tuple[LeaderboardRow, ...]
    refused: Mapping[str, str]
    """Method -> why it cannot merge these three."""
    own: Mapping[str, float]
    """Domain -> accuracy of its own model on the test items."""
    test_items: int | None
    search_items: int
    variants: tuple[tuple[MethodVariant, LeaderboardRow], ...] = ()
    """Methods again, with other settings."""

    @property
    def reference(self) -> LeaderboardRow:
        """The row all others are compared with."""
        return next(row for row in self.rows if row.method == REFERENCE)

    def retention(self, row: LeaderboardRow) -> float:
        """Mean over the domains of a merge's accuracy divided by the domain model's own."""
        return retained(scores(row.hits), dict(self.own))

    def against(self, row: LeaderboardRow, other: LeaderboardRow) -> tuple[float, float, float]:
        """Difference of two retentions with its 95 % interval, as fractions."""
        gain, half = paired_gain(row.hits, other.hits, self.own)
        return gain, gain - half, gain + half


def scores(hits: Mapping[str, Hits]) -> Evaluation:
    """Domain -> accuracy with its interval."""
    found = {domain: accuracy(of) for domain, of in hits.items()}
    domains = {d: DomainScore(one.value, one.ends, len(hits[d]), {}) for d, one in found.items()}
    return Evaluation("", "", domains)


def measure(
    names: Sequence[str] | None = None,
    *,
    test_items: int | None = None,
    search_items: int = ITEMS,
    progress: Progress | None = None,
) -> Leaderboard:
    """Score every method; takes several minutes of one core each unless cached.

    Args:
        names: Methods; all if None. DPPA is always included.
        test_items: Per domain; all if None.
        search_items: Per domain, of the search split.

    Raises:
        UnknownName: no such method.
    """
    chosen = [get_method(name) for name in names] if names is not None else list(METHODS)
    methods = [method for method in METHODS if method in chosen or method.name == REFERENCE]
    examiner = LeaderboardExaminer(ZooExaminer(test_items, search_items), progress)
    own = {domain: examiner.share(f"zoo:{domain}", domain, "test") for domain in DOMAINS}
    rows, refused = [], {}
    for method in methods:
        try:
            rows.append(_row(entry(method), examiner))
        except InvalidRecipe as error:
            refused[method.name] = str(error)
    variants = [one for one in VARIANTS if one.entry.method in methods]
    again = tuple((one, _row(one.entry, examiner)) for one in variants)
    board = Leaderboard((), refused, own, test_items, search_items, again)
    order = sorted(rows, key=lambda row: -board.retention(row))
    return replace(board, rows=tuple(order))


def _row(entry: Entry, examiner: LeaderboardExaminer) -> LeaderboardRow:
    """Choose on the search split, then score on the test split."""
    chosen = choose(entry, examiner)
    made = entry.recipes(chosen.point)
    hits = {domain: examiner.hits(made[domain], domain, "test") for domain in DOMAINS}
    return LeaderboardRow(
        entry, chosen, hits, tuple(examiner.added(one) for one in dict.fromkeys(made.values()))
    )


def choose(entry: Entry, examiner: LeaderboardExaminer) -> ChosenValues:
    """The values that a joint search finds on the search items; the same budget for every entry."""
    axes = entry.axes()
    if not axes:
        return ChosenValues({}, 0, 0)
    own = {domain: examiner.share(entry.model(domain), domain, "search") for domain in DOMAINS}

    def loss(point: Point) -> float:
        made = entry.recipes(point)
        try:
            return geometric_mean([examiner.loss(made[domain], domain) for domain in own])
        except NonFiniteWeights:
            return math.inf

    def retention(point: Point) -> float:
        made = entry.recipes(point)
        try:
            hits = {domain: examiner.hits(made[domain], domain, "search") for domain in own}
        except NonFiniteWeights:
            return 0.0
        return retained(scores(hits), own)

    found = joint_search(
        axes,
        lambda points: list(map(loss, points)),
        lambda points: list(map(retention, points)),
        budget=BUDGET,
    )
    values = {axis.name: value for axis, value in zip(axes, found.best.values, strict=True)}
    compared = [one for one in found.candidates if one.accuracy is not None]
    return ChosenValues(values, len(found.candidates), len(compared))


def as_json(board: Leaderboard) -> dict[str, Any]:
    """A JSON-ready copy."""
    return {
        "rows": [_row_json(board, row) for row in board.rows],
        "variants": [
            {"what": variant.what, **_row_json(board, row)} for variant, row in board.variants
        ],
        "refused": dict(board.refused),
        "own": dict(board.own),
        "test_items": board.test_items,
        "search_items": board.search_items,
    }


def _row_json(board: Leaderboard, row: LeaderboardRow) -> dict[str, Any]:
    gap, low, high = board.against(row, board.reference)
    found = scores(row.hits)
    one, values = row.entry.recipes(row.chosen.point)[DOMAINS[0]], row.chosen.values
    strength = [values[axis.name] / axis.start for axis in row.entry.axes() if axis.name in MAIN]
    factors = {model.model.removeprefix("zoo:"): list(model.amplification) for model in one.models}
    return {
        "method": row.method,
        "strength": strength[0] if strength else 1.0,
        "values": dict(values),
        "tried": {"losses": row.chosen.losses, "retentions": row.chosen.retentions},
        "parameters": dict(one.parameters),
        "factors": factors if "factor1" in values else {},
        "added": [asdict(one) for one in row.added],
        "domains": {domain: one.figures() for domain, one in found.domains.items()},
        "retention": board.retention(row),
        "against_dppa": {"mean": gap, "ci95": [low, high], "significant": not low <= 0 <= high},
    }
