"""Reads a mergekit recipe and looks up its values by mergekit's rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart, closest, shown
from dppa_core.parameter_fields import is_number
from dppa_core.pruning.coefficients import Coefficient, coefficient_from
from dppa_core.recipes.mergekit.documents import reference_of
from dppa_core.recipes.mergekit.problems import Problems
from dppa_core.recipes.mergekit.slices import Part, Slice, StackedModels, read_slices, stacked
from dppa_core.recipes.mergekit.values import (
    Leaf,
    Parameters,
    Setting,
    checked_parameters,
    read_setting,
)

_WITHOUT_BASE = ("linear", "karcher", "passthrough")
"""Methods whose base is a model like the others; if none is named, the first stands for it."""
_BASE_OR_NOT = ("nuslerp", "multislerp")
"""Methods that turn the models themselves if no base is named."""
ModelParameters = Parameters | tuple[Parameters, ...]
"""Of one model; with slices, in each of them."""
Models = tuple[tuple[str, ModelParameters], ...]
"""Reference and parameters of each model."""
_NOTHING: Parameters = {}


@dataclass(slots=True)
class MergekitSource:
    """The content of a mergekit recipe, with values looked up as in mergekit."""

    method: str
    base: str
    models: Models
    """Without the base if the method uses deltas."""
    parameters: tuple[Parameters, ...]
    """Parameters for all models: of the slice, the module, the recipe. The first value counts."""
    names: Sequence[str]
    """Names of the base's tensors; empty if unknown, or with slices."""
    parts: tuple[Part, ...] = ()
    """With slices, the tensors of each."""
    assumes_names: bool = False
    """True if no tensor of any model is known, so that names are those of a Llama."""
    data: Mapping[Any, Any] = field(default_factory=dict)
    """All keys of the recipe."""
    problems: Problems = field(default_factory=Problems)
    """What cannot be read; values then have their defaults."""
    notes: list[str] = field(default_factory=list)

    @property
    def names_base(self) -> bool:
        """True if the recipe has a base_model."""
        return bool(self.data.get("base_model"))

    def setting(self, name: str, default: Any, model: ModelParameters = _NOTHING) -> Setting:
        """A model's own value; for tensors without one the value of all models, or the default."""
        named = next((reference for reference, own in self.models if own is model), "")
        if not self.parts:
            levels = [model, *self.parameters]
            return self._setting(name, default, levels, self.names, named)
        numbers: dict[str, Leaf] = {}
        for number, part in enumerate(self.parts):
            own = model[number] if isinstance(model, tuple) else model
            levels = [own, part.parameters, *self.parameters]
            value = self._setting(name, default, levels, tuple(part.names), named)
            numbers |= {
                tensor: value if isinstance(value, float) else value[inside]
                for inside, tensor in part.names.items()
            }
        first = next(iter(numbers.values()))
        return first if isinstance(first, float) and len(set(numbers.values())) == 1 else numbers

    def _setting(
        self, name: str, default: Any, levels: Sequence[Any], tensors: Sequence[str], model: str
    ) -> Setting:
        """See `setting`; the first level is the model's own."""
        candidates = [*(level.get(name) for level in levels), default]
        values = [value for value in candidates if value is not None]
        entries = chain(*(value if isinstance(value, list) else [value] for value in values))
        if self.assumes_names and any(isinstance(entry, Mapping) for entry in entries):
            self.note(
                "None of the models is on this disk: their tensors are taken to be named like "
                "those of a Llama."
            )
        fallback: Setting = float(default) if is_number(default) else 1.0
        if values:
            own = model and levels[0].get(name) is not None
            place = f"{name} of {model}" if own else name
            return self.problems.run(
                lambda: read_setting(values[0], place, tensors, values[1:]), fallback
            )
        self.problems.add(
            InvalidRecipe(
                f"{self.method} needs the parameter {name!r} for every model. In mergekit's "
                "recipes it stands under each model, or once for all of them."
            )
        )
        return fallback

    def number(self, name: str, default: Any, model: ModelParameters = _NOTHING) -> float:
        """A value that must be equal for all tensors."""
        value = self.setting(name, default, model)
        if isinstance(value, float):
            return value
        self.problems.add(
            NoCounterpart(
                f"{name} differs by layer or tensor; here it is one number for all of them. "
                "Weights, t, densities and lambda may differ."
            )
        )
        return float(default)

    def flag(self, name: str, default: bool) -> bool:
        """A value that is true or false."""
        return self.number(name, default) != 0

    def common(self, name: str, default: Any) -> float | None:
        """A value that all models share, or None."""
        values = {self.number(name, default, model) for _, model in self.models}
        return values.pop() if len(values) == 1 else None

    def weights(self, times: float = 1.0) -> list[Coefficient]:
        """The coefficients of all models."""
        return [self.coefficient("weight", model, times) for _, model in self.models]

    def coefficient(
        self,
        name: str,
        model: ModelParameters = _NOTHING,
        times: float = 1.0,
        default: float | None = None,
    ) -> Coefficient:
        """A coefficient, by layer or part if needed."""
        value = self.setting(name, default, model)
        if isinstance(value, float):
            return value * times
        return coefficient_from(
            {
                tensor: tuple(n * times for n in number)
                if isinstance(number, tuple)
                else number * times
                for tensor, number in value.items()
            }
        )

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)


def read_source(
    data: Mapping[Any, Any], names: Callable[[str], Sequence[str]], methods: Collection[str]
) -> MergekitSource:
    """Read a mergekit recipe; what cannot be read goes into its `problems`.

    Args:
        methods: The methods that have a counterpart.
        names: Reference of a model -> names of its tensors; empty if unknown. Those of the base
            are asked for first. Without any, they are a Llama's, if the recipe has layer ranges.
    """
    problems = Problems()
    method = str(data.get("merge_method") or "")
    if not method:
        raise InvalidRecipe("The key 'merge_method' is missing: this is not a recipe of mergekit.")
    if method not in methods:
        hint = closest(method, methods) or f"Those that have one: {', '.join(methods)}."
        problems.add(NoCounterpart(f"merge_method {shown(method)} has no counterpart here. {hint}"))
    free = _WITHOUT_BASE if data.get("base_model") else (*_WITHOUT_BASE, *_BASE_OR_NOT)
    needed = method in methods and method not in free
    content = problems.run(lambda: _content(data), _NOTHING)
    slices: tuple[Slice, ...] = problems.run(lambda: read_slices(content.get("slices")), ())
    plain = content and not content.get("slices")
    listed: Models = problems.run(lambda: _models(content), ()) if plain else ()
    levels: tuple[Parameters, ...] = problems.run(lambda: _levels(data, content), ())
    first = next(chain(dict(listed), *(part.sources for part in slices)), "")
    base = problems.run(lambda: _base(data, method, first, needed), "")
    listed, parts = _with_base(method, listed, base, needed, levels), tuple[Part, ...]()
    if slices and base:
        whole = StackedModels(base, (), ())
        stacks = problems.run(lambda: stacked(slices, base, deltas=needed, names=names), whole)
        base, listed, parts = stacks.base, stacks.models, stacks.parts
    if not listed and not problems.errors:
        problems.add(InvalidRecipe("The recipe names no model beside its base."))
    known = _known(names, base, listed) if base and not parts else ()
    source = MergekitSource(
        method, base, listed, levels, known, parts, data=data, problems=problems
    )
    everyone = [base, *dict(listed), *(model for part in slices for model in part.sources)]
    source.assumes_names = not any(map(names, everyone))
    return source


def _known(names: Callable[[str], Sequence[str]], base: str, models: Models) -> Sequence[str]:
    """The tensors of the base, or of the first model whose tensors are known."""
    return next(filter(None, map(names, (base, *(model for model, _ in models)))), ())


def _with_base(
    method: str, models: Models, base: str, needed: bool, levels: Sequence[Parameters]
) -> Models:
    """The models as mergekit takes them: a base that is needed has no delta."""
    if needed:
        return tuple(model for model in models if model[0] != base)
    weighted = any("weight" in level for level in levels) or method == "karcher"
    return (*models, (base, {})) if weighted and models and base not in dict(models) else models


def _content(data: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The part of a recipe that lists models: the recipe itself, or its only module."""
    listed = [key for key in ("models", "slices", "modules") if data.get(key)]
    if len(listed) > 1:
        raise InvalidRecipe(f"A recipe has one of models, slices and modules, got {listed}.")
    modules = data.get("modules")
    if not modules:
        return data
    if not isinstance(modules, Mapping) or list(modules) != ["default"]:
        raise NoCounterpart(
            f"modules {shown(list(modules))}: a merge here is of one language model, the module "
            "`default`, not of several parts put together."
        )
    if not isinstance(modules["default"], Mapping):
        raise InvalidRecipe(f"modules: default must have models, got {shown(modules['default'])}.")
    content: Mapping[Any, Any] = modules["default"]
    return content


def _levels(data: Mapping[Any, Any], content: Mapping[Any, Any]) -> tuple[Parameters, ...]:
    """The parameters for all models, the first to count first."""
    places = [*([] if content is data else [content]), data]
    return tuple(checked_parameters(place.get("parameters"), "parameters") for place in places)


def _base(data: Mapping[Any, Any], method: str, first: str, needed: bool) -> str:
    base = data.get("base_model")
    if base is not None:
        reference = reference_of(base)
        if reference is None:
            raise InvalidRecipe(f"base_model must name a model, got {shown(base)}.")
        return reference
    if needed:
        raise InvalidRecipe(f"{method} needs a base_model; the recipe has none.")
    return first


def _models(content: Mapping[Any, Any]) -> Models:
    listed = content.get("models")
    if not isinstance(listed, list) or not listed:
        raise InvalidRecipe(f"models must be a list of {{model: NAME}}, got {shown(listed)}.")
    models: dict[str, Parameters] = {}
    for index, entry in enumerate(listed):
        reference = reference_of(entry.get("model")) if isinstance(entry, Mapping) else None
        if reference is None:
            raise InvalidRecipe(f"models[{index}] must have the key 'model', got {shown(entry)}.")
        parameters = checked_parameters(entry.get("parameters"), f"models[{index}]")
        # twice the same is once, with the first value of each parameter; newer mergekits refuse it
        models[reference] = {**parameters, **models.get(reference, {})}
    return tuple(models.items())
