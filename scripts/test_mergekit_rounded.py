"""Merge in float16 and bfloat16 by mergekit and here, `arithmetic` of a recipe, and compare bytes.

    .venv/bin/python scripts/test_mergekit_rounded.py [FAMILY …]

Random draws are replaced in both programs by the same numbers.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from dppa_core.errors import InvalidRecipe, NoCounterpart, NonFiniteWeights  # noqa: E402
from dppa_core.merging.merger import open_merger  # noqa: E402
from dppa_core.merging.rounded import rounded_pass  # noqa: E402
from dppa_core.recipes.yaml_text import MergeRecipe  # noqa: E402
from scripts.test_mergekit import FAMILIES, PYTHON, save_family, written  # noqa: E402
from tests.reference.mergekit_cases import drawn, recipes, run_mergekit  # noqa: E402

IN_FLOAT32 = 1e-3
"""Share of weights that may be rounded to the other side where both compute in float32: mergekit
takes several tensors at once, which moves the last digit."""
DRAWS = """
import torch
def bernoulli(chances):
    draws = torch.arange(chances.numel(), dtype=torch.float64) * 0.6180339887498949 % 1
    return (draws.reshape(chances.shape) < chances.double()).to(chances.dtype)
torch.bernoulli = bernoulli
"""


def main(families: list[str]) -> int:
    """1 if a byte of a merge differs, else 0."""
    rounded_pass.mix = lambda indices, seed: (
        (indices.astype(np.float64) * 0.6180339887498949 % 1) * 2.0**64
    ).astype(np.uint64)
    differing = 0
    for family in families or FAMILIES:
        with TemporaryDirectory() as place:
            root = Path(place)
            save_family(family, root)
            cases = dict(rounded(root))
            run_mergekit(PYTHON, root, [written(recipe) for recipe in cases.values()], DRAWS)
            for number, (name, recipe) in enumerate(cases.items()):
                ok, text = compare(recipe, root / f"out{number}")
                differing += not ok
                sys.stdout.write(f"{family}, {name}: {text}\n")
    return int(differing > 0)


def rounded(root: Path) -> Iterator[tuple[str, MergeRecipe]]:
    """The recipes of `mergekit_cases` that can have each arithmetic."""
    for arithmetic in ("bfloat16", "float16"):
        for name, recipe in (recipes(root) | drawn(root)).items():
            try:
                merge = replace(recipe, arithmetic=arithmetic, dtype=arithmetic)
                written(merge)
            except (InvalidRecipe, NoCounterpart):
                continue
            yield f"{name} in {arithmetic}", merge


def compare(recipe: MergeRecipe, folder: Path) -> tuple[bool, str]:
    """Whether the merges are as alike as they should be, and how alike they are."""
    theirs = {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}
    merger, unlike, numel = open_merger(recipe), 0, 0
    try:
        merged = {name: merger.tensor(name) for name in theirs}
    except NonFiniteWeights:
        finite = all(torch.isfinite(tensor).all() for tensor in theirs.values())
        return not finite, "refused here, and finite there" if finite else "NaN there, refused here"
    for name, (_, shape, raw) in merged.items():
        ours = raw.view(np.int16).reshape(shape)
        unlike += int(np.count_nonzero(ours != theirs[name].view(torch.int16).numpy()))
        numel += raw.size
    if not unlike:
        return True, "equal bytes"
    allowed = IN_FLOAT32 * numel if recipe.method in ("linear", "slerp") else 0
    return unlike <= allowed, f"{unlike:,} of {numel:,} weights differ"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
