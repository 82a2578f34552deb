"""One visitor's choices, checked and frozen, and the recipe they amount to.

Knows no gradio and no model: plain values in, a MergeRecipe out. What a browser sends is not
trusted: every value is checked here, whatever the controls allow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from components.method_choice import DPPA, MethodChoice
from dppa_core.density import PruningParameters
from dppa_core.errors import InvalidValue
from dppa_core.parameters import check_number
from dppa_core.partition import check_levels, even_levels
from dppa_core.recipe import DomainModel, MergeRecipe, Pruning

MOST_MODELS = 5
MOST_PARTITIONS = 4
HIGHEST_RATE = 0.99
LARGEST_FACTOR = 4.0
COEFFICIENTS = (-1.0, 2.0)
LONGEST_REFERENCE = 500
LONGEST_TEXT = 100_000
ALLOWED_LEVELS = (
    f"Write 1 to {MOST_PARTITIONS} pruning rates in percent, falling, each below 100 and the last "
    "at most 99: 95, 80."
)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One domain model in the list."""

    reference: str
    """zoo:math, or a folder."""
    on: bool = True
    """Whether it takes part in the merge."""
    coefficient: float = 1.0
    """Weight of its whole delta, in [-1, 2]."""


@dataclass(frozen=True, slots=True)
class Session:
    """Everything the sliders say. Small, hashable, without tensors."""

    base: str = "zoo:base"
    models: tuple[ModelChoice, ...] = ()
    rate: float = 0.8
    """Overall pruning rate, in [0, 0.99]."""
    partitions: int = 2
    """Bands of the kept entries, 1 to 4; used where `shares` is empty."""
    shares: tuple[float, ...] = ()
    """Where the inner bands end, as rising shares of what is kept, in (0, 1); empty: evenly."""
    strength: float = 0.08
    k_layer: float = 3.0
    k_module: float = 5.0
    significance: str = "magnitude"
    """What ranks the changes: one of the choices of `PruningParameters`."""
    linked: bool = True
    """Whether all domain models share the factors."""
    factors: tuple[float, ...] = (1.0, 1.0)
    """Amplification factors, the strongest partition first, each in [0, 4]."""
    own_factors: tuple[tuple[str, tuple[float, ...]], ...] = field(default=())
    """(reference, factors) of single models; used where not `linked`."""
    method: MethodChoice = MethodChoice()

    def __post_init__(self) -> None:
        if not 1 <= len(self.models) <= MOST_MODELS:
            raise InvalidValue(
                f"A merge takes 1 to {MOST_MODELS} domain models, got {len(self.models)}."
            )
        check_number("pruning rate", self.rate, 0, HIGHEST_RATE, "It is the share dropped.")
        check_number("partitions", self.partitions, 1, MOST_PARTITIONS)
        names = [model.reference for model in self.models]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise InvalidValue(f"{min(doubled)} is in the list already; each model counts once.")
        self.parameters  # noqa: B018  (checks them)

    @property
    def parameters(self) -> PruningParameters:
        """What the sliders of Dynamically Pruning say; raises InvalidValue out of range."""
        return PruningParameters(**self._sliders())

    def _sliders(self) -> dict[str, Any]:
        names = ("strength", "k_layer", "k_module", "significance")
        return {name: getattr(self, name) for name in names}

    @property
    def bands(self) -> tuple[float, ...]:
        """Levels as rate and partitions have them, whatever the method makes of them."""
        if not self.shares:
            return even_levels(self.rate, self.partitions)
        kept = 1 - self.rate
        return check_levels([*(round(1 - kept * s, 12) for s in self.shares), self.rate])

    @property
    def levels(self) -> tuple[float, ...]:
        """Pruning rates of the partitions as the method takes them: many, one, or [0]."""
        pruner = self.method.pruner
        if pruner is None:
            return (0.0,)
        return self.bands if pruner.levels == "many" else (self.rate,)

    @property
    def pruning(self) -> Pruning | None:
        """What makes single deltas sparse, with its settings; None where nothing does."""
        if self.method.staged:
            return Pruning(DPPA, self._sliders())
        if self.method.pruner is None:
            return None
        return Pruning(self.method.name, self._parameters())

    @property
    def ranked_by(self) -> str:
        """What the changes are ranked by as the method has it: by |d| where none is chosen."""
        chosen = self.pruning is not None and self.pruning.method == DPPA
        return self.significance if chosen else "magnitude"

    def _parameters(self) -> dict[str, Any]:
        own = self.method.parameters(self.deciding)
        return own | self._sliders() if self.method.name == DPPA else own

    @property
    def deciding(self) -> tuple[str, ...]:
        """References of the models that change the merge: switched on, their coefficients not 0."""
        return tuple(model.reference for model in self.active if model.coefficient != 0)

    @property
    def active(self) -> tuple[ModelChoice, ...]:
        """The domain models that are switched on."""
        return tuple(model for model in self.models if model.on)

    def factors_of(self, reference: str) -> tuple[float, ...]:
        """One factor for each level of that model; 1 where none was chosen or nothing pruned."""
        if self.method.pruner is None:
            return (1.0,)
        own = self.factors if self.linked else dict(self.own_factors).get(reference, self.factors)
        count = len(self.levels)
        return (*own[:count], *(1.0,) * (count - len(own)))

    def recipe(self) -> MergeRecipe:
        """The merge these choices describe.

        Raises:
            InvalidValue: every domain model is switched off.
            InvalidRecipe: the models do not suit the method.
        """
        if not self.active:
            raise InvalidValue(
                "No domain model is switched on, so there is nothing to merge: the result "
                "would be the base itself. Switch one on under Models."
            )
        models = tuple(
            DomainModel(
                model=model.reference,
                levels=self.levels,
                amplification=self.factors_of(model.reference),
                coefficient=model.coefficient,
            )
            for model in self.active
        )
        return MergeRecipe(
            base=self.base,
            models=models,
            method=self.method.name,
            parameters=self._parameters(),
            prune=self.pruning if self.method.staged else None,
        )

    def asked_about(self, domain: str) -> Session:
        """The session whose merge answers for a domain, where each embedded one has its own.

        Of other methods, and where that domain's model takes no part, it is this one.
        """
        named, reference = self.method.names_domain, f"zoo:{domain}"
        if not named or reference not in self.deciding:
            return self
        values = {**dict(self.method.values), named: reference}
        return replace(self, method=replace(self.method, values=tuple(values.items())))


def shares_from_text(text: object) -> tuple[float, tuple[float, ...]]:
    """Read levels as people write them: "95, 80" -> (0.8, (0.25,)).

    Returns:
        The overall rate, and where the inner bands end as shares of what is kept.

    Raises:
        InvalidValue: no numbers, too many, out of range, or not falling.
    """
    words = str(text).replace("%", " ").replace(";", " ").replace(",", " ").split()
    try:
        percents = [float(word) for word in words]
    except ValueError:
        raise InvalidValue(f"{text!r} holds more than numbers. {ALLOWED_LEVELS}") from None
    if not 1 <= len(percents) <= MOST_PARTITIONS:
        raise InvalidValue(f"These are {len(percents)} levels. {ALLOWED_LEVELS}")
    for percent in percents:
        if not 0 <= percent < 100:  # false for nan too
            raise InvalidValue(f"{percent:g} is no pruning rate in percent. {ALLOWED_LEVELS}")
    if 0 < max(percents) < 1:
        raise InvalidValue(
            f"{text!r} are shares, as recipes have them; here the levels are per cent. "
            f"{ALLOWED_LEVELS}"
        )
    for before, after in pairwise(percents):
        if after >= before:
            raise InvalidValue(
                f"The levels do not fall: {after:g} after {before:g}. {ALLOWED_LEVELS}"
            )
    if percents[-1] > 100 * HIGHEST_RATE:
        raise InvalidValue(f"The last level, {percents[-1]:g}, is too high. {ALLOWED_LEVELS}")
    levels = check_levels([round(percent / 100, 12) for percent in percents])
    rate = levels[-1]
    return rate, tuple(round((1 - level) / (1 - rate), 12) for level in levels[:-1])


def parsed(value: object) -> object:
    """What a part of the page sent, from JSON text of reasonable length."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.") from None


def models_from_json(value: object) -> tuple[str, tuple[ModelChoice, ...]]:
    """Read what the list of models sends: {"base", "models": [{"ref", "on", "coefficient"}]}."""
    data = _mapping(value, "The list of models")
    rows = data.get("models")
    if not isinstance(rows, list) or len(rows) > MOST_MODELS:
        raise InvalidValue(f"The list of models must hold 1 to {MOST_MODELS} of them.")
    return reference_text(data.get("base")), tuple(_model(row) for row in rows)


def factors_from_json(value: object) -> dict[str, Any]:
    """Read what the amplification rows send, as keyword arguments of Session."""
    data = _mapping(value, "The amplification")
    own = _mapping(data.get("own") or {}, "The amplification of single models")
    if len(own) > MOST_MODELS:
        raise InvalidValue(f"At most {MOST_MODELS} models have factors of their own.")
    return {
        "linked": data.get("linked") is not False,
        "factors": _factors(data.get("factors")),
        "own_factors": tuple((reference_text(name), _factors(row)) for name, row in own.items()),
    }


def reference_text(value: object) -> str:
    """A model reference from outside: a short non-empty text without line breaks."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_REFERENCE or not text.isprintable():
        raise InvalidValue(f"A model reference is a name such as zoo:math; got {value!r:.80}.")
    return text


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{what} arrived in an unreadable form: {value!r:.80}.")
    return value


def _model(row: object) -> ModelChoice:
    data = _mapping(row, "A domain model")
    reference = reference_text(data.get("ref"))
    low, high = COEFFICIENTS
    coefficient = check_number(f"Coefficient of {reference}", data.get("coefficient"), low, high)
    return ModelChoice(reference, data.get("on") is not False, coefficient)


def _factors(row: object) -> tuple[float, ...]:
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) > MOST_PARTITIONS:
        raise InvalidValue(
            f"Amplification is a list of up to {MOST_PARTITIONS} factors: {row!r:.80}."
        )
    return tuple(check_number("Amplification", factor, 0, LARGEST_FACTOR) for factor in row)


def models_json(session: Session) -> dict[str, Any]:
    """What the list of models shows; the inverse of `models_from_json`."""
    rows = [
        {"ref": model.reference, "on": model.on, "coefficient": model.coefficient}
        for model in session.models
    ]
    return {"base": session.base, "models": rows}


def factors_json(session: Session) -> dict[str, Any]:
    """What the amplification rows show; the inverse of `factors_from_json`."""
    own = {name: list(factors) for name, factors in session.own_factors}
    return {"linked": session.linked, "factors": list(session.factors), "own": own}
