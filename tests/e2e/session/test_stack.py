"""A recipe of slices opened on the page: plotted, asked, exported."""

import zipfile
from pathlib import Path

from playwright.sync_api import expect

from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import recipe_hash, short_hash
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


def test_a_stack_is_opened_plotted_asked_and_exported(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(TEXT)
    recipe = import_mergekit(TEXT, lambda model: llama_names(6)).recipe
    studio.wait_exact(80)
    studio.page.locator("#recipe-file").set_input_files(file)
    wanted = f'#status [data-recipe="{recipe_hash(recipe)}"]'
    studio.page.locator(wanted).wait_for(state="attached")
    heatmap = studio.page.locator("#heatmap")
    for row in ("base 3 → 3", "math 2 → 4", "math 5 → 7"):
        expect(heatmap.locator("text", has_text=row)).to_have_count(1)
    assert studio.cells()[3, "q"] == 0 < studio.cells()[4, "q"]
    expect(studio.page.locator("#models")).to_contain_text("self_attn.o_proj 1, 1, 1, 1, …, 0.95")
    studio.ask("Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?")
    assert "17" in studio.wait_answer().inner_text()
    open_export(studio)
    zipfile.ZipFile(make(studio, "checkpoint", tmp_path)).extractall(tmp_path)
    folder = tmp_path / f"dppa-{short_hash(recipe)}"
    merge_to_folder(recipe, tmp_path / "again")
    ours, theirs = (open_file(x / "model.safetensors") for x in (folder, tmp_path / "again"))
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all((ours.raw(name) == theirs.raw(name)).all() for name in ours.tensors)
    expect(studio.page.locator('.take-row[data-kind="mergekit"]')).to_contain_text("mergekit")
