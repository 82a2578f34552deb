"""Our merges compared with mergekit's recorded results."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dppa_core.merging.merger import open_merger
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.mergekit import import_recipe as mergekit_import
from dppa_core.recipes.mergekit.exporting import export_pruned as mergekit_words
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.yaml_text import MergeRecipe
from tests.reference.mergekit_cases import RECORDED, SHAPE, recipes, save_models, texts

CASES = tuple(recipes(Path("x")))
TEXTS = texts()


@cache
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as file:
        return dict(file)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mergekit")
    save_models(folder)
    return folder


def tensors(recipe: MergeRecipe) -> dict[str, np.ndarray]:
    merger = open_merger(recipe)
    merged = {}
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        merged[name] = to_float32(raw, dtype).reshape(shape)
    return merged


def assert_as_recorded(name: str, merged: dict[str, np.ndarray]) -> None:
    compared = 0
    for tensor, values in merged.items():
        if f"{name}/{tensor}" in recorded():
            expected = recorded()[f"{name}/{tensor}"]
            np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7, err_msg=tensor)
            compared += 1
    assert compared == 28


def test_results_are_of_the_version_that_was_read() -> None:
    version = str(recorded()["version"])
    for module in (mergekit_import, mergekit_words):
        assert f"version {version}" in " ".join(str(module.__doc__).split())


@pytest.mark.parametrize("name", CASES)
def test_the_recipe_is_the_one_mergekit_read(root: Path, name: str) -> None:
    exported = export_mergekit(
        recipes(root)[name],
        shapes=SHAPE.tensors(),
        place=lambda reference: Path(reference).name,
    )
    assert exported.text == str(recorded()[f"{name}/recipe"])


@pytest.mark.cases(7)
@pytest.mark.parametrize("name", CASES)
def test_the_merge_is_mergekits(root: Path, name: str) -> None:
    assert_as_recorded(name, tensors(recipes(root)[name]))


@pytest.mark.cases(8)
@pytest.mark.parametrize("name", [*CASES, *TEXTS])
def test_a_recipe_of_mergekits_makes_the_same_merge_here(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    text = str(recorded()[f"{name}/recipe"])
    assert TEXTS.get(name, text) == text
    back = import_mergekit(text, lambda base: tuple(SHAPE.tensors()))
    assert_as_recorded(name, tensors(back.recipe))
