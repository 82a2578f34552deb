"""Merge the recipes of tests/recipes/real_recipes.yaml by mergekit and here, compare all weights.

    .venv/bin/python scripts/test_mergekit_recipes.py

The models are tiny Llamas of as many layers, and sums are float32. Tokenizers are left out
(`test_mergekit_tokens.py` has them), and merges that drop at random, where the draws differ.
"""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from safetensors.numpy import load_file  # noqa: E402

from dppa_core.checkpoints.sources.references import stacked_models  # noqa: E402
from dppa_core.checkpoints.vocabulary.token_rows import UNSET  # noqa: E402
from dppa_core.merging.inputs import references, renamed  # noqa: E402
from dppa_core.merging.merger import open_merger  # noqa: E402
from dppa_core.pruning.floats import to_float32  # noqa: E402
from dppa_core.recipes.mergekit.documents import read_recipes  # noqa: E402
from dppa_core.recipes.mergekit.import_recipe import import_mergekit  # noqa: E402
from dppa_core.recipes.yaml_text import MergeRecipe  # noqa: E402
from tests.recipes.test_real_recipes import TEXTS, known, tiny  # noqa: E402
from tests.reference.mergekit_cases import run_mergekit  # noqa: E402

PYTHON = ROOT / "out" / "mergekit-venv" / "bin" / "python"
_AT_A_BORDER = {"arcee_fusion": 1e-3}
"""Method -> share of a tensor's elements that may stand on the other side of its threshold, which
mergekit computes in float32."""
_TOKENS = ("tokenizer", "tokenizer_source", "chat_template", "out_dtype")


def main() -> int:
    """1 if a weight of a merge differs by more than rounding, else 0."""
    recipes, texts = dict[int, MergeRecipe](), list[str]()
    with TemporaryDirectory() as place:
        root = Path(place)
        os.chdir(root)
        for number, text in enumerate(TEXTS):
            imported = import_mergekit(text, known)
            if any("at random" in note for note in imported.notes):
                continue
            models = (m for ref in references(imported.recipe) for m in stacked_models(ref))
            names = {name: tiny(root, name, n) for n, name in enumerate(dict.fromkeys(models))}
            plain = {"vocabulary": "base", "token_rows": UNSET, "chat_template": "auto"}
            recipe = replace(imported.recipe, dtype="float32", **plain)
            recipes[number] = renamed(recipe, names)
            texts.append(theirs(text, names))
        run_mergekit(PYTHON, root, texts)
        numbered = enumerate(recipes.values())
        results = [largest_difference(recipe, root / f"out{n}") for n, recipe in numbered]
    for (number, recipe), (worst, tensor) in zip(recipes.items(), results, strict=True):
        mark = "differs" if worst > 1e-5 else "equal"
        sys.stdout.write(f"{number}, {recipe.method}: {mark} ({worst:.1e}, {tensor})\n")
    return int(any(worst > 1e-5 for worst, _ in results))


def theirs(text: str, names: dict[str, str]) -> str:
    """The recipe for mergekit: without Markdown, of these models, in float32."""
    documents, _ = read_recipes(re.sub(r"^dtpye:", "dtype:", text, flags=re.M))
    data = {key: value for key, value in documents[0].items() if key not in _TOKENS}
    return str(yaml.safe_dump(_named(data | {"dtype": "float32"}, names), sort_keys=False))


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def largest_difference(recipe: MergeRecipe, folder: Path) -> tuple[float, str]:
    """The largest difference of a weight relative to the tensor's largest, and its tensor."""
    merged: dict[str, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        merged |= load_file(file)
    merger, worst = open_merger(recipe), (0.0, "all tensors")
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        ours = to_float32(raw, dtype).reshape(shape)
        apart = np.sort(np.abs(ours - merged.pop(name)).ravel()) / max(np.abs(ours).max(), 1e-9)
        most = int(apart.size * _AT_A_BORDER.get(recipe.method, 0))
        worst = max(worst, (float(apart[apart.size - 1 - most]), name))
    return (float("inf"), next(iter(merged))) if merged else worst


if __name__ == "__main__":
    sys.exit(main())
