"""Every merge method on the embedded models: one merge of all three domains each, scored alike.

How strong the merge is made is chosen on the search split, figures come from the test split. What
was measured is kept by the hash of its recipe, so that a run goes on where another one ended. Knows
no text format; `leaderboard_text` writes.
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
"""Places of the grid from one strength to its double."""
COARSE = (-8, -4, 0, 4, 8)
"""Where every sweep begins: a quarter to four times, each the double of the one before."""
FINE = (2, 1)
"""Then, on both sides of the best so far, these many places away."""
LEAST = 0.015


@dataclass(frozen=True, slots=True)
class ChosenStrength:
    """A strength, and what it took to find it."""

    strength: float
    losses: int
    """Strengths whose loss was asked."""
    retentions: int
    """Those whose retention was asked too."""


def strength_at(place: int) -> float:
    """The strength of a place: 1 at 0, 2 at STEPS."""
    return float(f"{2 ** (place / STEPS):.4g}")


def best_strength(
    loss: Callable[[float], float], retention: Callable[[float], float], most: float
) -> ChosenStrength:
    """The strength that retains most, the same way for whatever is rated.

    The losses of five coarse strengths are asked, of further ones while the outermost is the
    best, and of two on either side at half and at a quarter of a doubling. From the smallest loss
    retention is climbed both ways by half doublings, until it falls; between equals the smaller
    loss decides.

    Args:
        loss: Of the right answers, asked once for each strength at most; infinite where there is
            none.
        retention: Likewise.
        most: No strength is above this, nor below LEAST.
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
    """Fill `losses` by asking places; `ask` tells whether a place was new and allowed."""
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
"""What all others are compared with."""


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One method."""

    entry: Entry
    chosen: ChosenStrength
    """The multiplier, on the search split."""
    hits: Mapping[str, Hits]
    """Domain -> the test items."""
    added: tuple[Added, ...]
    """Of the merge, or of one for each domain."""

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
    """Methods once more, with other settings."""

    def retention(self, row: LeaderboardRow) -> float:
        """Mean over the domains of a merge's accuracy divided by the domain model's own."""
        return retained(scores(row.hits), dict(self.own))

    def against(self, row: LeaderboardRow, other: LeaderboardRow) -> tuple[float, float, float]:
        """How much more one retains than the other, and its 95 % interval, as fractions."""
        gain, half = paired_gain(row.hits, other.hits, self.own)
        return gain, gain - half, gain + half


def scores(hits: Mapping[str, Hits]) -> Evaluation:
    """Domain -> items, as accuracies with their intervals."""
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
    """Score every method; about a minute of one core each, or none where it is remembered.

    Args:
        names: Methods; all of them where None. DPPA is always among them.
        test_items: Per domain; all where None.
        search_items: Per domain, of the search split.
        progress: Told item by item.

    Raises:
        UnknownName: a name of no method.
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
    """Choose what has to be chosen on the search split, then score on the test split."""
    if entry.method.name == REFERENCE:
        entry = replace(entry, factors=best_factors(examiner))
    chosen = choose(entry, examiner) if entry.searched else ChosenStrength(1.0, 0, 0)
    made = entry.recipes(chosen.strength)
    hits = {domain: examiner.hits(made[domain], domain, "test") for domain in DOMAINS}
    return LeaderboardRow(
        entry, chosen, hits, tuple(examiner.added(one) for one in dict.fromkeys(made.values()))
    )


def choose(entry: Entry, examiner: LeaderboardExaminer) -> ChosenStrength:
    """The strength that retains most of the search items."""
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
    """The paper's greedy search over two partitions, for each domain by itself."""

    def best(domain: str) -> tuple[float, ...]:
        def rate(amplification: tuple[float, ...]) -> float:
            model = DomainModel(f"zoo:{domain}", even_levels(RATE, 2), amplification)
            merge = MergeRecipe(BASE, (model,))
            # A millionth of the loss decides between equal shares, as it does for strengths.
            return examiner.share(merge, domain, "search") - 1e-6 * examiner.loss(merge, domain)

        return greedy_factors(rate, 2).best.amplification

    return {domain: best(domain) for domain in DOMAINS}


def as_json(board: Leaderboard) -> dict[str, Any]:
    """A JSON-ready copy."""
    reference = next(row for row in board.rows if row.method == REFERENCE)
    return {
        "rows": [_row_json(board, row, reference) for row in board.rows],
        "variants": [
            {"what": variant.what, **_row_json(board, row, reference)}
            for variant, row in board.variants
        ],
        "refused": dict(board.refused),
        "own": dict(board.own),
        "test_items": board.test_items,
        "search_items": board.search_items,
    }


def _row_json(board: Leaderboard, row: LeaderboardRow, reference: LeaderboardRow) -> dict[str, Any]:
    gap, low, high = board.against(row, reference)
    found = scores(row.hits)
    one = row.entry.recipes(row.chosen.strength)[DOMAINS[0]]
    return {
        "method": row.method,
        "strength": row.chosen.strength,
        "tried": {"losses": row.chosen.losses, "retentions": row.chosen.retentions},
        "parameters": dict(one.parameters),
        "factors": {domain: list(of) for domain, of in row.entry.factors.items()},
        "added": [asdict(one) for one in row.added],
        "domains": {
            domain: {"accuracy": one.accuracy, "ci95": list(one.ci95), "n": one.n}
            for domain, one in found.domains.items()
        },
        "retention": board.retention(row),
        "against_dppa": {"mean": gap, "ci95": [low, high], "significant": not low <= 0 <= high},
    }
