"""How well a model answers of whose delta a form keeps a part, times the best of some factors."""

from __future__ import annotations

from collections.abc import Sequence
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
        limit, search_limit: Items a domain; all if None.
        progress: See `measure`; factors and scores count apart.
    """
    chosen = dict.fromkeys(stores, factors[0])
    if len(factors) > 1:
        tried = [_entrant(base, model, store, factor) for store in stores for factor in factors]
        control: RunControl = {"progress": progress, "stop": stop}
        side = measure(examiner, tried, domains, split="search", limit=search_limit, **control)
        for store in stores:
            losses = {factor: _loss(side, _key(store, factor)) for factor in factors}
            chosen[store] = min(losses, key=losses.__getitem__)
    entrants = [_entrant(base, model, store, factor) for store, factor in chosen.items()]
    side = measure(examiner, entrants, domains, limit=limit, progress=progress, stop=stop)
    return tuple(
        FormScore(store, factor, _scores(side, _key(store, factor)))
        for store, factor in chosen.items()
    )


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
