"""Reads a mergekit recipe and looks up its values by mergekit's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.parameter_fields import check_keys
from dppa_core.pruning.coefficients import Coefficient, coefficient_from
from dppa_core.recipes.mergekit.values import Setting, llama_names, read_setting
from dppa_core.recipes.plain_yaml import read_mapping

_KEYS = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters"),
    *("dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template", "name"),
)
_DTYPES = ("bfloat16", "float16", "float32")
Parameters = Mapping[str, Any]
_NOTHING: Parameters = {}


@dataclass(slots=True)
class MergekitSource:
    """The content of a mergekit recipe, with values looked up as in mergekit."""

    method: str
    base: str
    models: tuple[tuple[str, Parameters], ...]
    """Reference and parameters of each model; without the base if the method uses deltas."""
    parameters: Parameters
    """Parameters for all models."""
    names: Sequence[str]
    """Names of the base's tensors; empty if unknown."""
    dtype: str = "base"
    vocabulary: str = "base"
    notes: list[str] = field(default_factory=list)

    def setting(self, name: str, default: Any, model: Parameters = _NOTHING) -> Setting:
        """A model's own value; for tensors without one the value of all models, or the default."""
        candidates = [model.get(name), self.parameters.get(name), default]
        values = [value for value in candidates if value is not None]
        if not values:
            raise InvalidRecipe(
                f"{self.method} needs the parameter {name!r} for every model. In mergekit's "
                "recipes it stands under each model, or once for all of them."
            )
        return read_setting(values[0], name, self.names, values[1:])

    def number(self, name: str, default: Any, model: Parameters = _NOTHING) -> float:
        """A value that must be equal for all tensors."""
        value = self.setting(name, default, model)
        if not isinstance(value, float):
            raise NoCounterpart(
                f"{name} differs by layer or tensor; here it is one number for all of them. Only "
                "weight and t may differ by layer."
            )
        return value

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
        self, name: str, model: Parameters = _NOTHING, times: float = 1.0
    ) -> Coefficient:
        """A coefficient, by layer or part if needed."""
        value = self.setting(name, None, model)
        if isinstance(value, float):
            return value * times
        return coefficient_from({tensor: number * times for tensor, number in value.items()})

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)


def read_source(text: str, names: Callable[[str], Sequence[str]]) -> MergekitSource:
    """Read the YAML of a mergekit recipe.

    Args:
        names: Reference of a model -> names of its tensors; empty if unknown. Those of the base
            are asked for first. Without any, they are a Llama's, if the recipe has layer ranges.
    """
    data = read_mapping(text)
    check_keys(data, _KEYS, "mergekit's recipe")
    method = str(data.get("merge_method", ""))
    if not method:
        raise InvalidRecipe("The key 'merge_method' is missing: this is not a recipe of mergekit.")
    models = _models(data)
    base = data.get("base_model")
    if base is None and method != "linear":
        raise InvalidRecipe(f"{method} needs a base_model; the recipe has none.")
    base = str(base) if base is not None else models[0][0]
    if method != "linear":  # the base has no delta
        models = tuple(model for model in models if model[0] != base)
    if not models:
        raise InvalidRecipe("The recipe names no model beside its base.")
    parameters = _parameters(data.get("parameters"), "parameters")
    known = map(names, (base, *(reference for reference, _ in models)))
    tensors = next(filter(None, known), llama_names(_layers(data)))
    source = MergekitSource(method, base, models, parameters, tensors)
    source.dtype = _dtype(data, source)
    source.vocabulary = _vocabulary(data, source)
    if data.get("chat_template") not in (None, "auto"):
        source.note(
            "chat_template is left out: it is the base's here, or that of the first model that has "
            "one."
        )
    return source


def _vocabulary(data: Mapping[Any, Any], source: MergekitSource) -> str:
    """The source of the tokenizer, from `tokenizer` or the older `tokenizer_source`."""
    tokenizer = data.get("tokenizer", data.get("tokenizer_source"))
    if isinstance(tokenizer, Mapping):
        rest = sorted(str(key) for key in tokenizer if key != "source")
        if rest:
            source.note(f"tokenizer: {', '.join(rest)} left out: rows have one rule here.")
        tokenizer = tokenizer.get("source")
    choices = ("base", "union", *(model for model, _ in source.models))
    if tokenizer is None or tokenizer in ("base", source.base):
        return "base"
    if not isinstance(tokenizer, str) or tokenizer not in choices:
        source.note(f"tokenizer {shown(tokenizer)} is left out: it is none of the recipe's models.")
        return "base"
    source.note(
        "Where a model lacks a token of the base, mergekit puts the mean of the others there; here "
        "its row is the base's."
    )
    return tokenizer


def _models(data: Mapping[Any, Any]) -> tuple[tuple[str, Parameters], ...]:
    if data.get("modules"):
        raise NoCounterpart("modules: a merge here is of one model, not of modules put together.")
    listed = data.get("models")
    if data.get("slices"):
        listed = _only_slice(data["slices"])
    if not isinstance(listed, list) or not listed:
        raise InvalidRecipe(f"models must be a list of {{model: NAME}}, got {shown(listed)}.")
    models = []
    for index, entry in enumerate(listed):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("model"), str):
            raise InvalidRecipe(f"models[{index}] must have the key 'model', got {shown(entry)}.")
        check_keys(entry, ("model", "parameters", "layer_range"), f"models[{index}]")
        models.append((entry["model"], _parameters(entry.get("parameters"), f"models[{index}]")))
    return tuple(models)


def _only_slice(slices: Any) -> Any:
    """The sources of a recipe with one slice that begins at the first layer."""
    if not isinstance(slices, list) or not all(isinstance(entry, Mapping) for entry in slices):
        raise InvalidRecipe(f"slices must be a list of mappings, got {shown(slices)}.")
    sources = slices[0].get("sources") if slices else None
    ranges = [entry.get("layer_range") for entry in sources or () if isinstance(entry, Mapping)]
    whole = len(slices) == 1 and all(span == ranges[0] and span and span[0] == 0 for span in ranges)
    if not whole or slices[0].get("parameters"):
        raise NoCounterpart(
            "slices: models assembled from layer ranges have no counterpart; a "
            "merge here has the layers of its base. One slice of all layers can be read."
        )
    return sources


def _layers(data: Mapping[Any, Any]) -> int:
    """The number of layers by the ranges of a recipe; 0 if it has none."""
    sources = [source for entry in data.get("slices") or () for source in entry["sources"]]
    ends = [source["layer_range"][-1] for source in sources]
    return max((end for end in ends if isinstance(end, int)), default=0)


def _parameters(value: Any, place: str) -> Parameters:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRecipe(f"{place}: parameters must be a mapping, got {shown(value)}.")
    return value


def _dtype(data: Mapping[Any, Any], source: MergekitSource) -> str:
    dtype = data.get("out_dtype") or data.get("dtype")
    if dtype is None:
        return "base"
    if dtype not in _DTYPES:
        raise NoCounterpart(f"dtype {shown(dtype)}: allowed are {', '.join(_DTYPES)}.")
    if data.get("dtype") not in (None, "float32"):
        source.note(
            f"mergekit computes in {data['dtype']} where the recipe says so; here sums are float32 "
            "and rounded once."
        )
    return str(dtype)
