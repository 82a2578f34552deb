"""Recipes with recorded bytes: merges, packs, plans and hashes that must not change.

`python -m tests.reference.recorded_bytes` records them anew after an intended change. Methods
that run a model first (fisher, regmean), or decompose matrices, have only their recipe's hash: sums
of PyTorch and of linear algebra differ between processors.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.methods.registry import METHODS
from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe, recipe_hash
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.reference.method_cases import PAIRS

BY_MACHINE = {"fisher", "regmean"} | {
    m.name for m in METHODS if m.combination is not None and m.combination.matrices
}
FILE = Path(__file__).with_name("recorded_bytes.json")
TWO_LEVELS = "levels: [0.9, 0.8], amplification: [1.6, 0.8]"
SPECIAL = {
    "dppa of two levels": ("dppa", "{}", TWO_LEVELS, ""),
    "dppa at random": ("dppa", "{significance: random, strength: 0.2}", TWO_LEVELS, "seed: 7\n"),
    "dppa into float32": ("dppa", "{}", TWO_LEVELS, "dtype: float32\n"),
    "dppa that prunes all": ("dppa", "{other_tensors: prune}", TWO_LEVELS, ""),
    "dppa of one rate": (
        "dppa",
        "{}",
        TWO_LEVELS,
        "overrides: {layers.1.mlp.down_proj: {rate: 0.5}}\n",
    ),
    "coefficients by layer": ("magnitude", "{}", "coefficient: {0: 0.3, 1: 1.2}", ""),
    "ties of mergekit": ("ties", "{semantics: mergekit}", "coefficient: 0.4", ""),
}
"""What is recorded -> method, its parameters, settings of each model, and what follows."""


def recipes() -> dict[str, str]:
    """Every method by default, and the special cases, as YAML."""
    recipes = {}
    for method in METHODS:
        count = 1 if method.name == "passthrough" else 2 if method.name in PAIRS else 3
        names = ("math", "finance", "law")[:count]
        settings = "coefficient: 1.0" if method.name in (*PAIRS, "emr") else "coefficient: 0.7"
        levels = "" if method.levels == "none" else ", levels: [0.9]"
        parameters = "{domain: zoo:math}" if method.name == "emr" else "{}"
        recipes[method.name] = _recipe(names, method.name, parameters, settings + levels, "")
    for name, (method, parameters, settings, more) in SPECIAL.items():
        recipes[name] = _recipe(("math", "law"), method, parameters, settings, more)
    return recipes


def _recipe(names: tuple[str, ...], method: str, parameters: str, settings: str, more: str) -> str:
    models = "".join(f"- {{model: zoo:{name}, {settings}}}\n" for name in names)
    return (
        f"dppa: 1\nbase: zoo:base\nmodels:\n{models}method: {method}\n"
        f"parameters: {parameters}\n{more}"
    )


def recorded(text: str, folder: Path) -> dict[str, Any]:
    """The hashes of one recipe: of itself, its YAML, plans and merge, and of base and packs."""
    recipe = parse_recipe(text)
    hashes: dict[str, Any] = {"recipe": recipe_hash(recipe), "yaml": _hash(dump_recipe(recipe))}
    if recipe.method in BY_MACHINE:
        return hashes
    plans = [plan.to_json() for plan in open_merger(recipe).plan.plans]
    hashes["plans"] = _hash(json.dumps(plans, sort_keys=True))
    report = merge_to_folder(recipe, folder / "merge", sync=False)
    hashes |= {"merge": report.sha256, "digest": report.digest}
    if METHODS_OF_PACKS & {recipe.method}:
        packs = pack_models(recipe, folder / "packs", sync=False)
        hashes["packs"] = {
            p.file: _restored(f"zoo:base+{folder / 'packs' / p.file}") for p in packs
        }
    return hashes


METHODS_OF_PACKS = {method.name for method in METHODS if method.combination is None}


def _restored(reference: str) -> str:
    """A hash of all tensors; that of a pack's file depends on the version of zstandard."""
    return known_fingerprint(open_checkpoint(reference))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def save_zoo(root: Path) -> None:
    """The tests' tiny models as the embedded ones."""
    base = random_llama(seed=0)
    base.save(root / "base")
    for number, name in enumerate(("math", "finance", "law")):
        tuned_llama(base, seed=number + 1).save(root / name)


def records() -> Mapping[str, dict[str, Any]]:
    """The records."""
    values: dict[str, dict[str, Any]] = json.loads(FILE.read_text("utf-8"))
    return values


def main() -> None:
    """Record all of them."""
    records = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["DPPA_ZOO"], os.environ["DPPA_CACHE"] = str(folder / "zoo"), str(folder / "c")
        save_zoo(folder / "zoo")
        for number, (about, text) in enumerate(recipes().items()):
            records[about] = recorded(text, folder / str(number))
    FILE.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
