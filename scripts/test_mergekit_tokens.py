"""Merge tiny models of different vocabularies by mergekit and here, and compare each token's row.

    .venv/bin/python scripts/test_mergekit_tokens.py

mergekit runs in out/mergekit-venv. Rows are compared by token: in a union the order of new tokens
is that of a set there. mergekit leaves out rows without a token (padding), which are kept here.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from safetensors.numpy import load_file  # noqa: E402

from dppa_core.merging.to_folder import merge_to_folder  # noqa: E402
from dppa_core.recipes.mergekit.import_recipe import import_mergekit  # noqa: E402
from tests.helpers.tiny_models import random_llama  # noqa: E402
from tests.helpers.vocabularies import SMALL, save_words, with_rows  # noqa: E402
from tests.reference.mergekit_cases import run_mergekit  # noqa: E402

PYTHON = ROOT / "out" / "mergekit-venv" / "bin" / "python"
WORDS = ("<unk>", "a", "b", "c")
ADDED = {"base": ("<x>",), "moved": ("<y>",), "two": ("<x>", "<y>", "<z>"), "one": ("<x>", "<w>")}
"""Model -> tokens behind its words; `moved` has the words in another order too."""
RECIPE = """
merge_method: {method}
base_model: base
models:
  - {{model: moved, parameters: {{weight: 0.5}}}}
  - {{model: two, parameters: {{weight: 0.25}}}}
  - {{model: one, parameters: {{weight: 0.25}}}}
{base}dtype: float32
tokenizer_source: {source}
"""


def main() -> int:
    """1 if the row of a token differs, else 0."""
    texts = {
        f"{method}, {source}": RECIPE.format(method=method, source=source, base=base)
        for method, base in (
            ("task_arithmetic", ""),
            ("linear", "  - {model: base, parameters: {weight: 0.5}}\n"),
        )
        for source in ("base", "union", "moved", "two")
    }
    differing = 0
    with TemporaryDirectory() as place:
        root = Path(place)
        os.chdir(root)
        save_models(root)
        run_mergekit(PYTHON, root, list(texts.values()), tokenizer=True)
        for number, (name, text) in enumerate(texts.items()):
            merge_to_folder(import_mergekit(text).recipe, root / f"ours{number}")
            worst = largest_difference(root / f"ours{number}", root / f"out{number}")
            differing += worst > 1e-6
            mark = "differs" if worst > 1e-6 else "equal"
            sys.stdout.write(f"{name}: {mark} ({worst:.1e})\n")
    return int(differing > 0)


def save_models(root: Path) -> None:
    """One folder for each model; the base has rows of padding."""
    for seed, (name, added) in enumerate(ADDED.items()):
        words = ("<unk>", "b", "a", "c") if name == "moved" else WORDS
        count = len(words) + len(added) + (3 if name == "base" else 0)
        rows = np.random.default_rng(seed).normal(size=(count, SMALL.hidden)).astype(np.float32)
        model = with_rows(random_llama(seed, SMALL), {"model.embed_tokens.weight": rows})
        save_words(model, root / name, words, added)


def rows_of(folder: Path) -> dict[str, np.ndarray]:
    """Token -> its row of the embedding."""
    weights: dict[str, np.ndarray] = {}
    for file in folder.glob("*.safetensors"):
        weights |= load_file(file)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids |= {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
    return {token: weights["model.embed_tokens.weight"][row] for token, row in ids.items()}


def largest_difference(ours: Path, theirs: Path) -> float:
    """The largest difference of a row; infinite if the tokens differ."""
    first, second = rows_of(ours), rows_of(theirs)
    if first.keys() != second.keys():
        return float("inf")
    return max(float(np.abs(first[token] - second[token]).max()) for token in first)


if __name__ == "__main__":
    sys.exit(main())
