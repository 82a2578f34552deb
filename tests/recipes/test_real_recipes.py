"""Recipes as people write them: each is imported, and merged on tiny models."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.sources.references import layer_ranges, stacked_models
from dppa_core.errors import DppaError
from dppa_core.merging.inputs import references, renamed
from dppa_core.merging.merger import open_merger
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import layer_count
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

TEXTS = Path(__file__).with_name("real_recipes.yaml").read_text("utf-8").split("\n---\n")
LAYERS = {"small": 28, "large": 32}


def depth(model: str) -> int:
    return LAYERS["small" if "small" in model else "large"]


def known(model: str) -> Sequence[str]:
    return tuple(Shape(layers=depth(model)).tensors())


def refused(names: Callable[[str], Sequence[str]]) -> dict[int, str]:
    """Number of each recipe that is refused, and why."""
    errors = {}
    for number, text in enumerate(TEXTS):
        try:
            import_mergekit(text, names)
        except DppaError as error:
            errors[number] = str(error)
    return errors


def test_what_mergekit_runs_is_accepted() -> None:
    assert len(TEXTS) >= 60
    assert not refused(known)


def test_nothing_is_asked_about_models_that_nobody_has() -> None:
    assert not refused(lambda model: ())


@cache
def tiny(folder: Path, name: str, seed: int) -> str:
    """A folder with a tiny model of the size of this one."""
    base = random_llama(
        0, Shape(layers=depth(name), hidden=8, intermediate=16, heads=2, kv_heads=1)
    )
    place = folder / f"{seed}-{depth(name)}"
    (tuned_llama(base, seed) if seed else base).save(place, dtype="F32")
    return str(place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.mark.cases(4)
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_it_is_merged(folder: Path, number: int) -> None:
    recipe = import_mergekit(TEXTS[number], known).recipe
    models = dict.fromkeys(m for ref in references(recipe) for m in stacked_models(ref))
    places = {name: tiny(folder, name, seed) for seed, name in enumerate(models)}
    merger = open_merger(renamed(recipe, places))
    stack = layer_ranges(recipe.base)
    layers = sum(stop - start for _, start, stop in stack) if stack else depth(recipe.base)
    assert layer_count(merger.names()) == layers
    for name in merger.names():
        dtype, _, raw = merger.tensor(name)
        assert np.isfinite(to_float32(raw, dtype)).all()
