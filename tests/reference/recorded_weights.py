"""Merges with recorded weights: every method, form, dtype and sharding; and recipes at random.

Each record holds what follows `base` in a recipe, how its tiny models are stored, and the SHA-256
of the merged weights. Recipes may be written in another way; the weights must not change.
`python -m tests.reference.recorded_weights` records the weights anew after an intended change.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_core.merging.merger import open_merger
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe
from tests.helpers.tiny_models import random_llama, tuned_llama

FILE = Path(__file__).with_name("recorded_weights.json")
STORED = {"bfloat16": ("BF16", 1), "float16": ("F16", 3), "float32": ("F32", 2)}
"""Name of a record's inputs -> dtype and shards of their files."""
NAMES = ("math", "finance", "law")


def records() -> list[dict[str, Any]]:
    """The records, in the order of the file."""
    values: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))
    return values


def save_inputs(root: Path) -> None:
    """The tiny models, stored in every way."""
    base = random_llama(seed=0)
    models = {"base": base} | {name: tuned_llama(base, n + 1) for n, name in enumerate(NAMES)}
    for inputs, (dtype, shards) in STORED.items():
        for name, model in models.items():
            model.save(root / inputs / name, dtype=dtype, shards=shards)


def merged(record: Mapping[str, Any], root: Path) -> str:
    """The SHA-256 of the weights that a record's recipe merges from the models below `root`."""
    os.environ["DPPA_ZOO"] = str(root / record["inputs"])
    return _hash(parse_recipe(f"dppa: 1\nbase: zoo:base\n{record['recipe']}"))


def _hash(recipe: MergeRecipe) -> str:
    """The SHA-256 of all merged tensors with their names, dtypes and shapes."""
    merger, digest = open_merger(recipe), hashlib.sha256()
    for name in sorted(merger.names()):
        dtype, shape, weights = merger.tensor(name)
        digest.update(f"{name} {dtype} {shape}\n".encode())
        digest.update(weights.tobytes())
    return digest.hexdigest()


def write(values: list[dict[str, Any]]) -> None:
    """Write the records, one a line."""
    lines = (json.dumps(value) for value in values)
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def main() -> None:
    """Record the weights of all recipes anew."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["DPPA_CACHE"] = str(Path(name, "cache"))
        save_inputs(Path(name))
        write([{**record, "weights": merged(record, Path(name))} for record in records()])


if __name__ == "__main__":
    main()
