"""How well a model answers of whose delta a form keeps a part, times the best of some factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dppa_core.checkpoints.folders.architectures import is_encoder
from dppa_core.evaluation.entrant_measurements import measure, text_rows
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.form_sizes import BASE, form_title, kept_alone
from dppa_core.evaluation.perplexity import WINDOW_TOKENS
from dppa_core.evaluation.scores import DomainScore
from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.progress import Progress, RunControl, Stop


@dataclass(frozen=True, slots=True)
class FormScore:
    """The best of a store's factors."""

    store: str
    """Empty for the whole delta; `BASE` for nothing of it."""
    factor: float
    """Multiplies what is kept; chosen by the least loss on search items; 0 for the base."""
    scores: dict[str, DomainScore]
    """By domain, on test items."""
    text_loss: float | None = None
    """Nats a token of a text, for an encoder a masked one; None if there is none."""
    masked: int = 0
    """Tokens of the text that an encoder predicted."""

    @property
    def loss(self) -> float:
        """Mean loss of the right answers over the domains, in nats a token; without domains that of
        the text."""
        if not self.scores:
            return self.text_loss or 0.0
        return sum(score.loss or 0.0 for score in self.scores.values()) / len(self.scores)

    @property
    def questions(self) -> int:
        """Test items of all domains."""
        return sum(score.n for score in self.scores.values())

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the domains."""
        return sum(score.accuracy for score in self.scores.values()) / len(self.scores)


def form_scores(
    examiner: Examiner,
    base: str,
    model: str,
    stores: Sequence[str],
    domains: Sequence[str] = (),
    *,
    text: str = "",
    factors: Sequence[float] = (1.0,),
    limit: int | None = None,
    search_limit: int | None = 60,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[FormScore, ...]:
    """Score every store, the whole delta included; each takes the best of the same factors.

    Factors are chosen on search items, and scores are of test items.

    Args:
        stores: As in references; "" is the whole delta, `BASE` nothing of it.
        text: Its loss is measured, too. Without domains its first half chooses the factors, and the
            second one is measured.
        factors: Each store begins at the one nearest 1. While the loss falls it goes to the next
            larger one; else to smaller ones.
        limit, search_limit: Items a domain; all if None.
        progress: See `measure`; each round of factors and the scores count apart.
    """
    ladder, control = sorted(factors), RunControl(progress=progress, stop=stop)
    middle_place = min(range(len(ladder)), key=lambda n: abs(ladder[n] - 1))
    places = {store: middle_place for store in stores if store != BASE}
    heads = "base" if is_encoder(examiner.base(base).config) else "match"  # it may lack the base's
    middle = len(text) // 2 if len(ladder) > 1 and not domains else 0

    def measured(
        tried: Mapping[str, float], split: str, limit: int | None, text: str
    ) -> tuple[FormScore, ...]:
        entrants = [_entrant(base, model, *pair, heads) for pair in tried.items()]
        side = measure(examiner, entrants, domains, split=split, limit=limit, **control)
        texts = _read_texts(examiner, entrants, text, control)
        return tuple(
            FormScore(*pair, _scores(side, entrant.key), *read)
            for pair, entrant, read in zip(tried.items(), entrants, texts, strict=True)
        )

    def losses(tried: Mapping[str, int]) -> dict[str, float]:
        at = {store: ladder[n] for store, n in tried.items()}
        rows = measured(at, "search", search_limit, text[:middle])
        return {row.store: row.loss for row in rows}

    if len(ladder) > 1:
        places = _climbed(places, len(ladder), losses)
    factor_of = {store: ladder[places[store]] if store in places else 0.0 for store in stores}
    return measured(factor_of, "test", limit, text[middle:])


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


def _entrant(base: str, model: str, store: str, factor: float, heads: str) -> Entrant:
    key = f"{store} × {factor:g}"
    kept = store if store != BASE else ""
    return Entrant(key, form_title(store, factor), kept_alone(base, model, kept, factor, heads))


def _scores(side: SideBySide, key: str) -> dict[str, DomainScore]:
    scores = {domain: side.score(key, domain) for domain in side.items}
    return {domain: score for domain, score in scores.items() if score is not None}


def _read_texts(
    examiner: Examiner, entrants: Sequence[Entrant], text: str, control: RunControl
) -> list[tuple[float | None, int]]:
    """The loss on a text, and the tokens that an encoder predicted."""
    if not text:
        return [(None, 0)] * len(entrants)
    rows = text_rows(examiner, entrants, text, window=WINDOW_TOKENS, stride=None, **control)
    return [(row["loss"]["value"], row.get("masked", 0)) for row in rows]
