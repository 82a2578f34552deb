"""What `dppa import` says of a merge before it runs, by hand."""

from pathlib import Path

import pytest

from dppa_core.evaluation.analysis.merge_preview import MergePreview, preview_merge
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama


def preview(tmp_path: Path, method: str, **parameters: float) -> MergePreview | None:
    """Of two models that add half of the base's weights, and take a quarter of them away."""
    base = random_llama(0, Shape())
    for name, factor in (("base", 1.0), ("near", 1.5), ("far", 0.75)):
        arrays = {tensor: weight * factor for tensor, weight in base.arrays.items()}
        TinyLlama(base.shape, arrays).save(tmp_path / name, dtype="F32")
    models = tuple(DomainModel(str(tmp_path / name)) for name in ("near", "far"))
    return preview_merge(MergeRecipe(str(tmp_path / "base"), models, method, parameters))


def test_distances_cosines_and_signs_are_those_of_the_deltas(tmp_path: Path) -> None:
    seen = preview(tmp_path, "ties", density=0.25)
    assert seen is not None and list(seen.distances.values()) == pytest.approx(
        [0.5, 0.25], rel=1e-3
    )
    (pair,) = seen.pairs
    assert (pair.cosine, pair.opposed) == (pytest.approx(-1), 1.0)
    assert list(seen.kept.values()) == [0.25, 0.25]
    near = "near: its delta is 0.5 times as large as the base's weights; 0.25 of its elements are"
    assert seen.lines()[0] == f"{near} kept."


def test_what_is_not_on_this_disk_is_not_looked_at(tmp_path: Path) -> None:
    random_llama(0, Shape()).save(tmp_path / "base")
    for name in ("acme/math", str(tmp_path / "nowhere")):
        recipe = MergeRecipe(str(tmp_path / "base"), (DomainModel(name),), "task_arithmetic")
        assert preview_merge(recipe) is None


def test_import_shows_what_the_recipe_does(zoo_env: Path, dppa: Command, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(
        "merge_method: ties\nbase_model: zoo:base\nmodels: [{model: zoo:math}, {model: zoo:law}]\n"
        "parameters: {weight: 1, density: 0.5}\ndtype: float32\n"
    )
    assert dppa("import", theirs, "--out", tmp_path / "ours.yaml") == 0
    assert "0.5 of its elements are kept" in dppa.err and "opposite signs at" in dppa.err
    theirs.write_text(theirs.read_text().replace("zoo:law", "acme/law"))
    assert dppa("import", theirs, "--out", tmp_path / "ours.yaml") == 0
    assert "opposite" not in dppa.err
