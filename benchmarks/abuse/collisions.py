"""Two recipes whose hashes have the same 12 digits: one that answers, and one that keeps nothing.

Anybody can find such a pair in minutes: `collision.json` holds the seeds of one, made anew when
the text of a recipe changes.
"""

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.session.presets import first_session
from dppa_core.recipes.recipe import MergeRecipe, recipe_hash, recipe_values

FILE = Path(__file__).with_name("collision.json")
DIGITS = 12
SEEDS = 2**22
"""Seeds that are tried in a row; with 2^24 of each recipe, one pair is expected."""


def good(seed: int) -> MergeRecipe:
    """The merge that the page opens with; the seed changes its hash alone."""
    return replace(first_session().recipe(), seed=seed)


def bad(seed: int) -> MergeRecipe:
    """A merge that keeps nothing of its models."""
    recipe = good(seed)
    models = (
        replace(model, amplification=tuple(0.0 for _ in model.amplification))
        for model in recipe.models
    )
    return replace(recipe, models=tuple(models))


@cache
def colliding() -> tuple[MergeRecipe, MergeRecipe]:
    """A good and a bad recipe with the same 12 digits, as found before or found now."""
    if FILE.exists():
        first, second = json.loads(FILE.read_text("utf-8"))
        if collide(good(first), bad(second)):
            return good(first), bad(second)
    first, second = search()
    FILE.write_text(json.dumps([first, second]), "utf-8")
    return good(first), bad(second)


def collide(first: MergeRecipe, second: MergeRecipe, digits: int = DIGITS) -> bool:
    """Whether the hashes of two recipes begin with the same digits."""
    return recipe_hash(first)[:digits] == recipe_hash(second)[:digits]


def search(digits: int = DIGITS, seeds: int = SEEDS) -> tuple[int, int]:
    """Seeds of a good and a bad recipe that collide."""
    hashes = [np.empty(0, np.uint64), np.empty(0, np.uint64)]
    texts = (before_seed(good(0)), before_seed(bad(0)))
    with ProcessPoolExecutor(2) as processes:
        for start in count(0, seeds):
            new = processes.map(partial(leading_digits, start=start, seeds=seeds), texts)
            hashes = [np.concatenate(pair) for pair in zip(hashes, new, strict=True)]
            kept = [column >> np.uint64(4 * (16 - digits)) for column in hashes]
            _, first, second = np.intersect1d(*kept, return_indices=True)
            if len(first):
                return int(first[0]), int(second[0])
    raise AssertionError("count() does not end")


def leading_digits(text: bytes, start: int, seeds: int) -> NDArray[np.uint64]:
    """The first 16 digits of the hashes of a recipe's text with each of some seeds."""
    before, digests = hashlib.sha256(text), bytearray()
    for seed in range(start, start + seeds):
        whole = before.copy()
        whole.update(b"%d}" % seed)
        digests += whole.digest()[:8]
    return np.frombuffer(bytes(digests), ">u8").astype(np.uint64)


def before_seed(recipe: MergeRecipe) -> bytes:
    """What `recipe_hash` reads of a recipe, up to its seed, which comes last."""
    text = json.dumps(recipe_values(recipe), sort_keys=True, separators=(",", ":"))
    before, name, seed = text.rpartition('"seed":')
    if seed != f"{recipe.seed}}}":
        raise ValueError(f"The seed is not the last of a recipe's values: {text[-80:]}")
    return (before + name).encode()
