"""A recipe: all that repeats a merge, read from and written to YAML.

Knows no weights and opens no checkpoint; the values themselves are in `recipe_values`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dppa_core.density import Override
from dppa_core.errors import InvalidRecipe
from dppa_core.parameters import check_keys
from dppa_core.recipe_values import (
    FORMAT,
    DomainModel,
    MergeRecipe,
    checked_coefficient,
    checked_factors,
    checked_levels,
    checked_overrides,
    checked_seed,
    recipe_hash,
    recipe_values,
)

__all__ = [
    "DomainModel",
    "MergeRecipe",
    "Override",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_hash",
]

_KEYS = ("dppa", "base", "models", "method", "parameters", "overrides", "seed", "dtype")
_MODEL_KEYS = ("model", "levels", "amplification", "coefficient")
_LARGEST_TEXT = 100_000
_DEEPEST = 20


class _Loader(yaml.SafeLoader):
    """Plain YAML: no aliases, which can make a short text endless, no abyss, and no key twice."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            line = self.line + 1
            raise yaml.YAMLError(f"an alias (*name) before line {line}; write the value out")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.YAMLError(f"more than {_DEEPEST} levels in line {self.line + 1}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {name!r} appears again in line {line}")
            seen.add(name)
        return super().construct_mapping(node, deep)


def parse_recipe(text: str) -> MergeRecipe:
    """Read a recipe from YAML.

    Raises:
        InvalidRecipe: no YAML, an unknown key, a missing one, or a value out of range.
    """
    data = _read_mapping(text)
    check_keys(data, _KEYS, "recipe")
    if data.get("dppa") != FORMAT:
        raise InvalidRecipe(
            f"dppa must be {FORMAT}, the version of the format, got {data.get('dppa')!r}. "
            "A recipe of another version, or another kind of file, is the usual cause."
        )
    for key in ("base", "models"):
        if key not in data:
            raise InvalidRecipe(f"recipe: the key {key!r} is missing.")
    if not isinstance(data["models"], list):
        raise InvalidRecipe(f"models must be a list, got {data['models']!r}.")
    if not isinstance(data["base"], str):
        raise InvalidRecipe(f"base must be a reference such as zoo:base, got {data['base']!r}.")
    models = tuple(_parse_model(index, entry) for index, entry in enumerate(data["models"]))
    parameters = data.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise InvalidRecipe(f"parameters must be a mapping, got {parameters!r}.")
    return MergeRecipe(
        base=data["base"],
        models=models,
        method=str(data.get("method", "dppa")),
        parameters={str(key): value for key, value in parameters.items()},
        overrides=checked_overrides(data.get("overrides") or {}),
        seed=checked_seed(data.get("seed", 0)),
        dtype=str(data.get("dtype", "bfloat16")),
    )


def _read_mapping(text: str) -> Mapping[str, Any]:
    if len(text) > _LARGEST_TEXT:
        raise InvalidRecipe(
            f"The recipe has {len(text)} characters; it may have {_LARGEST_TEXT}. "
            "Another kind of file is the usual cause."
        )
    try:
        data = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: impossible dates
        line = " ".join(str(error).split())
        raise InvalidRecipe(f"The recipe is no YAML: {line}") from error
    if not isinstance(data, Mapping):
        raise InvalidRecipe("The recipe is no mapping; it begins with `dppa: 1` and `base: …`.")
    return data


def _parse_model(index: int, entry: Any) -> DomainModel:
    if not isinstance(entry, Mapping) or "model" not in entry:
        raise InvalidRecipe(f"models[{index}] must be a mapping with the key 'model': {entry!r}.")
    check_keys(entry, _MODEL_KEYS, f"models[{index}]")
    if not isinstance(entry["model"], str):
        raise InvalidRecipe(f"models[{index}]: model must be a text, got {entry['model']!r}.")
    where = f"models[{index}]"
    return DomainModel(
        model=entry["model"],
        levels=checked_levels(where, entry.get("levels", (0.0,))),
        amplification=checked_factors(where, entry.get("amplification", (1.0,))),
        coefficient=checked_coefficient(where, entry.get("coefficient", 1.0)),
    )


def load_recipe(path: str | Path) -> MergeRecipe:
    """Read a recipe file.

    Raises:
        InvalidRecipe: no such file, not text, or not a recipe; the message begins with the path.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(4 * _LARGEST_TEXT)
        return parse_recipe(data.decode("utf-8"))
    except OSError as error:
        raise InvalidRecipe(f"{path}: cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise InvalidRecipe(f"{path}: not a text file, so no recipe.") from error
    except InvalidRecipe as error:
        raise InvalidRecipe(f"{path}: {error}") from error


class _Dumper(yaml.SafeDumper):
    """Numbers in a row, mappings of models in a column."""


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flat = all(isinstance(value, (int, float)) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


def _represent_dict(dumper: yaml.SafeDumper, values: dict[Any, Any]) -> yaml.Node:
    flat = "base" not in values and "model" not in values
    return dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=flat)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_dict)


def dump_recipe(recipe: MergeRecipe) -> str:
    """The recipe as YAML; `parse_recipe` reads it back to an equal value."""
    text = yaml.dump(
        recipe_values(recipe), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return str(text)
