"""How well a model answers of whose delta a form keeps a part, times the best of some factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dppa_core.evaluation.entrant_measurements import measure
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.form_sizes import kept_alone
from dppa_core.evaluation.scores import DomainScore
from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.progress import Progress, RunControl, Stop


@dataclass(frozen=True, slots=True)
class FormScore:
    """The best of a store's factors."""

    store: str
    """Empty for the whole delta."""
    factor: float
    """Multiplies what is kept; chosen by the least loss on search items."""
    scores: dict[str, DomainScore]
    """By domain, on test items."""

    @property
    def loss(self) -> float:
        """Mean loss of the right answers over the domains, in nats a token."""
        return sum(score.loss or 0.0 for score in self.scores.values()) / len(self.scores)

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the domains."""
        return sum(score.accuracy for score in self.scores.values()) / len(self.scores)


def form_scores(
    examiner: Examiner,
    base: str,
    model: str,
    stores: Sequence[str],
    domains: Sequence[str],
    *,
    factors: Sequence[float] = (1.0,),
    limit: int | None = None,
    search_limit: int | None = 60,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[FormScore, ...]:
    """Score every store, the whole delta included; each takes the best of the same factors.

    Factors are chosen on search items, and scores are of test items.

    Args:
        stores: As in references; "" is the whole delta.
        factors: Each store begins at the one nearest 1. While the loss falls it goes to the next
            larger one; else to smaller ones.
        limit, search_limit: Items a domain; all if None.
        progress: See `measure`; each round of factors and the scores count apart.
    """
    ladder = sorted(factors)
    places = dict.fromkeys(stores, min(range(len(ladder)), key=lambda n: abs(ladder[n] - 1)))
    control: RunControl = {"progress": progress, "stop": stop}

    def losses(tried: Mapping[str, int]) -> dict[str, float]:
        entrants = [_entrant(base, model, store, ladder[n]) for store, n in tried.items()]
        side = measure(examiner, entrants, domains, split="search", limit=search_limit, **control)
        return {store: _loss(side, _key(store, ladder[n])) for store, n in tried.items()}

    if len(ladder) > 1:
        places = _climbed(places, len(ladder), losses)
    chosen = {store: ladder[place] for store, place in places.items()}
    entrants = [_entrant(base, model, store, factor) for store, factor in chosen.items()]
    side = measure(examiner, entrants, domains, limit=limit, **control)
    return tuple(
        FormScore(store, factor, _scores(side, _key(store, factor)))
        for store, factor in chosen.items()
    )


def _climbed(
    start: Mapping[str, int], count: int, losses: Callable[[Mapping[str, int]], dict[str, float]]
) -> dict[str, int]:
    """The place of each store on a ladder where the next step up, or down, has no smaller loss."""
    places, least = dict(start), losses(start)
    for step in (1, -1):
        moving = [store for store in places if places[store] == start[store]]
        while steps := {n: places[n] + step for n in moving if 0 <= places[n] + step < count}:
            tried = losses(steps)
            moving = [store for store in steps if tried[store] < least[store]]
            for store in moving:
                places[store], least[store] = steps[store], tried[store]
    return places


def _key(store: str, factor: float) -> str:
    return f"{store} × {factor:g}"


def _entrant(base: str, model: str, store: str, factor: float) -> Entrant:
    key = _key(store, factor)
    return Entrant(key, key, kept_alone(base, model, store, factor))


def _scores(side: SideBySide, key: str) -> dict[str, DomainScore]:
    scores = {domain: side.score(key, domain) for domain in side.items}
    return {domain: score for domain, score in scores.items() if score is not None}


def _loss(side: SideBySide, key: str) -> float:
    return sum(score.loss or 0.0 for score in _scores(side, key).values())
