"""The models and merges evaluated beside a recipe: retention, forgetting, comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.scores import DomainScore, Marks, Target, marked_score, score_row
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.frames import frame_of
from dppa_core.tasks import Item, OwnDomain
from dppa_core.tasks.intervals import Interval, Pair, difference, mean_interval, ratio, sign_test

RECIPE, AGAINST, BASE = "recipe", "against", "base"
LINEAR, ARITHMETIC = "linear", "task_arithmetic"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One model or merge of the table."""

    key: str
    """recipe, against, base, linear, task_arithmetic, or the reference of a domain model."""
    label: str
    target: Target
    domains: tuple[str, ...] = ()
    """Domains it was trained or merged for, as far as known."""


def domains_of(recipe: MergeRecipe, how: str) -> tuple[str, ...]:
    """The domain of each of a recipe's models, which must be embedded ones.

    Args:
        how: The remedy for the error text.

    Raises:
        InvalidValue: a model is not embedded, so its domain is unknown.
    """
    found = {one.model: zoo_domain(one.model) for one in recipe.models}
    for model, domain in found.items():
        if domain is None:
            raise InvalidValue(f"model {shown(model)}: {how}")
    return tuple(str(found[one.model]) for one in recipe.models)


def plain_merge(recipe: MergeRecipe, models: Sequence[DomainModel], method: str) -> MergeRecipe:
    """A merge of some models on a recipe's base by a method without settings."""
    return replace(
        recipe,
        models=tuple(models),
        method=method,
        parameters={},
        overrides={},
        prune=None,
        calibration=None,
    )


def entrants(
    recipe: MergeRecipe,
    against: MergeRecipe | None = None,
    trained_for: Mapping[str, str] | None = None,
) -> tuple[Entrant, ...]:
    """A recipe and its baselines: base, domain models, and two plain merges.

    `trained_for` gives the domains of one's own of some models.

    Linear is the mean of the models. Task arithmetic adds the whole deltas with the recipe's own
    coefficients: it is the recipe without pruning and amplification.
    """
    whole = [DomainModel(one.model, coefficient=one.coefficient) for one in recipe.models]
    arithmetic = plain_merge(recipe, whole, ARITHMETIC)
    mean = plain_merge(recipe, [DomainModel(one.model) for one in recipe.models], LINEAR)
    given = [(RECIPE, recipe), (AGAINST, against)] if against else [(RECIPE, recipe)]
    made = [(LINEAR, mean), (ARITHMETIC, arithmetic)]
    names = {RECIPE: "recipe", AGAINST: "against", LINEAR: "linear", ARITHMETIC: _named(recipe)}
    single = dict.fromkeys(one.model for _, each in given if each for one in each.models)
    bases = dict.fromkeys(each.base for _, each in given if each)
    return (
        *(Entrant(BASE if one == recipe.base else one, one, one) for one in bases),
        *(Entrant(one, one, one, _domains((one,), trained_for or {})) for one in single),
        *(
            Entrant(
                key, names[key], one, _domains([m.model for m in one.models], trained_for or {})
            )
            for key, one in (*made, *given)
            if one is not None
        ),
    )


def _named(recipe: MergeRecipe) -> str:
    """Task arithmetic, with the recipe's coefficients where they are not all 1."""
    numbers = [one.coefficient for one in recipe.models]
    if all(one == 1 for one in numbers):
        return "task arithmetic"
    simple = all(isinstance(one, int | float) for one in numbers)
    told = ", ".join(f"{one:g}" for one in numbers) if simple else "the recipe's coefficients"
    return f"task arithmetic × {told}"


def _domains(references: Sequence[str], own: Mapping[str, str]) -> tuple[str, ...]:
    found = dict.fromkeys(one for name in references for one in (zoo_domain(name), own.get(name)))
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Marks of several entrants on the same items; some domains may have none yet."""

    split: str
    entrants: tuple[Entrant, ...]
    items: Mapping[str, tuple[Item, ...]]
    """Domain -> its items."""
    marks: Mapping[tuple[str, str], Marks] = field(default_factory=dict)
    """(entrant key, domain) -> marks."""

    def entrant(self, key: str) -> Entrant:
        """The entrant with this key."""
        return next(one for one in self.entrants if one.key == key)

    def score(self, key: str, domain: str) -> DomainScore | None:
        """Accuracy and loss; None before the exam."""
        marks = self.marks.get((key, domain))
        return None if marks is None else marked_score(self.items[domain], marks)

    def loss(self, key: str, domain: str) -> Interval | None:
        """Loss of the right answers in nats per token, with the bootstrap interval over items."""
        marks = self.marks.get((key, domain))
        return None if marks is None else mean_interval(marks.losses, marks.tokens)

    def own(self, domain: str) -> str | None:
        """The domain's own model: the one trained for it, else the one that scores best.

        Embedded models are not compared on another embedded domain.
        """
        single = [one for one in self.entrants if one.key == one.target]
        named = [one.key for one in single if domain in one.domains]
        if named:
            return named[0]
        scores = {
            one.key: score.accuracy
            for one in single
            if (not one.domains or isinstance(domain, OwnDomain))
            and (score := self.score(one.key, domain)) is not None
        }
        return max(scores, key=lambda key: scores[key], default=None)

    def retention(self, key: str, domain: str) -> Interval | None:
        """Its accuracy ÷ that of the domain's own model; None where there is no such model."""
        pair = self._pair(key, self.own(domain), domain)
        return None if pair is None else ratio({domain: pair})

    def mean_retention(self, key: str) -> Interval | None:
        """Geometric mean over the domains that have a retention; None until all are scored."""
        pairs = {domain: self._pair(key, self.own(domain), domain) for domain in self.items}
        known = {
            domain: pair for domain, pair in pairs.items() if pair is not None and any(pair[1])
        }
        return ratio(known) if all(pairs.values()) else None

    def forgetting(self, key: str, domain: str) -> Interval | None:
        """Base accuracy minus its own, on a domain it was not made for; else None."""
        if domain in self.entrant(key).domains or key == BASE:
            return None
        if isinstance(domain, OwnDomain) and not any(
            domain in one.domains for one in self.entrants
        ):
            return None  # nobody knows which model was made for it
        pair = self._pair(BASE, key, domain)
        return None if pair is None else difference({domain: pair})

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line for a model and a domain: accuracy and retention as shares of
        1 with 95 % intervals, and the loss. Raises InvalidValue without pandas."""
        return frame_of(self._cell(one, domain) for one in self.entrants for domain in self.items)

    def _cell(self, who: Entrant, domain: str) -> dict[str, Any]:
        score, loss = self.score(who.key, domain), self.loss(who.key, domain)
        merge = isinstance(who.target, MergeRecipe)
        kept = self.retention(who.key, domain) if merge else None
        low, high = kept.ends if kept else (None, None)
        return {
            "model": who.label,
            "split": self.split,
            "domain": str(domain),
            **({} if score is None else score_row(score, loss.value if loss else None)),
            "retention_share": kept.value if kept else None,
            "retention_low": low,
            "retention_high": high,
        }

    def _pair(self, key: str, other: str | None, domain: str) -> Pair | None:
        one, two = self.marks.get((key, domain)), self.marks.get((other or "", domain))
        return None if one is None or two is None else (one.hits, two.hits)

    def comparison(self, key: str, other: str, domain: str | None = None) -> Comparison | None:
        """Two entrants on the same items, of one domain or all; None if marks are missing."""
        domains = tuple(self.items) if domain is None else (domain,)
        pairs = {each: self._pair(key, other, each) for each in domains}
        both = {each: pair for each, pair in pairs.items() if pair is not None}
        if len(both) < len(pairs):
            return None
        return compared(both)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison of two entrants."""

    difference: Interval
    """Mean over the domains of its accuracy minus the other's, as fractions."""
    p: float
    """p of the exact sign test on the items that only one of them answers right."""
    differs: int
    n: int

    @property
    def seen(self) -> bool:
        """Whether the difference is significant, both by the interval and by the sign test."""
        return not self.difference.low <= 0 <= self.difference.high and self.p < 0.05

    @property
    def visible(self) -> float:
        """About the smallest difference that so many items can show, as a fraction.

        Half the interval, and at least the observed difference if it is not significant. Also at
        least 3 / n (rule of three): an event not seen in n items is rarer than that, with 95 %.
        """
        half = (self.difference.high - self.difference.low) / 2
        missed = 0.0 if self.seen else abs(self.difference.value)
        return min(1.0, max(half, missed, 3 / self.n))


def compared(pairs: Mapping[str, Pair]) -> Comparison:
    """Compare two models on the same items: domain -> hits of both, at least one domain."""
    differs = sum(one != two for pair in pairs.values() for one, two in zip(*pair, strict=True))
    n = sum(len(one) for one, _ in pairs.values())
    return Comparison(difference(pairs), sign_test(pairs), differs, n)
