"""Every merge method on the embedded models: one merge of all three domains each, scored alike.

The strength of each merge is chosen on the search split; results come from the test split. They are
cached by the hash of their recipe, so that a run can resume. `leaderboard_text` writes the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import DomainScore, Evaluation
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.progress import Progress
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.studies.zoo.results.leaderboard_entry import (
    RATE,
    VARIANTS,
    Entry,
    MethodVariant,
    entry,
)
from dppa_core.studies.zoo.results.leaderboard_exam import Added, LeaderboardExaminer
from dppa_core.studies.zoo.results.scores import BASE, ZooExaminer, paired_gain, retained
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits, accuracy
from dppa_core.tuning.search.climb import greedy_factors

STEPS = 4
"""Grid places from one strength to its double."""
COARSE = (-8, -4, 0, 4, 8)
"""First places of every sweep: strengths from a quarter to four, each the double of the last."""
FINE = (2, 1)
"""Then places at these distances on both sides of the best so far."""
LEAST = 0.015


@dataclass(frozen=True, slots=True)
class ChosenStrength:
    """A chosen strength and the cost of the search."""

    strength: float
    losses: int
    """Number of strengths whose loss was measured."""
    retentions: int
    """Number of strengths whose retention was measured."""


def strength_at(place: int) -> float:
    """The strength at a grid place: 1 at 0, 2 at STEPS."""
    return float(f"{2 ** (place / STEPS):.4g}")


def best_strength(
    loss: Callable[[float], float], retention: Callable[[float], float], most: float
) -> ChosenStrength:
    """The strength with the highest retention.

    Measure the loss at five coarse strengths, at further ones while the outermost is the best, and
    on either side of the best at half and at a quarter of a doubling. From the smallest loss, climb
    retention both ways by half doublings until it falls; between equals the smaller loss decides.

    Args:
        loss: Loss of the right answers, called at most once per strength; may be infinite.
        retention: Retention, called at most once per strength.
        most: Largest strength; the smallest is LEAST.
    """
    losses, marks = dict[int, float](), dict[int, tuple[float, float]]()

    def within(place: int) -> bool:
        return LEAST <= strength_at(place) <= most

    def ask_loss(place: int) -> bool:
        new = place not in losses and within(place)
        if new:
            losses[place] = loss(strength_at(place))
        return new

    def ask(place: int) -> bool:
        new = place not in marks and within(place)
        if new:
            ask_loss(place)
            marks[place] = retention(strength_at(place)), -losses[place]
        return new

    sweep(ask_loss, losses)
    ask(_smallest(losses))
    while True:
        best = max(marks, key=lambda place: (marks[place], -abs(place)))
        if not any([ask(best - FINE[0]), ask(best + FINE[0])]):
            return ChosenStrength(strength_at(best), len(losses), len(marks))


def sweep(ask: Callable[[int], bool], losses: dict[int, float]) -> None:
    """Fill `losses` place by place; `ask` returns whether a place was new and allowed."""
    for place in COARSE:
        ask(place)
    while (_smallest(losses) == max(losses) and ask(max(losses) + STEPS)) or (
        _smallest(losses) == min(losses) and ask(min(losses) - STEPS)
    ):
        pass
    for distance in FINE:
        middle = _smallest(losses)
        ask(middle - distance)
        ask(middle + distance)


def _smallest(losses: dict[int, float]) -> int:
    return min(losses, key=lambda place: (losses[place], abs(place)))


REFERENCE = "dppa"
"""The method all others are compared with."""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """The results of one method."""

    entry: Entry
    chosen: ChosenStrength
    """The strength chosen on the search split."""
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
    search_items: int = 60,
    progress: Progress | None = None,
) -> Leaderboard:
    """Score every method; takes about a minute of one core each unless cached.

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
    """Choose factors and strength on the search split, then score on the test split."""
    if entry.method.name == REFERENCE:
        entry = replace(entry, factors=best_factors(examiner))
    chosen = choose(entry, examiner) if entry.searched else ChosenStrength(1.0, 0, 0)
    made = entry.recipes(chosen.strength)
    hits = {domain: examiner.hits(made[domain], domain, "test") for domain in DOMAINS}
    return LeaderboardRow(
        entry, chosen, hits, tuple(examiner.added(one) for one in dict.fromkeys(made.values()))
    )


def choose(entry: Entry, examiner: LeaderboardExaminer) -> ChosenStrength:
    """The strength with the highest retention on the search items."""
    own = {domain: examiner.share(f"zoo:{domain}", domain, "search") for domain in DOMAINS}

    def loss(strength: float) -> float:
        made = entry.recipes(strength)
        try:
            return sum(examiner.loss(made[domain], domain) for domain in own) / len(own)
        except NonFiniteWeights:
            return math.inf

    def retention(strength: float) -> float:
        made = entry.recipes(strength)
        try:
            hits = {domain: examiner.hits(made[domain], domain, "search") for domain in own}
        except NonFiniteWeights:
            return 0.0
        return retained(scores(hits), own)

    return best_strength(loss, retention, entry.most)


def best_factors(examiner: LeaderboardExaminer) -> dict[str, tuple[float, ...]]:
    """The paper's greedy search over two partitions, for each domain alone."""

    def best(domain: str) -> tuple[float, ...]:
        def rate(amplification: tuple[float, ...]) -> float:
            model = DomainModel(f"zoo:{domain}", even_levels(RATE, 2), amplification)
            merge = MergeRecipe(BASE, (model,))
            # A millionth of the loss decides between equal accuracies, as for strengths.
            return examiner.share(merge, domain, "search") - 1e-6 * examiner.loss(merge, domain)

        return greedy_factors(rate, 2).best.amplification

    return {domain: best(domain) for domain in DOMAINS}


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
    one = row.entry.recipes(row.chosen.strength)[DOMAINS[0]]
    return {
        "method": row.method,
        "strength": row.chosen.strength,
        "tried": {"losses": row.chosen.losses, "retentions": row.chosen.retentions},
        "parameters": dict(one.parameters),
        "factors": {domain: list(of) for domain, of in row.entry.factors.items()},
        "added": [asdict(one) for one in row.added],
        "domains": {domain: one.figures() for domain, one in found.domains.items()},
        "retention": board.retention(row),
        "against_dppa": {"mean": gap, "ci95": [low, high], "significant": not low <= 0 <= high},
    }
