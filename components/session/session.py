"""One visitor's choices, checked and frozen, and their recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.partition import check_levels, even_levels
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.recipes.merged_tokens import CHOICES
from dppa_core.recipes.recipe import DTYPES, HEADS
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning

from .curve import Curve, checked_curve, level_of, numbers_along
from .fields import COEFFICIENT, MOST_PARTITIONS, PRUNING_SETTINGS, SLIDERS, Control
from .method_choice import DPPA, MethodChoice
from .parts import parts_coefficient

USUAL = PruningParameters()
MOST_MODELS = 5
SHARED_TEMPLATES = CHOICES["chat_template"]
MOST_OVERRIDES = 1000
LONGEST_MODULE = 200

Overrides = tuple[tuple[str, float], ...]
"""(module, pruning rate in [0, 1]) pairs, by name."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One domain model in the list."""

    reference: str
    """zoo:math, a folder, or what a form keeps of a model: see `forms.py`."""
    on: bool = True
    """Whether it takes part in the merge."""
    coefficient: float = 1.0
    """Coefficient of its whole delta, in [-1, 2]."""
    curve: Curve = ()
    """Coefficient by layer as (layer, coefficient) points; if empty, `coefficient` is used. A flat
    curve becomes that number."""
    parts: str = ""
    """Coefficient by part of the layers, as `parts_text` writes it; used if not empty."""

    def __post_init__(self) -> None:
        name, (low, high, _) = f"Coefficient of {self.reference}", COEFFICIENT
        object.__setattr__(self, "coefficient", check_number(name, self.coefficient, low, high))
        if self.parts:
            parts_coefficient(name, self.parts)  # checked
        if self.curve:
            curve = checked_curve(name, self.curve, low, high)
            level = level_of(curve)
            if level is not None:  # the same merge, and so the same recipe
                curve = ()
                object.__setattr__(self, "coefficient", level)
            object.__setattr__(self, "curve", curve)

    @property
    def weight(self) -> Coefficient:
        """The coefficient in use: a number, layer -> number, or parts."""
        if self.parts:
            return parts_coefficient(self.reference, self.parts)
        return numbers_along(self.curve) if self.curve else self.coefficient

    @property
    def decides(self) -> bool:
        """True if it changes the merge."""
        if self.parts:
            return self.on
        return self.on and any(value for _, value in self.curve or ((0, self.coefficient),))


@dataclass(frozen=True, slots=True)
class Session:
    """The values of all controls. Small, hashable, without tensors."""

    base: str = "zoo:base"
    models: tuple[ModelChoice, ...] = ()
    rate: float = 0.8
    """Overall pruning rate, in [0, 0.99]."""
    partitions: int = 2
    """Number of bands of the kept entries, 1 to 4; used if `shares` is empty."""
    shares: tuple[float, ...] = ()
    """Ends of the inner bands as rising shares of the kept entries, in (0, 1); if empty, even."""
    strength: float = USUAL.strength
    k_layer: float = USUAL.k_layer
    k_module: float = USUAL.k_module
    significance: str = USUAL.significance
    """Score that ranks the changes: one of the choices of `PruningParameters`."""
    linked: bool = True
    """Whether all domain models share the factors."""
    factors: tuple[float, ...] = (1.0, 1.0)
    """Amplification factors, the strongest partition first, each in [0, 4]."""
    own_factors: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """(reference, factors) of single models; used if not `linked`."""
    method: MethodChoice = MethodChoice()
    overrides: Overrides = ()
    """Pruning rates of single modules; used if the method prunes."""
    chat_template: str = "auto"
    """The merge's chat template: "auto", "base" or the reference of a domain model; see `template`.
    """
    dtype: str = "base"
    """Of the merged weights; see `MergeRecipe`."""
    heads: str = "match"
    """Whether heads must match; see `MergeRecipe`."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.models) <= MOST_MODELS:
            raise InvalidValue(
                f"A merge takes 1 to {MOST_MODELS} domain models, got {len(self.models)}."
            )
        for control in SLIDERS:
            if not control.of_pruning:  # checked with the other parameters
                control.check(control.title.lower(), getattr(self, control.name))
        names = [whole_model(model.reference) for model in self.models]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise InvalidValue(f"{min(doubled)} is in the list already; each model counts once.")
        for name, allowed in (("dtype", DTYPES), ("heads", HEADS)):
            if getattr(self, name) not in allowed:
                raise InvalidValue(
                    f"{name} must be one of {', '.join(allowed)}, got {shown(getattr(self, name))}."
                )
        self._check_shares()
        object.__setattr__(self, "own_factors", tuple(sorted(self.own_factors)))
        object.__setattr__(self, "overrides", checked_overrides(self.overrides))
        self.parameters  # noqa: B018  (checks them)

    def _check_shares(self) -> None:
        ends = (0.0, *self.shares, 1.0)
        if len(self.shares) >= MOST_PARTITIONS or any(b <= a for a, b in pairwise(ends)):
            raise InvalidValue(
                f"Levels are at most {MOST_PARTITIONS - 1} rising shares of what is kept, each "
                f"between 0 and 1, beside the rate; got {shown(list(self.shares))}."
            )

    @property
    def parameters(self) -> PruningParameters:
        """Values of the Dynamically Pruning sliders; raises InvalidValue if one is out of range."""
        return PruningParameters(**self._sliders())

    def _sliders(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in PRUNING_SETTINGS}

    @property
    def bands(self) -> tuple[float, ...]:
        """Levels from rate and partitions, whether or not the method uses them."""
        if not self.shares:
            return even_levels(self.rate, self.partitions)
        kept = 1 - self.rate
        return check_levels([*(round(1 - kept * s, 12) for s in self.shares), self.rate])

    @property
    def levels(self) -> tuple[float, ...]:
        """Pruning rates of the partitions for the method: many, one, or [0]."""
        pruner = self.method.pruner
        if pruner is None:
            return (0.0,)
        return self.bands if pruner.levels == "many" else (self.rate,)

    @property
    def pruning(self) -> Pruning | None:
        """The pruning of single deltas, with its settings; None if there is none."""
        if self.method.staged:
            return Pruning(DPPA, self._sliders())
        if self.method.pruner is None:
            return None
        return Pruning(self.method.name, self._parameters())

    @property
    def ranked_by(self) -> str:
        """The score by which the method ranks changes; |d| if it offers no choice."""
        ranks = self.pruning is not None and self.pruning.method == DPPA
        return self.significance if ranks else "magnitude"

    def _parameters(self) -> dict[str, Any]:
        parameters = self.method.parameters(self.deciding)
        return parameters | self._sliders() if self.method.name == DPPA else parameters

    @property
    def deciding(self) -> tuple[str, ...]:
        """References of the models that are switched on, with coefficients other than 0."""
        return tuple(model.reference for model in self.models if model.decides)

    @property
    def active(self) -> tuple[ModelChoice, ...]:
        """The domain models that are switched on."""
        return tuple(model for model in self.models if model.on)

    @property
    def held(self) -> Overrides:
        """The overrides in use: none if the method does not prune."""
        return self.overrides if self.method.pruner is not None else ()

    @property
    def template(self) -> str:
        """The chat template in use: "auto" if the chosen model takes no part."""
        allowed = (*SHARED_TEMPLATES, *(model.reference for model in self.active))
        return self.chat_template if self.chat_template in allowed else "auto"

    def factors_of(self, reference: str) -> tuple[float, ...]:
        """One factor for each level of a model; 1 without a choice or without pruning."""
        if self.method.pruner is None:
            return (1.0,)
        by_model = {} if self.linked else dict(self.own_factors)
        factors = by_model.get(reference, self.factors)
        count = len(self.levels)
        return (*factors[:count], *(1.0,) * (count - len(factors)))

    def recipe(self) -> MergeRecipe:
        """The merge these choices describe. Raises InvalidValue if every domain model is off,
        InvalidRecipe if they do not suit the method."""
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
                coefficient=model.weight,
            )
            for model in self.active
        )
        return MergeRecipe(
            base=self.base,
            models=models,
            method=self.method.name,
            parameters=self._parameters(),
            prune=self.pruning if self.method.staged else None,
            overrides={name: Override(rate) for name, rate in self.held},
            chat_template=self.template,
            dtype=self.dtype,
            heads=self.heads,
        )

    def asked_about(self, domain: str) -> Session:
        """The session whose merge answers for a domain, if the method merges for each domain. For
        other methods, or if that domain's model takes no part, it is this session."""
        named = self.method.names_domain
        reference = next((model for model in self.deciding if zoo_domain(model) == domain), None)
        if not named or reference is None:
            return self
        values = {**dict(self.method.values), named: reference}
        return replace(self, method=replace(self.method, values=tuple(values.items())))


def default_of(control: Control) -> Any:
    """A control's value in a session that says nothing of it."""
    return Session.__dataclass_fields__[control.name].default


def checked_overrides(pairs: Overrides) -> Overrides:
    """Pruning rates of single modules, by name. Raises InvalidValue: too many, a module twice, an
    invalid name, or a rate outside of [0, 1]."""
    if len(pairs) > MOST_OVERRIDES:
        raise InvalidValue(
            f"At most {MOST_OVERRIDES} modules have a rate of their own, got {len(pairs)}."
        )
    rates: dict[str, float] = {}
    for name, rate in pairs:
        if (
            not isinstance(name, str)
            or not name.isprintable()
            or not 0 < len(name) <= LONGEST_MODULE
        ):
            raise InvalidValue(
                f"A module is a name such as layers.3.mlp.down_proj; got {shown(name)}."
            )
        if name in rates:
            raise InvalidValue(f"{name} has two rates of its own; each module has one.")
        hint = "It is the share dropped: 0.5 drops half."
        rates[name] = check_number(f"Pruning rate of {name}", rate, 0, 1, hint)
    return tuple(sorted(rates.items()))
