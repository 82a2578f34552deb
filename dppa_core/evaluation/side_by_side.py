"""The models and merges evaluated beside a recipe: retention, forgetting, comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.checkpoints.vocabulary.chat_templates import is_template
from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.scores import DomainScore, Marks, Target, marked_score, score_row
from dppa_core.merging.inputs import renamed
from dppa_core.methods.registry import get_method
from dppa_core.recipes.merged_tokens import CHOICES
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


def domains_of(recipe: MergeRecipe, remedy: str) -> tuple[str, ...]:
    """The domain of each of a recipe's models, which must be embedded ones.

    Args:
        remedy: End of the error text.

    Raises:
        InvalidValue: a model is not embedded, so its domain is unknown.
    """
    domains = []
    for model in recipe.models:
        domain = zoo_domain(model.model)
        if domain is None:
            raise InvalidValue(f"model {shown(model.model)}: {remedy}")
        domains.append(domain)
    return tuple(domains)


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


def with_models(recipe: MergeRecipe, models: Sequence[DomainModel]) -> MergeRecipe:
    """The recipe of some of its models.

    A vocabulary or chat template of another one becomes the default; a parameter that names another
    one names the first of these.
    """
    names = [model.model for model in models]
    possible = ("base", "union", *names)
    template, rows, parameters = recipe.chat_template, recipe.token_rows, dict(recipe.parameters)
    kept = template in (*possible, *CHOICES["chat_template"]) or is_template(template)
    tokens = {token: row for token, row in rows.tokens.items() if row.source in (*possible, "zero")}
    for setting in get_method(recipe.method).named_models:
        if parameters.get(setting) not in names:
            parameters[setting] = names[0]
    return replace(
        recipe,
        models=tuple(models),
        parameters=parameters,
        vocabulary=recipe.vocabulary if recipe.vocabulary in possible else "base",
        chat_template=template if kept else "auto",
        token_rows=replace(rows, tokens=tokens),
    )


def whole_models(recipe: MergeRecipe) -> MergeRecipe:
    """The recipe of the whole models, where forms keep a part of their deltas."""
    return renamed(recipe, {model.model: whole_model(model.model) for model in recipe.models})


def entrants(
    recipe: MergeRecipe,
    against: MergeRecipe | None = None,
    trained_for: Mapping[str, str] | None = None,
) -> tuple[Entrant, ...]:
    """A recipe and its baselines: base, domain models, and two plain merges.

    `trained_for` maps models to domains of the user's own questions.

    Models are whole, whatever forms the recipe keeps them in. Linear is their mean. Task arithmetic
    adds the whole deltas with the recipe's own coefficients: it is the recipe without forms,
    pruning and amplification.
    """
    plain = whole_models(recipe)
    whole = [DomainModel(model.model, coefficient=model.coefficient) for model in plain.models]
    arithmetic = plain_merge(plain, whole, ARITHMETIC)
    mean = plain_merge(plain, [DomainModel(model.model) for model in plain.models], LINEAR)
    recipes = [(RECIPE, "recipe", recipe), *([(AGAINST, "against", against)] if against else [])]
    merges = [(LINEAR, "linear", mean), (ARITHMETIC, _arithmetic_label(recipe), arithmetic)]
    bases = dict.fromkeys(merge.base for *_, merge in recipes)
    merged = (model.model for *_, merge in recipes for model in merge.models)
    names = dict.fromkeys(map(whole_model, merged))
    own = {whole_model(name): domain for name, domain in (trained_for or {}).items()}

    def domains(references: Iterable[str]) -> tuple[str, ...]:
        pairs = ((zoo_domain(name), own.get(whole_model(name))) for name in references)
        return tuple(dict.fromkeys(domain for domain in chain(*pairs) if domain is not None))

    return (
        *(Entrant(BASE if base == recipe.base else base, base, base) for base in bases),
        *(Entrant(name, name, name, domains((name,))) for name in names),
        *(
            Entrant(key, label, merge, domains(model.model for model in merge.models))
            for key, label, merge in (*merges, *recipes)
        ),
    )


def _arithmetic_label(recipe: MergeRecipe) -> str:
    """The label of task arithmetic, with the recipe's coefficients where they are not all 1."""
    coefficients = [model.coefficient for model in recipe.models]
    if all(coefficient == 1 for coefficient in coefficients):
        return "task arithmetic"
    numbers = [f"{value:g}" for value in coefficients if isinstance(value, int | float)]
    if len(numbers) < len(coefficients):
        return "task arithmetic × the recipe's coefficients"
    return f"task arithmetic × {', '.join(numbers)}"


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
        return next(entrant for entrant in self.entrants if entrant.key == key)

    def score(self, key: str, domain: str) -> DomainScore | None:
        """Accuracy and loss; None before the exam."""
        marks = self.marks.get((key, domain))
        return None if marks is None else marked_score(self.items[domain], marks)

    def loss(self, key: str, domain: str) -> Interval | None:
        """Loss of the right answers in nats per token, with the bootstrap interval over items."""
        marks = self.marks.get((key, domain))
        return None if marks is None else mean_interval(marks.losses, marks.tokens)

    def own_model(self, domain: str) -> str | None:
        """The domain's own model: the one trained for it, else the one that scores best.

        Embedded models are not compared on another embedded domain.
        """
        models = [entrant for entrant in self.entrants if entrant.key == entrant.target]
        trained = [model.key for model in models if domain in model.domains]
        if trained:
            return trained[0]
        scores = {
            model.key: score.accuracy
            for model in models
            if (not model.domains or isinstance(domain, OwnDomain))
            and (score := self.score(model.key, domain)) is not None
        }
        return max(scores, key=lambda key: scores[key], default=None)

    def retention(self, key: str, domain: str) -> Interval | None:
        """Its accuracy ÷ that of the domain's own model; None if there is no such model."""
        pair = self._pair(key, self.own_model(domain), domain)
        return None if pair is None else ratio({domain: pair})

    def mean_retention(self, key: str) -> Interval | None:
        """Geometric mean over the domains that have a retention; None until all are scored."""
        pairs = {domain: self._pair(key, self.own_model(domain), domain) for domain in self.items}
        nonzero = {
            domain: pair for domain, pair in pairs.items() if pair is not None and any(pair[1])
        }
        return ratio(nonzero) if all(pairs.values()) else None

    def forgetting(self, key: str, domain: str) -> Interval | None:
        """Base accuracy minus its own, on a domain it was not made for; else None."""
        if domain in self.entrant(key).domains or key == BASE:
            return None
        if isinstance(domain, OwnDomain) and not any(
            domain in entrant.domains for entrant in self.entrants
        ):
            return None  # unknown which model was made for it
        pair = self._pair(BASE, key, domain)
        return None if pair is None else difference({domain: pair})

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line for a model and a domain: accuracy and retention as shares of
        1 with 95 % intervals, and the loss. Raises InvalidValue without pandas."""
        return frame_of(
            self._frame_row(entrant, domain) for entrant in self.entrants for domain in self.items
        )

    def _frame_row(self, entrant: Entrant, domain: str) -> dict[str, Any]:
        score, loss = self.score(entrant.key, domain), self.loss(entrant.key, domain)
        merge = isinstance(entrant.target, MergeRecipe)
        retention = self.retention(entrant.key, domain) if merge else None
        low, high = retention.ends if retention else (None, None)
        return {
            "model": entrant.label,
            "split": self.split,
            "domain": str(domain),
            **({} if score is None else score_row(score, loss.value if loss else None)),
            "retention_share": retention.value if retention else None,
            "retention_low": low,
            "retention_high": high,
        }

    def _pair(self, first: str, second: str | None, domain: str) -> Pair | None:
        """Hits of two entrants on a domain; None if one has no marks."""
        marks, others = self.marks.get((first, domain)), self.marks.get((second or "", domain))
        return None if marks is None or others is None else (marks.hits, others.hits)

    def comparison(self, first: str, second: str, domain: str | None = None) -> Comparison | None:
        """Two entrants on the same items, of one domain or all; None if marks are missing."""
        pairs = {}
        for name in self.items if domain is None else (domain,):
            pair = self._pair(first, second, name)
            if pair is None:
                return None
            pairs[name] = pair
        return compared(pairs)


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
    def significant(self) -> bool:
        """True if both the interval and the sign test exclude chance."""
        return not self.difference.low <= 0 <= self.difference.high and self.p < 0.05

    @property
    def visible(self) -> float:
        """About the smallest difference that so many items can show, as a fraction.

        Half the interval, and at least the observed difference if it is not significant. Also at
        least 3 / n (rule of three): an event not seen in n items is rarer than that, with 95 %.
        """
        half = (self.difference.high - self.difference.low) / 2
        missed = 0.0 if self.significant else abs(self.difference.value)
        return min(1.0, max(half, missed, 3 / self.n))


def compared(pairs: Mapping[str, Pair]) -> Comparison:
    """Compare two models on the same items: domain -> hits of both, at least one domain."""
    differs = sum(a != b for pair in pairs.values() for a, b in zip(*pair, strict=True))
    n = sum(len(hits) for hits, _ in pairs.values())
    return Comparison(difference(pairs), sign_test(pairs), differs, n)
