"""Recipes of mergekit opened on the page: plotted, asked, exported."""

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash, short_hash
from tests.e2e.page_driver import Studio
from tests.e2e.panes.test_export import make, open_export

TEXT = """
merge_method: passthrough
base_model: zoo:base
slices:
- sources: [{model: zoo:base, layer_range: [0, 4]}]
- sources:
  - model: zoo:math
    layer_range: [2, 6]
    parameters: {scale: [{filter: o_proj, value: 0.95}, {value: 1.0}]}
dtype: bfloat16
"""


STOCK = """
merge_method: model_stock
base_model: zoo:base
models: [{model: zoo:math}, {model: zoo:finance}, {model: zoo:law}]
dtype: bfloat16
"""
QUESTION = "Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?"


def opened(studio: Studio, path: Path, text: str) -> MergeRecipe:
    """The recipe of a file of mergekit, once it stands on the page."""
    path.write_text(text)
    recipe = import_mergekit(text, lambda model: llama_names(6)).recipe
    studio.wait_exact(80)
    studio.page.locator("#recipe-file").set_input_files(path)
    wanted = f'#status [data-recipe="{recipe_hash(recipe)}"]'
    studio.page.locator(wanted).wait_for(state="attached")
    return recipe


def assert_exported(studio: Studio, recipe: MergeRecipe, place: Path) -> None:
    """The exported checkpoint has the weights of the recipe."""
    open_export(studio)
    zipfile.ZipFile(make(studio, "checkpoint", place)).extractall(place)
    folder = place / f"dppa-{short_hash(recipe)}"
    merge_to_folder(recipe, place / "again")
    ours, theirs = (open_file(x / "model.safetensors") for x in (folder, place / "again"))
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all((ours.raw(name) == theirs.raw(name)).all() for name in ours.tensors)
    expect(studio.page.locator('.take-row[data-kind="mergekit"]')).to_contain_text("mergekit")


def test_a_stack_is_opened_plotted_asked_and_exported(studio: Studio, tmp_path: Path) -> None:
    recipe = opened(studio, tmp_path / "stack.yaml", TEXT)
    heatmap = studio.page.locator("#heatmap")
    for row in ("base 3 → 3", "math 2 → 4", "math 5 → 7"):
        expect(heatmap.locator("text", has_text=row)).to_have_count(1)
    assert studio.cells()[3, "q"] == 0 < studio.cells()[4, "q"]
    expect(studio.page.locator("#models")).to_contain_text("self_attn.o_proj: 1, 1, 1, 1, …, 0.95")
    studio.ask(QUESTION)
    assert "17" in studio.wait_answer().inner_text()
    assert_exported(studio, recipe, tmp_path)


@pytest.mark.long
def test_a_model_stock_merge_is_opened_plotted_asked_and_exported(
    studio: Studio, tmp_path: Path
) -> None:
    recipe = opened(studio, tmp_path / "stock.yaml", STOCK)
    assert recipe.method == "model_stock" and len(studio.cells()) == 6 * 7
    studio.ask(QUESTION)
    assert studio.wait_answer().inner_text().strip()
    assert_exported(studio, recipe, tmp_path)
