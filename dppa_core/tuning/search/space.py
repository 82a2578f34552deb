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
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.coefficients import LARGEST_COEFFICIENT
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

TRIALS = 40
"""Default number of trials of a study."""
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
        each = (round(self.low + place * step, 10) for place in range(count))
        return tuple(int(one) if self.whole else one for one in each if one <= self.high + 1e-9)

    def told(self) -> str:
        """The parameter as `parse_knobs` reads it."""
        if self.choices:
            return f"{self.name}={','.join(map(written, self.choices))}"
        step = f":{self.step:g}" if self.step else ""
        return f"{self.name}={self.low:g}:{self.high:g}{step}"


def written(value: Value) -> str:
    """A value as `parse_knobs` reads it."""
    return value if isinstance(value, str) else f"{value:g}"


def parse_knobs(texts: Sequence[str], recipe: MergeRecipe) -> tuple[SearchParameter, ...]:
    """Search parameters from texts such as `rate=0.5:0.95`, `factors`, `method=dppa,ties`.

    `factors` stands for factor1, factor2, …, one per partition, and `coefficients` for one per
    model.

    Raises:
        InvalidValue: an unknown name, no range, a value out of range, a name twice.
    """
    split = [(name.strip(), rest.strip()) for name, _, rest in (t.partition("=") for t in texts)]
    methods = [part.strip() for name, rest in split if name == "method" for part in rest.split(",")]
    known = _known(recipe, [name for name in methods if name] or [])
    found: list[SearchParameter] = []
    for name, rest in split:
        for one in _expanded(name, recipe, split):
            if one not in known:
                raise InvalidValue(
                    f"A search cannot vary {shown(one)} here. {did_you_mean(one, known)}"
                )
            found.append(_narrowed(known[one], rest))
    names = [knob.name for knob in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"{name} is varied twice; once is enough.")
    if not found:
        raise InvalidValue("Nothing is varied. Name a setting, such as --vary rate=0.5:0.95.")
    return tuple(found)


def _expanded(name: str, recipe: MergeRecipe, split: Sequence[tuple[str, str]]) -> list[str]:
    if name == "coefficients":
        return [f"coefficient.{short_name(model)}" for model in recipe.models]
    if name != "factors":
        return [name]
    most = max(len(model.levels) for model in recipe.models)
    for other, rest in split:
        if other == "levels":
            most = int(max(map(float, re.findall(r"\d+", rest)), default=MOST_LEVELS))
    return [f"factor{place + 1}" for place in range(min(most, MOST_LEVELS))]


def short_name(model: DomainModel) -> str:
    """The last part of a model's reference."""
    return model.model.rpartition("/")[2].rpartition(":")[2]


def _known(recipe: MergeRecipe, methods: Sequence[str]) -> dict[str, SearchParameter]:
    """All search parameters with their whole ranges, by name."""
    knobs = [
        SearchParameter("rate", 0.0, 0.99, 0.0001),  # the page's step
        SearchParameter("levels", 1, MOST_LEVELS, 1, whole=True),
        SearchParameter("factor", 0.0, 4.0, 0.1),
        *(SearchParameter(f"factor{place}", 0.0, 4.0, 0.1) for place in range(1, MOST_LEVELS + 1)),
        SearchParameter("coefficient", 0.0, 2.0, 0.05),
        *(
            SearchParameter(f"coefficient.{short_name(model)}", 0.0, 2.0, 0.05)
            for model in recipe.models
        ),
        SearchParameter("method", choices=_USUAL_METHODS),
    ]
    stages = [get_method(name) for name in methods] or [get_method(recipe.method)]
    if recipe.prune:
        stages.append(get_method(recipe.prune.method))
    for method in stages:
        knobs += [knob for item in fields(method.parameters) if (knob := _of_field(item))]
    found: dict[str, SearchParameter] = {}
    for knob in knobs:
        found.setdefault(knob.name, knob)
    return found


def _of_field(item: Any) -> SearchParameter | None:
    about = item.metadata
    if "choices" in about:
        return SearchParameter(item.name, choices=tuple(about["choices"]))
    if "min" not in about:
        return None
    whole = bool(about.get("whole"))
    return SearchParameter(
        item.name, about["min"], about["max"], about["step"] if whole else 0, whole
    )


def _narrowed(knob: SearchParameter, text: str) -> SearchParameter:
    """The parameter with the range or choices of the text; unchanged for an empty text."""
    if not text:
        return knob
    if ":" in text and not (knob.choices and isinstance(knob.choices[0], str)):
        return _range(knob, text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if knob.name == "method":
        for part in parts:
            get_method(part)
        return replace(knob, choices=tuple(parts))
    if knob.choices:
        for part in parts:
            if part not in knob.choices:
                known = ", ".join(map(str, knob.choices))
                raise InvalidValue(f"{knob.name} may be {known}; got {shown(part)}.")
        return replace(knob, choices=tuple(parts))
    numbers = tuple(_number(knob, part) for part in parts)
    return replace(knob, choices=tuple(int(n) if knob.whole else n for n in numbers))


def _range(knob: SearchParameter, text: str) -> SearchParameter:
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidValue(f"{knob.name}={text}: a range is LOW:HIGH or LOW:HIGH:STEP.")
    low, high = (_number(knob, part) for part in parts[:2])
    step = knob.step
    if len(parts) == 3:
        step = check_number(f"{knob.name}: step", _plain(parts[2]), 1e-9, max(high - low, 1e-9))
    if low >= high:
        raise InvalidValue(f"{knob.name}={text}: a range must begin below its end.")
    return replace(knob, low=low, high=high, step=step)


def _number(knob: SearchParameter, text: str) -> float:
    wide = (-LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
    low, high = wide if knob.name.startswith("coefficient") else (knob.low, knob.high)
    return check_number(knob.name, _plain(text), low, high)


def _plain(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def applies(name: str, recipe: MergeRecipe, method: str) -> bool:
    """Whether a search parameter has an effect with this method."""
    chosen = get_method(method)
    pruner = _pruner(recipe, chosen)
    if name == "levels" or name.startswith("factor"):
        return pruner is not None and pruner.levels == "many"
    if name in ("rate", "method") or name.startswith("coefficient"):
        return True
    names = {item.name for item in fields(chosen.parameters)}
    if recipe.prune and chosen.combination is not None:
        names |= {item.name for item in fields(get_method(recipe.prune.method).parameters)}
    return name in names


def _pruner(recipe: MergeRecipe, method: Method) -> Method | None:
    if method.prunes:
        return method
    staged = recipe.prune is not None and method.combination is not None
    return get_method(recipe.prune.method) if staged and recipe.prune else None


def settled(recipe: MergeRecipe, values: Mapping[str, Value]) -> MergeRecipe:
    """The recipe with these settings.

    A method other than the recipe's begins with its own defaults. If a method has no pruning
    rates, 1 - rate becomes its setting `density`, if it has one.

    Raises:
        InvalidRecipe: the settings contradict each other.
    """
    method = get_method(str(values.get("method", recipe.method)))
    changed = method.name != recipe.method
    pruner = _pruner(recipe, method)
    own = {item.name for item in fields(method.parameters)}
    parameters = {} if changed else dict(recipe.parameters)
    parameters |= {name: value for name, value in values.items() if name in own}
    prune = recipe.prune if method.combination is not None else None
    if prune is not None:
        theirs = {item.name for item in fields(get_method(prune.method).parameters)}
        set_there = {n: v for n, v in values.items() if n in theirs and n not in own}
        prune = replace(prune, parameters={**prune.parameters, **set_there})
    models = tuple(_model(model, values, pruner) for model in recipe.models)
    rate = float(values.get("rate", max(model.levels[-1] for model in recipe.models)))
    if pruner is None and "density" in own - set(values) and (changed or "rate" in values):
        parameters["density"] = round(1 - rate, 12)
    if method.name == "darex_q" and "q" not in values:  # q must be at least the density
        parameters["q"] = max(float(parameters.get("q", 0.0)), round(1 - rate, 12))
    keeps = pruner is not None
    return replace(
        recipe,
        models=models,
        method=method.name,
        parameters=parameters,
        prune=prune,
        overrides=recipe.overrides if keeps else {},
    )


def _model(model: DomainModel, values: Mapping[str, Value], pruner: Method | None) -> DomainModel:
    rate = float(values.get("rate", model.levels[-1]))
    levels: tuple[float, ...] = (0.0,)
    factors: tuple[float, ...] = (1.0,)
    if pruner is not None and pruner.levels == "one":
        levels, factors = (rate,), model.amplification[:1]
    elif pruner is not None:
        levels = _levels(model, rate, values.get("levels"))
        factors = _factors(model, len(levels), values)
    coefficient = values.get(f"coefficient.{short_name(model)}", values.get("coefficient"))
    chosen = model.coefficient if coefficient is None else float(coefficient)
    return replace(model, levels=levels, amplification=factors, coefficient=chosen)


def _levels(model: DomainModel, rate: float, count: Value | None) -> tuple[float, ...]:
    """Levels at another rate, with the same proportions between the partitions."""
    if count is not None:
        return even_levels(rate, int(count))
    if rate == model.levels[-1]:
        return model.levels
    shares = ((1 - level) / (1 - model.levels[-1]) for level in model.levels)
    found = tuple(round(1 - (1 - rate) * share, 12) for share in shares)
    fall = all(later < earlier for earlier, later in pairwise(found))
    return found if fall else (rate,)


def _factors(model: DomainModel, count: int, values: Mapping[str, Value]) -> tuple[float, ...]:
    whole = values.get("factor")
    given = model.amplification if whole is None else (float(whole),) * count
    padded = (*given[:count], *(1.0,) * (count - len(given)))
    return tuple(float(values.get(f"factor{k + 1}", old)) for k, old in enumerate(padded))
