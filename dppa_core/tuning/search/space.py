"""The parameters a search may vary, with the ranges that the settings declare."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from dppa_core.errors import InvalidValue, did_you_mean, shown
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.contract import Method
from dppa_core.parameter_fields import as_choice, check_number
from dppa_core.pruning.coefficients import LARGEST_COEFFICIENT
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

MOST_LEVELS = 4
Value = float | int | str
_USUAL_METHODS = ("dppa", "magnitude", "owl", "dare", "ties")


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One varied parameter: a range of numbers, or a choice."""

    name: str
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    """0: any number of the range."""
    whole: bool = False
    choices: tuple[Value, ...] = ()
    """Replace the range if not empty."""

    def values(self) -> tuple[Value, ...]:
        """All values; five evenly spaced ones for a range without a step."""
        if self.choices:
            return self.choices
        step = self.step or (self.high - self.low) / 4
        count = round((self.high - self.low) / step) + 1 if step else 1
        steps = (round(self.low + index * step, 10) for index in range(count))
        inside = (value for value in steps if value <= self.high + 1e-9)
        return tuple(int(value) if self.whole else value for value in inside)

    def text(self) -> str:
        """The parameter as `parse_parameters` reads it."""
        if self.choices:
            return f"{self.name}={','.join(map(value_text, self.choices))}"
        step = f":{self.step:g}" if self.step else ""
        return f"{self.name}={self.low:g}:{self.high:g}{step}"


def value_text(value: Value) -> str:
    """A value as `parse_parameters` reads it."""
    return value if isinstance(value, str) else f"{value:g}"


def parse_parameters(texts: Sequence[str], recipe: MergeRecipe) -> tuple[SearchParameter, ...]:
    """Search parameters from texts such as `rate=0.5:0.95`, `factors`, `method=dppa,ties`.

    `factors` stands for factor1, factor2, …, one per partition, and `coefficients` for one per
    model.

    Raises:
        InvalidValue: an unknown name, no range, a value out of range, a name twice.
    """
    pairs = [(name.strip(), rest.strip()) for name, _, rest in (t.partition("=") for t in texts)]
    methods = [part.strip() for name, rest in pairs if name == "method" for part in rest.split(",")]
    possible = _known_parameters(recipe, [name for name in methods if name])
    parameters: list[SearchParameter] = []
    for group, rest in pairs:
        for name in _expanded(group, recipe, pairs):
            if name not in possible:
                raise InvalidValue(
                    f"A search cannot vary {shown(name)} here. {did_you_mean(name, possible)}"
                )
            parameters.append(_narrowed(possible[name], rest))
    names = [parameter.name for parameter in parameters]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"{name} is varied twice; once is enough.")
    if not parameters:
        raise InvalidValue("Nothing is varied. Name a setting, such as --vary rate=0.5:0.95.")
    return tuple(parameters)


def _expanded(name: str, recipe: MergeRecipe, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The parameters that a name stands for."""
    if name == "coefficients":
        return [f"coefficient.{short_name(model)}" for model in recipe.models]
    if name != "factors":
        return [name]
    count = max(len(model.levels) for model in recipe.models)
    for varied, rest in pairs:
        if varied == "levels":
            count = int(max(map(float, re.findall(r"\d+", rest)), default=MOST_LEVELS))
    return [f"factor{index + 1}" for index in range(min(count, MOST_LEVELS))]


def short_name(model: DomainModel) -> str:
    """The last part of a model's reference."""
    return model.model.rpartition("/")[2].rpartition(":")[2]


def _known_parameters(recipe: MergeRecipe, methods: Sequence[str]) -> dict[str, SearchParameter]:
    """All search parameters with their whole ranges, by name."""
    numbers = range(1, MOST_LEVELS + 1)
    names = [short_name(model) for model in recipe.models]
    parameters = [
        SearchParameter("rate", 0.0, 0.99, 0.0001),  # the page's step
        SearchParameter("levels", 1, MOST_LEVELS, 1, whole=True),
        SearchParameter("factor", 0.0, 4.0, 0.1),
        *(SearchParameter(f"factor{number}", 0.0, 4.0, 0.1) for number in numbers),
        SearchParameter("coefficient", 0.0, 2.0, 0.05),
        *(SearchParameter(f"coefficient.{name}", 0.0, 2.0, 0.05) for name in names),
        SearchParameter("method", choices=_USUAL_METHODS),
    ]
    stages = [get_method(name) for name in methods] or [get_method(recipe.method)]
    if recipe.prune:
        stages.append(get_method(recipe.prune.method))
    for method in stages:
        of_method = map(_parameter_of_field, fields(method.parameters))
        parameters += [parameter for parameter in of_method if parameter]
    by_name: dict[str, SearchParameter] = {}
    for parameter in parameters:
        by_name.setdefault(parameter.name, parameter)
    return by_name


def _parameter_of_field(item: Any) -> SearchParameter | None:
    limits = item.metadata
    if "choices" in limits:
        return SearchParameter(item.name, choices=tuple(limits["choices"]))
    if "min" not in limits:
        return None
    whole = bool(limits.get("whole"))
    step = limits["step"] if whole else 0
    return SearchParameter(item.name, limits["min"], limits["max"], step, whole)


def _narrowed(parameter: SearchParameter, text: str) -> SearchParameter:
    """The parameter with the range or choices of the text; unchanged for an empty text."""
    if not text:
        return parameter
    if ":" in text and not (parameter.choices and isinstance(parameter.choices[0], str)):
        return _with_range(parameter, text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parameter.name == "method":
        for part in parts:
            get_method(part)
        return replace(parameter, choices=tuple(parts))
    if parameter.choices:
        parts = [str(as_choice(part, parameter.choices)) for part in parts]
        for part in parts:
            if part not in parameter.choices:
                choices = ", ".join(map(str, parameter.choices))
                raise InvalidValue(f"{parameter.name} may be {choices}; got {shown(part)}.")
        return replace(parameter, choices=tuple(parts))
    numbers = tuple(_number(parameter, part) for part in parts)
    return replace(parameter, choices=tuple(int(n) if parameter.whole else n for n in numbers))


def _with_range(parameter: SearchParameter, text: str) -> SearchParameter:
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidValue(f"{parameter.name}={text}: a range is LOW:HIGH or LOW:HIGH:STEP.")
    low, high = (_number(parameter, part) for part in parts[:2])
    step = parameter.step
    if len(parts) == 3:
        step = check_number(
            f"{parameter.name}: step", _plain(parts[2]), 1e-9, max(high - low, 1e-9)
        )
    if low >= high:
        raise InvalidValue(f"{parameter.name}={text}: a range must begin below its end.")
    return replace(parameter, low=low, high=high, step=step)


def _number(parameter: SearchParameter, text: str) -> float:
    wide = (-LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
    low, high = (
        wide if parameter.name.startswith("coefficient") else (parameter.low, parameter.high)
    )
    return check_number(parameter.name, _plain(text), low, high)


def _plain(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def applies(name: str, recipe: MergeRecipe, method: str) -> bool:
    """Return True if a search parameter has an effect with this method."""
    combined = get_method(method)
    pruner = _pruner(recipe, combined)
    if name == "levels" or name.startswith("factor"):
        return pruner is not None and pruner.levels == "many"
    if name in ("rate", "method") or name.startswith("coefficient"):
        return True
    names = {item.name for item in fields(combined.parameters)}
    if recipe.prune and combined.combination is not None:
        names |= {item.name for item in fields(get_method(recipe.prune.method).parameters)}
    return name in names


def _pruner(recipe: MergeRecipe, method: Method) -> Method | None:
    """The method that prunes if this one merges; None if none does."""
    if method.prunes:
        return method
    staged = recipe.prune is not None and method.combination is not None
    return get_method(recipe.prune.method) if staged and recipe.prune else None


def recipe_with(recipe: MergeRecipe, values: Mapping[str, Value]) -> MergeRecipe:
    """The recipe with the values of search parameters, by their names.

    A method other than the recipe's begins with its own defaults. If a method has no pruning
    rates, 1 - rate becomes its setting `density`, if it has one.

    Raises:
        InvalidRecipe: the values contradict each other.
    """
    method = get_method(str(values.get("method", recipe.method)))
    changed = method.name != recipe.method
    pruner = _pruner(recipe, method)
    names = {item.name for item in fields(method.parameters)}
    parameters = {} if changed else dict(recipe.parameters)
    parameters |= {name: value for name, value in values.items() if name in names}
    prune = recipe.prune if method.combination is not None else None
    if prune is not None:
        of_pruning = {item.name for item in fields(get_method(prune.method).parameters)} - names
        new = {name: value for name, value in values.items() if name in of_pruning}
        prune = replace(prune, parameters={**prune.parameters, **new})
    models = tuple(_model_with(model, values, pruner) for model in recipe.models)
    rate = float(values.get("rate", max(model.levels[-1] for model in recipe.models)))
    if pruner is None and "density" in names - set(values) and (changed or "rate" in values):
        parameters["density"] = round(1 - rate, 12)
    if method.name == "darex_q" and "q" not in values:  # q must be at least the density
        parameters["q"] = max(float(parameters.get("q", 0.0)), round(1 - rate, 12))
    return replace(
        recipe,
        models=models,
        method=method.name,
        parameters=parameters,
        prune=prune,
        overrides={} if pruner is None else recipe.overrides,
    )


def _model_with(
    model: DomainModel, values: Mapping[str, Value], pruner: Method | None
) -> DomainModel:
    """A model with its levels, factors and coefficient, as far as its method has them."""
    rate = float(values.get("rate", model.levels[-1]))
    levels: tuple[float, ...] = (0.0,)
    factors: tuple[float, ...] = (1.0,)
    if pruner is not None and pruner.levels == "one":
        levels, factors = (rate,), model.amplification[:1]
    elif pruner is not None:
        levels = _levels_with(model, rate, values.get("levels"))
        factors = _factors_with(model, len(levels), values)
    coefficient = values.get(f"coefficient.{short_name(model)}", values.get("coefficient"))
    number = model.coefficient if coefficient is None else float(coefficient)
    return replace(model, levels=levels, amplification=factors, coefficient=number)


def _levels_with(model: DomainModel, rate: float, count: Value | None) -> tuple[float, ...]:
    """Levels at another rate, with the same proportions between the partitions."""
    if count is not None:
        return even_levels(rate, int(count))
    if rate == model.levels[-1]:
        return model.levels
    shares = ((1 - level) / (1 - model.levels[-1]) for level in model.levels)
    levels = tuple(round(1 - (1 - rate) * share, 12) for share in shares)
    fall = all(later < earlier for earlier, later in pairwise(levels))
    return levels if fall else (rate,)


def _factors_with(model: DomainModel, count: int, values: Mapping[str, Value]) -> tuple[float, ...]:
    """A factor for each of so many levels: a varied one, else the model's, else 1."""
    shared = values.get("factor")
    factors = model.amplification if shared is None else (float(shared),) * count
    padded = (*factors[:count], *(1.0,) * (count - len(factors)))
    return tuple(float(values.get(f"factor{k + 1}", factor)) for k, factor in enumerate(padded))
