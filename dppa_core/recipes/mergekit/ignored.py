"""Keys that mergekit reads without using them, as misspelt ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from dppa_core.errors import shown

_RECIPE = (
    *("merge_method", "base_model", "models", "slices", "modules", "parameters", "name"),
    *("dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template"),
)
_MOST_NAMED = 30
_MODEL = ("model", "parameters")
_SOURCE = (*_MODEL, "layer_range")
_SLICE = ("sources", "base_model", "residual_weight", "parameters")
_TOKENIZER = ("source", "tokens", "pad_to_multiple_of")
_MODULE = ("models", "slices", "parameters")
_OF_MODELS = ("weight", "density", "gamma", "epsilon", "scale")
"""Parameters that a model may have for itself."""


def ignored_keys(data: Mapping[Any, Any], parameters: Collection[str]) -> tuple[str, ...]:
    """The keys of a recipe that mergekit ignores, each with the key that is meant, if it is clear.

    Args:
        parameters: The method's.
    """
    texts: dict[str, None] = {}
    for mapping, keys, elsewhere in _levels(data, parameters):
        for key in map(str, mapping):
            if key not in keys:
                texts[shown(key)[1:-1] + _meant(key, keys, elsewhere)] = None
    return tuple(texts)[:_MOST_NAMED]


_Level = tuple[Mapping[Any, Any], Collection[str], Mapping[str, str]]
"""Keys and values, the keys that count there, and other keys with the place where they count."""


def _levels(data: Mapping[Any, Any], parameters: Collection[str]) -> Iterator[_Level]:
    below = dict.fromkeys(parameters, "below parameters")
    modules = data.get("modules")
    yield data, _RECIPE, below
    yield from ((entry, _TOKENIZER, {}) for entry in _mappings([data.get("tokenizer")]))
    for part in (data, *_mappings(list(modules.values()) if isinstance(modules, Mapping) else ())):
        if part is not data:
            yield part, _MODULE, below
        yield from _parameters(part, parameters, {})
        yield from _models(part.get("models"), _MODEL, parameters)
        for entry in _mappings(part.get("slices")):
            yield entry, _SLICE, below
            yield from _parameters(entry, parameters, {})
            yield from _models(entry.get("sources"), _SOURCE, parameters)


def _models(listed: Any, keys: Collection[str], parameters: Collection[str]) -> Iterator[_Level]:
    own = [name for name in parameters if name in _OF_MODELS]
    below = dict.fromkeys(parameters, "below parameters")
    shared = dict.fromkeys(parameters, "in the parameters of all models")
    for entry in _mappings(listed):
        yield entry, keys, {"layer_range": "in slices"} | below
        yield from _parameters(entry, own, shared)


def _parameters(
    entry: Mapping[Any, Any], keys: Collection[str], elsewhere: Mapping[str, str]
) -> Iterator[_Level]:
    parameters = entry.get("parameters")
    if isinstance(parameters, Mapping):
        yield parameters, keys, elsewhere


def _mappings(listed: Any) -> list[Mapping[Any, Any]]:
    entries = listed if isinstance(listed, (list, tuple)) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _meant(key: str, keys: Collection[str], elsewhere: Mapping[str, str]) -> str:
    if key in elsewhere:
        return f" (it counts {elsewhere[key]})"
    close = get_close_matches(key, keys, n=1, cutoff=0.8)
    return f" (did you mean {close[0]}?)" if close else ""
