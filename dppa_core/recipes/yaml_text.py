"""Reads and writes recipes as YAML."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dppa_core.checkpoints.sources.references import KeptDelta, kept_delta, kept_reference
from dppa_core.errors import InvalidRecipe, shown
from dppa_core.forms.store import parse_store
from dppa_core.parameter_fields import check_keys
from dppa_core.pruning.coefficients import checked_coefficient
from dppa_core.pruning.partition import check_levels
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.recipes.checks import (
    checked_calibration,
    checked_factors,
    checked_overrides,
    checked_seed,
    checked_text,
    within,
)
from dppa_core.recipes.merged_tokens import token_keys
from dppa_core.recipes.method_stage import Pruning
from dppa_core.recipes.plain_yaml import MAX_CHARACTERS, read_mapping
from dppa_core.recipes.recipe import (
    FORMAT,
    DomainModel,
    MergeRecipe,
    calibration_texts,
    recipe_hash,
    recipe_values,
    short_hash,
)
from dppa_core.system.regular_files import read_regular

__all__ = [
    "DomainModel",
    "MergeRecipe",
    "Override",
    "Pruning",
    "RowDumper",
    "calibration_texts",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_hash",
    "short_hash",
]

T = TypeVar("T")

_KEYS = (
    *("dppa", "base", "models", "prune", "method", "parameters", "calibration", "overrides"),
    *("seed", "dtype", "vocabulary", "chat_template", "heads", "arithmetic"),
)
_MODEL_KEYS = (
    "model",
    "store",
    "levels",
    "amplification",
    "coefficient",
    "calibration",
    "parameters",
)
_TOP_KEYS = re.compile(r"^(merge_method|dppa) *:", re.M)
_MAX_FILE_BYTES = 4 * MAX_CHARACTERS  # bytes in UTF-8
_MAX_REASON_LENGTH = 300


def parse_recipe(text: str) -> MergeRecipe:
    """Read a recipe from YAML.

    Raises:
        InvalidRecipe: not YAML, an unknown or missing key, or a value out of range.
    """
    data = _checked_mapping(text)
    if not isinstance(data["models"], list):
        raise InvalidRecipe(f"models must be a list, got {shown(data['models'])}.")
    parameters = data.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InvalidRecipe(
            f"parameters must be a mapping, got {shown(parameters)}. Without any, leave it out."
        )
    base = checked_text("base", data["base"])
    models = tuple(_parse_model(n, entry, base) for n, entry in enumerate(data["models"]))
    # The other keys name a model without its forms.
    kept = {delta.model: m.model for m in models if (delta := kept_delta(m.model))}
    data, parameters = (
        {
            str(key): kept.get(item, item) if isinstance(item, str) else item
            for key, item in each.items()
        }
        for each in (data, parameters)
    )
    return MergeRecipe(
        base=base,
        models=models,
        method=_text(data, "method", "dppa"),
        parameters=parameters,
        overrides=checked_overrides(data.get("overrides", {})),
        seed=checked_seed(data.get("seed", 0)),
        dtype=_text(data, "dtype", "base"),
        prune=_parse_pruning(data.get("prune")),
        calibration=checked_calibration("calibration", data.get("calibration")),
        **token_keys(data, [model.model for model in models]),
        heads=_text(data, "heads", "match"),
        arithmetic=_text(data, "arithmetic", "float32"),
    )


def _checked_mapping(text: str) -> Mapping[Any, Any]:
    """The keys of a recipe of ours: known ones, of this version, with a base and models."""
    keys = set(_TOP_KEYS.findall(text)) if isinstance(text, str) else set()
    if "merge_method" in keys and "dppa" not in keys:
        raise InvalidRecipe(
            "This is a mergekit configuration. `dppa import FILE --out recipe.yaml` makes a recipe "
            "of it; of several in one file, `dppa import FILE --out FOLDER` one for each."
        )
    data = read_mapping(text)
    check_keys(data, _KEYS, "recipe")
    if type(data.get("dppa")) is not int or data["dppa"] != FORMAT:  # true equals 1
        raise InvalidRecipe(
            f"dppa must be {FORMAT}, the version of the format, got {shown(data.get('dppa'))}. "
            "A recipe of another version, or another kind of file, is the usual cause."
        )
    for key in ("base", "models"):
        if key not in data:
            raise InvalidRecipe(f"recipe: the key {key!r} is missing.")
    return data


def _text(data: Mapping[Any, Any], key: str, default: str) -> str:
    value = data.get(key, default)
    if not isinstance(value, str):
        raise InvalidRecipe(f"{key} must be a text such as {default}, got {shown(value)}.")
    return value


def _parse_pruning(value: Any) -> Pruning | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Pruning(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("method"), str):
        raise InvalidRecipe(
            f"prune must be a method, or a mapping with the key 'method' and its parameters, as "
            f"`prune: {{method: dppa, strength: 0.08}}`, got {shown(value)}."
        )
    rest = {str(key): item for key, item in value.items() if key != "method"}
    return Pruning(value["method"], rest)


def _parse_model(index: int, entry: Any, base: str) -> DomainModel:
    place = f"models[{index}]"
    if not isinstance(entry, Mapping) or "model" not in entry:
        raise InvalidRecipe(f"{place} must be a mapping with the key 'model', got {shown(entry)}.")
    check_keys(entry, _MODEL_KEYS, place)
    model = checked_text(f"{place}: model", entry["model"])
    if "store" in entry:
        store = within(place, lambda: parse_store(entry["store"]))
        model = kept_reference(KeptDelta(str(store), model, base))
    return DomainModel(
        model=model,
        levels=within(place, lambda: check_levels(entry.get("levels", (0.0,)))),
        amplification=checked_factors(place, entry.get("amplification", (1.0,))),
        coefficient=checked_coefficient(place, entry.get("coefficient", 1.0)),
        calibration=checked_calibration(f"{place}: calibration", entry.get("calibration")),
        parameters=entry.get("parameters") or {},
    )


def load_recipe(path: str | Path) -> MergeRecipe:
    """Read a recipe file.

    Raises:
        InvalidRecipe: no such file, not text, or not a recipe; the message begins with the path.
    """
    if Path(path).suffix.lower() in (".jsonl", ".csv"):
        raise InvalidRecipe(
            f"{path}: a file of questions, not a recipe. The recipe comes first, questions stand "
            "behind --items."
        )
    return load_text(path, parse_recipe)


def load_text(path: str | Path, parse: Callable[[str], T]) -> T:
    """Read a recipe file in this or another format."""
    label = shown(str(path), _MAX_REASON_LENGTH)[1:-1]
    try:
        data = read_regular(Path(path), _MAX_FILE_BYTES + 1, streams=True)
        if len(data) > _MAX_FILE_BYTES:
            raise InvalidRecipe(
                f"The file is larger than {_MAX_FILE_BYTES} bytes. Another kind of file, such as "
                "weights, is the usual cause."
            )
        return parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRecipe(f"{label}: not a text file, so not a recipe.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = getattr(error, "strerror", None) or error
        hint = " A recipe is a file; this names a model." if _is_model(str(path)) else ""
        raise InvalidRecipe(f"{label}: cannot be read ({reason}).{hint}") from error
    except InvalidRecipe as error:
        raise InvalidRecipe(f"{label}: {error}") from error


def _is_model(name: str) -> bool:
    return name.startswith("zoo:") or os.path.isfile(os.path.join(name, "config.json"))


class RowDumper(yaml.SafeDumper):
    """Writes lists of numbers on one line."""


class _Dumper(RowDumper):
    """Writes numbers on one line, and mappings of models as blocks."""


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flat = all(isinstance(value, (int, float)) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


def _represent_dict(dumper: yaml.SafeDumper, values: dict[Any, Any]) -> yaml.Node:
    flat = "base" not in values and "model" not in values
    return dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=flat)


RowDumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_dict)


def dump_recipe(recipe: MergeRecipe) -> str:
    """The recipe as YAML; `parse_recipe` reads it back to an equal value."""
    text = yaml.dump(
        recipe_values(recipe), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return str(text)
