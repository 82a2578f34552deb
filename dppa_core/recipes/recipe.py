"""The values of a recipe, checked at construction, and their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dppa_core.checkpoints.sources.references import kept_delta
from dppa_core.checkpoints.vocabulary.token_rows import UNSET, TokenRows
from dppa_core.errors import InvalidRecipe, many, shown
from dppa_core.forms.store import parse_store_text
from dppa_core.methods.registry import get_method
from dppa_core.parameter_fields import told_values
from dppa_core.pruning.coefficients import Coefficient, checked_coefficient, plain_coefficient
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.pruning.partition import check_levels
from dppa_core.pruning.pruning_parameters import CALIBRATED_KINDS, Override
from dppa_core.recipes.calibration import Calibration, calibration_of
from dppa_core.recipes.checks import (
    checked_factors,
    checked_overrides,
    checked_seed,
    checked_text,
    within,
)
from dppa_core.recipes.merged_tokens import CHOICES, checked_choice, checked_token_rows
from dppa_core.recipes.method_stage import Pruning, method_settings, set_fields
from dppa_core.recipes.model_settings import (
    check_arithmetic,
    check_levels_of_method,
    check_settings_of_method,
    checked_settings,
    plain_settings,
)

FORMAT = 1
DTYPES = (*DTYPE_CODES, "base")
EMBEDDED_DTYPE = "bfloat16"
HEADS = ("match", "base")
ARITHMETICS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class DomainModel:
    """One domain model and the treatment of its delta."""

    model: str
    """A model reference: zoo:math, a folder, hub:owner/name@commit, zoo:base+ADAPTER. A file states
    the forms that keep its delta as `store`; see `kept_delta`."""
    levels: tuple[float, ...] = (0.0,)
    """Pruning rates of the partitions, strictly falling; the last is the overall rate."""
    amplification: tuple[float, ...] = (1.0,)
    """One factor per level, in [0, 100]; a single 1.0 applies to all of them."""
    coefficient: Coefficient = 1.0
    """In [-10, 10]; or layer -> number, or by part, see `coefficient_of`."""
    calibration: Calibration | None = None
    """Its calibration text, if the method reads one; the recipe's if unset."""
    parameters: Mapping[str, Coefficient] = field(default_factory=dict)
    """Its own values of some of the method's parameters, each given as a coefficient is."""

    def __post_init__(self) -> None:
        model = checked_text("model", self.model)
        place = f"model {shown(model)}"
        levels = within(place, lambda: check_levels(self.levels))
        factors = checked_factors(place, self.amplification)
        if factors == (1.0,):
            factors *= len(levels)
        if len(factors) != len(levels):
            raise InvalidRecipe(
                f"{place}: {len(factors)} amplification factors {shown(list(factors))} for "
                f"{len(levels)} level{'s' if len(levels) != 1 else ''} {shown(list(levels))}; "
                "there must be one for each level."
            )
        coefficient = checked_coefficient(place, self.coefficient)
        set_fields(self, model=model, levels=levels, amplification=factors, coefficient=coefficient)
        set_fields(self, parameters=checked_settings(place, self.parameters))

    def __hash__(self) -> int:
        return hash(json.dumps(model_values(self), sort_keys=True))


@dataclass(frozen=True, slots=True)
class MergeRecipe:
    """Everything needed to repeat a merge; checked at construction, with defaults filled in."""

    base: str
    models: tuple[DomainModel, ...]
    """Their order is the order of summation, so it is part of the recipe."""
    method: str = "dppa"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """Module name -> its own pruning rate."""
    seed: int = 0
    dtype: str = "base"
    """Dtype of the merged weights: bfloat16, float16 or float32; base, that of most of its weights,
    which is known of an embedded one."""
    prune: Pruning | None = None
    """A pruning before methods that combine deltas, such as ties."""
    calibration: Calibration | None = None
    """For models without their own; by default embedded models read their domain's questions."""
    vocabulary: str = "base"
    """Source of the tokens: base, union, or one of its models, by reference or index."""
    chat_template: str = "auto"
    """Source of the template: base, one of its models, a format such as chatml, auto (the first
    model with one), common (the one that most models have), none, or a text in Jinja."""
    heads: str = "match"
    """Heads of the models, which must `match`; or `base`: where one differs, all are the base's."""
    arithmetic: str = "float32"
    """Sums are float32, rounded once; in bfloat16 or float16 every operation is, as in mergekit."""
    token_rows: TokenRows = UNSET
    """Rows of embedding and head that are not those of their models; in YAML below vocabulary."""

    def __post_init__(self) -> None:
        base = checked_text("base", self.base)
        models = tuple(self.models)
        if not models:
            raise InvalidRecipe("models is empty: a merge needs at least one domain model.")
        for key, choices in (("dtype", DTYPES), ("heads", HEADS), ("arithmetic", ARITHMETICS)):
            if (value := getattr(self, key)) not in choices:
                allowed = ", ".join(choices)
                raise InvalidRecipe(f"{key} must be one of {allowed}, got {shown(value)}.")
        checked_seed(self.seed)
        set_fields(self, base=base, dtype=known_dtype(base, self.dtype), models=models)
        set_fields(self, parameters=told_values(self.settings()))
        set_fields(self, overrides=checked_overrides(self.overrides))
        references = [model.model for model in models]
        for key in CHOICES:
            named = [*references, self.vocabulary] if key == "chat_template" else references
            set_fields(self, **{key: checked_choice(key, getattr(self, key), named)})
        set_fields(self, token_rows=checked_token_rows(self.token_rows, base, references))
        _check_stages(self)
        _check_calibration(self)
        if self.arithmetic != "float32":
            check_arithmetic(self.arithmetic, self.method, self.parameters, self.prune is not None)

    def __hash__(self) -> int:
        return hash(recipe_hash(self))

    def __repr__(self) -> str:
        names, count = ", ".join(model.model for model in self.models), len(self.overrides)
        beside = f", {many(count, 'override')}" if count else ""
        method, digits = self.method, recipe_hash(self)[:12]
        return f"MergeRecipe({method} of {names} on {self.base}{beside}, hash {digits})"

    def settings(self) -> Any:
        """The parameters as the method's own frozen dataclass."""
        return method_settings(self.method, self.parameters, "parameters")

    @property
    def significance(self) -> str:
        """The score that ranks elements for pruning: `magnitude`, or another."""
        settings = self.prune.settings() if self.prune else self.settings()
        return str(getattr(settings, "significance", "magnitude"))

    @property
    def calibrated(self) -> bool:
        """True if the merge needs statistics of calibration text."""
        combination = get_method(self.method).combination
        combines_by_text = combination is not None and combination.statistics != ""
        return combines_by_text or self.significance in CALIBRATED_KINDS

    @property
    def keeps_vocabulary(self) -> bool:
        """True if the merge has the base's tokens and rows, and none is set."""
        return self.vocabulary == "base" and not self.token_rows

    def calibration_of(self, model: DomainModel) -> Calibration:
        """The text a domain model reads; see `calibration.calibration_of`."""
        return calibration_of(model.model, model.calibration, self.calibration)


def known_dtype(base: str, dtype: str) -> str:
    """A recipe's dtype; bfloat16 in place of "base" if the base is an embedded model."""
    return EMBEDDED_DTYPE if dtype == "base" and base.startswith("zoo:") else dtype


def calibration_texts(recipe: MergeRecipe) -> tuple[tuple[str, str], ...]:
    """Each domain model and its calibration text, set or default; empty if none is read."""
    models = recipe.models if recipe.calibrated else ()
    return tuple((model.model, recipe.calibration_of(model).summary) for model in models)


def _check_stages(recipe: MergeRecipe) -> None:
    """Check that method, pruning, levels and overrides fit together."""
    method = get_method(recipe.method)
    if recipe.prune is not None and method.combination is None:
        raise InvalidRecipe(
            f"prune: {recipe.prune.method} before {method.name}: only methods that combine deltas, "
            "such as ties, can have a pruning before them. Make it the method itself."
        )
    if recipe.overrides and method.combination is not None and recipe.prune is None:
        raise InvalidRecipe(
            f"overrides: {method.name} has no pruning rates, so {shown(min(recipe.overrides))} "
            "cannot have one. Remove the overrides, or add `prune: dppa`."
        )
    for model in recipe.models:
        pruner = recipe.prune.method if recipe.prune else method.name
        check_levels_of_method(pruner, model.model, model.levels)
    separate = [(model.model, model.parameters) for model in recipe.models]
    check_settings_of_method(method.name, recipe.settings(), separate)
    if method.check is not None:
        coefficients = [(model.model, model.coefficient) for model in recipe.models]
        check, settings = method.check, recipe.settings()
        within("method", lambda: check(settings, coefficients))


def _check_calibration(recipe: MergeRecipe) -> None:
    """Check that calibration text is set only if it is read, and that needed text exists."""
    if recipe.calibrated:
        for model in recipe.models:
            within("calibration", partial(recipe.calibration_of, model))
    elif recipe.calibration or any(model.calibration for model in recipe.models):
        raise InvalidRecipe(
            f"calibration: {recipe.method} reads no text as it is set. Remove it, or choose the "
            f"significance {' or '.join(CALIBRATED_KINDS)}, or a method that weighs by a text."
        )


def model_values(model: DomainModel, base: str = "") -> dict[str, Any]:
    """One domain model as plain values; what a store keeps of it on `base` as a key of its own."""
    kept = kept_delta(model.model)
    named: dict[str, Any] = {"model": model.model}
    if kept and kept.base == base:
        named = {"model": kept.model, "store": parse_store_text(kept.store).plain()}
    calibration = {"calibration": model.calibration.values()} if model.calibration else {}
    return {
        **named,
        "levels": list(model.levels),
        "amplification": list(model.amplification),
        "coefficient": plain_coefficient(model.coefficient),
        **calibration,
        **({"parameters": plain_settings(model.parameters)} if model.parameters else {}),
    }


def recipe_values(recipe: MergeRecipe) -> dict[str, Any]:
    """The recipe as plain values, in the order of its file."""
    prune, rows = recipe.prune, recipe.token_rows
    staged = {"prune": {"method": prune.method, **prune.parameters}} if prune else {}
    return {
        "dppa": FORMAT,
        "base": recipe.base,
        "models": [model_values(model, recipe.base) for model in recipe.models],
        **staged,
        "method": recipe.method,
        "parameters": dict(recipe.parameters),
        **({"calibration": recipe.calibration.values()} if recipe.calibration else {}),
        "overrides": {name: {"rate": item.rate} for name, item in recipe.overrides.items()},
        "seed": recipe.seed,
        "dtype": recipe.dtype,
        # Omitted if unset, so that older recipes keep their hash.
        **({} if recipe.keeps_vocabulary else {"vocabulary": rows.described(recipe.vocabulary)}),
        **({"chat_template": recipe.chat_template} if recipe.chat_template != "auto" else {}),
        **({"heads": recipe.heads} if recipe.heads != "match" else {}),
        **({"arithmetic": recipe.arithmetic} if recipe.arithmetic != "float32" else {}),
    }


def recipe_hash(recipe: MergeRecipe) -> str:
    """The SHA-256 of the recipe, independent of number formats: the key of all that is made of it.

    Visitors choose recipes, and a part of the digits can be made equal: what is kept or compared
    under this has all 64.
    """
    text = json.dumps(
        recipe_values(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def short_hash(recipe: MergeRecipe) -> str:
    """The first 12 digits of `recipe_hash`, for people to read; never a key."""
    return recipe_hash(recipe)[:12]
