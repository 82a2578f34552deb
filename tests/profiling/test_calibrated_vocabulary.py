"""Calibration text for models with different tokenizers: each uses its own."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.helpers.vocabularies import shuffled

pytestmark = pytest.mark.usefixtures("one_torch_thread")
TEXT = Calibration(("math",), tokens=500)
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same models twice: in `other` the tokens of one are in another order."""
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    base = random_llama(0)
    math = tuned_llama(base, 1)
    for folder in ("plain", "other"):
        base.save(tmp_path / folder / "base")
    math.save(tmp_path / "plain" / "math")
    shuffled(math, tmp_path / "other" / "math", 7)
    return tmp_path


def recipe(method: str, **parameters: object) -> MergeRecipe:
    levels = (0.6,) if method == "dppa" else (0.0,)
    models = (DomainModel("./math", levels),)
    return MergeRecipe("./base", models, method, parameters, calibration=TEXT)


def test_scores_by_inputs_are_the_same_whatever_the_order_of_tokens(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen_recipe = recipe("dppa", significance="activation", other_tensors="prune")
    hashes = set()
    for folder in ("plain", "other"):
        monkeypatch.chdir(root / folder)
        hashes.add(merge_to_folder(chosen_recipe, root / f"out-{folder}", sync=False).sha256)
    assert len(hashes) == 1
    profiles = []
    for folder in ("plain", "other"):
        monkeypatch.chdir(root / folder)
        profiles.append(ranked_profile("./base", "./math", "activation", TEXT))
    for first, second in zip(profiles[0].modules, profiles[1].modules, strict=True):
        np.testing.assert_array_equal(first.counts, second.counts)


@pytest.mark.parametrize(
    "chosen_recipe",
    [recipe("fisher"), recipe("dppa", significance="fisher", other_tensors="prune")],
)
def test_fisher_information_in_rows_of_another_order_is_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch, chosen_recipe: MergeRecipe
) -> None:
    """The modules' is; the embedding's belongs to other rows, so |d| replaces it."""
    monkeypatch.chdir(root / "other")
    moved = open_merger(chosen_recipe)
    monkeypatch.chdir(root / "plain")
    plain = open_merger(chosen_recipe)
    for name in plain.names():
        first, second = (
            to_float32(raw, code) for code, _, raw in (plain.tensor(name), moved.tensor(name))
        )
        assert first.shape == second.shape
        if name != EMBEDDING:  # a sum over tokens in another order may end in another last bit
            assert np.mean(first != second) < 0.01
