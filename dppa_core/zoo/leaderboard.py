"""Every merge method on the embedded models: one merge of all three domains each, scored alike.

How strong the merge is made is chosen on the search split, figures come from the test split. What
was measured is kept by the hash of its recipe, so that a run goes on where another one ended. Knows
no text format; `leaderboard_text` writes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from dppa_core.cache import cache_folder, load, store
from dppa_core.decode import greedy_replies
from dppa_core.errors import InvalidRecipe
from dppa_core.evaluate import Z95, DomainScore, Evaluation, wilson
from dppa_core.methods.method import Method
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.partition import even_levels
from dppa_core.pool import ModelPool
from dppa_core.progress import Progress
from dppa_core.recipe import DomainModel, MergeRecipe, recipe_hash
from dppa_core.search import greedy_factors
from dppa_core.sources import open_checkpoint
from dppa_core.tasks import DOMAINS, items, score
from dppa_core.zoo.report import BASE, POOL_BYTES, retained

RATE = 0.8
"""Of methods that prune: a fifth of every delta stays."""
LADDER = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""What the coefficients, or the method's own scale, are multiplied by; climbed from 1."""
EXTRA: Mapping[str, Mapping[str, Any]] = {"darex_q": {"q": 0.2}}
"""Parameters whose default does not suit this rate: the least q that it allows. The paper finds q
on held-out data; what it divides by, the ladder multiplies by."""
REFERENCE = "dppa"
"""What all others are compared with."""

Hits = tuple[bool, ...]
"""Which items of a domain were answered rightly."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method."""

    method: str
    strength: float
    """The multiplier that was chosen."""
    settings: Mapping[str, Any]
    """What else was chosen: factors of DPPA by domain, the divisor of DAREx-q."""
    hits: Mapping[str, Hits]
    """Domain -> the test items."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All methods, the best first."""

    rows: tuple[Row, ...]
    refused: Mapping[str, str]
    """Method -> why it cannot merge these three."""
    own: Mapping[str, float]
    """Domain -> accuracy of its own model on the test items."""
    test_items: int | None
    search_items: int

    def retention(self, row: Row) -> float:
        """Mean over the domains of a merge's accuracy divided by the domain model's own."""
        return retained(scores(row.hits), dict(self.own))

    def against(self, row: Row, other: Row) -> tuple[float, float, float]:
        """How much more one retains than the other, and its 95 % interval, as fractions.

        Both answered the same items, so each item gives one difference; their variance is
        that of a mean of three independent means.
        """
        mean = square = 0.0
        owns = {domain: own for domain, own in self.own.items() if own}
        for domain, own in owns.items():
            one, two = np.array(row.hits[domain], float), np.array(other.hits[domain], float)
            gaps = (one - two) / own
            mean += float(gaps.mean()) / len(owns)
            spread = float(gaps.var(ddof=1)) if gaps.size > 1 else 0.0
            square += spread / gaps.size / len(owns) ** 2
        return mean, mean - Z95 * math.sqrt(square), mean + Z95 * math.sqrt(square)


def _share(hits: Hits) -> float:
    return sum(hits) / len(hits)


def scores(hits: Mapping[str, Hits]) -> Evaluation:
    """Domain -> items, as accuracies with their intervals."""
    domains = {
        domain: DomainScore(_share(of), wilson(sum(of), len(of)), len(of), {})
        for domain, of in hits.items()
    }
    return Evaluation("", "", domains)


@dataclass(slots=True)
class Examiner:
    """Scores models and recipes, or remembers what they scored."""

    search_items: int
    test_items: int | None = None
    """Items per domain; all of them where None."""
    pool: ModelPool | None = None
    progress: Progress | None = None

    def hits(self, target: str | MergeRecipe, domain: str, split: str) -> Hits:
        """Which items a model or a merge answers rightly."""
        limit = self.search_items if split == "search" else self.test_items
        path = cache_folder("leaderboard") / _key(target, domain, split, limit)
        known = load(path)
        if known is not None:
            return tuple(mark == 1 for mark in known)
        asked = items(domain, split, limit)
        pool = self.pool = self.pool or ModelPool(byte_budget=POOL_BYTES)

        def tell(count: int) -> None:
            if self.progress:
                self.progress(count, len(asked), f"{domain}, {split}")

        with pool.lend(target) as resident:
            replies = greedy_replies(resident, [item.prompt for item in asked], progress=tell)
        found = tuple(score(item, reply) for item, reply in zip(asked, replies, strict=True))
        store(path, bytes(found))
        return found

    def share(self, target: str | MergeRecipe, domain: str, split: str) -> float:
        """The accuracy, as a fraction."""
        return _share(self.hits(target, domain, split))


def _key(target: str | MergeRecipe, domain: str, split: str, limit: int | None) -> str:
    """Another one when a weight, the recipe or the items are others."""
    named: list[str] = [target] if isinstance(target, str) else []
    if isinstance(target, MergeRecipe):
        named = [target.base, *(model.model for model in target.models)]
    name = target if isinstance(target, str) else recipe_hash(target)
    weights = [open_checkpoint(one).content_hash() for one in named]
    text = [[item.prompt, item.answer] for item in items(domain, split, limit)]
    identity = json.dumps([name, weights, domain, split, text])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def measure(
    names: Sequence[str] | None = None,
    *,
    test_items: int | None = None,
    search_items: int = 30,
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
    examiner = Examiner(search_items, test_items, progress=progress)
    own = {domain: examiner.share(f"zoo:{domain}", domain, "test") for domain in DOMAINS}
    rows, refused = [], {}
    for method in methods:
        try:
            rows.append(_row(method, examiner))
        except InvalidRecipe as error:
            refused[method.name] = str(error)
    board = Leaderboard((), refused, own, test_items, search_items)
    order = sorted(rows, key=lambda row: -board.retention(row))
    return replace(board, rows=tuple(order))


def _row(method: Method, examiner: Examiner) -> Row:
    """Choose what has to be chosen on the search split, then score on the test split."""
    own = {domain: examiner.share(f"zoo:{domain}", domain, "search") for domain in DOMAINS}
    factors = best_factors(examiner) if method.name == REFERENCE else {}

    def marks(strength: float, split: str) -> dict[str, Hits]:
        made = {domain: recipe(method, domain, strength, factors) for domain in DOMAINS}
        return {domain: examiner.hits(made[domain], domain, split) for domain in DOMAINS}

    best = climb(lambda strength: retained(scores(marks(strength, "search")), own))
    settings = {**EXTRA.get(method.name, {}), **({"factors": factors} if factors else {})}
    return Row(method.name, best, settings, marks(best, "test"))


def climb(rate: Callable[[float], float]) -> float:
    """The rung of the ladder, up or down from 1, after which there is no better one.

    Args:
        rate: Rung -> what is to be large; asked for each rung once at most.
    """
    rates = cache(rate)
    start = best = LADDER.index(1.0)
    for step in (1, -1):
        place = start
        while 0 <= place + step < len(LADDER) and rates(LADDER[place + step]) > rates(
            LADDER[place]
        ):
            place += step
        if rates(LADDER[place]) > rates(LADDER[best]):
            best = place
    return LADDER[best]


def best_factors(examiner: Examiner) -> dict[str, tuple[float, ...]]:
    """The paper's greedy search over two partitions, for each domain by itself."""

    def best(domain: str) -> tuple[float, ...]:
        def rate(amplification: tuple[float, ...]) -> float:
            model = DomainModel(f"zoo:{domain}", even_levels(RATE, 2), amplification)
            return examiner.share(MergeRecipe(BASE, (model,)), domain, "search")

        return greedy_factors(rate, 2).best.amplification

    return {domain: best(domain) for domain in DOMAINS}


def recipe(
    method: Method,
    domain: str,
    strength: float,
    factors: Mapping[str, tuple[float, ...]] | None = None,
) -> MergeRecipe:
    """The merge of all three that answers for a domain: one for all but for methods like EMR.

    Args:
        method: Its parameters are the defaults; those that prune keep a fifth.
        domain: Who is asked.
        strength: Multiplies the method's own scale where it has one, since equal coefficients
            may cancel there; else it is the coefficient.
        factors: Amplification of each domain; ones where there is none.
    """
    parameters = dict(EXTRA.get(method.name, {}))
    parameters |= {
        item.name: f"zoo:{domain}"
        for item in fields(method.parameters)
        if item.metadata.get("model")
    }
    own = scale_of(method)
    if own is not None:
        parameters["scale"] = own * strength
    coefficient = strength if own is None else 1.0
    models = tuple(
        DomainModel(f"zoo:{name}", *_levels(method, (factors or {}).get(name)), coefficient)
        for name in DOMAINS
    )
    return MergeRecipe(BASE, models, method=method.name, parameters=parameters)


def scale_of(method: Method) -> float | None:
    """The default of a method's own scale of the merged delta; None where it has none."""
    found = [item.default for item in fields(method.parameters) if item.name == "scale"]
    return float(found[0]) if found else None  # type: ignore[arg-type]


def _levels(
    method: Method, factors: tuple[float, ...] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not method.prunes:
        return (0.0,), (1.0,)
    return (even_levels(RATE, len(factors)), factors) if factors else ((RATE,), (1.0,))


def as_json(board: Leaderboard) -> dict[str, Any]:
    """A JSON-ready copy."""
    reference = next(row for row in board.rows if row.method == REFERENCE)
    return {
        "rows": [_row_json(board, row, reference) for row in board.rows],
        "refused": dict(board.refused),
        "own": dict(board.own),
        "test_items": board.test_items,
        "search_items": board.search_items,
    }


def _row_json(board: Leaderboard, row: Row, reference: Row) -> dict[str, Any]:
    gap, low, high = board.against(row, reference)
    found = scores(row.hits)
    return {
        "method": row.method,
        "strength": row.strength,
        "settings": dict(row.settings),
        "domains": {
            domain: {"accuracy": one.accuracy, "ci95": list(one.ci95), "n": one.n}
            for domain, one in found.domains.items()
        },
        "retention": board.retention(row),
        "against_dppa": {"mean": gap, "ci95": [low, high], "significant": not low <= 0 <= high},
    }
