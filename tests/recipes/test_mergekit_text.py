"""Files as people have them: Markdown, anchors, misspelt keys, other programs, several problems."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import DppaError, InvalidRecipe, NoCounterpart
from dppa_core.recipes.mergekit.import_recipe import Imported, import_mergekit
from dppa_core.recipes.mergekit.stages import import_stages
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import load_recipe
from tests.helpers.command import Command

TIES = "merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\n"
WEIGHT = TIES + "parameters: {weight: 1}\n"
SLERP = "merge_method: slerp\nbase_model: base\nmodels: [{model: base}, {model: a}]\n"


def read(text: str) -> Imported:
    return import_mergekit(text, lambda model: llama_names(2))


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        (WEIGHT + "dtpye: bfloat16\n", "dtpye (did you mean dtype?)"),
        (WEIGHT.replace("1}", "1, lamda: 2}"), "lamda (did you mean lambda?)"),
        (SLERP + "parameters: {t: 0.5, normalize: true}\n", "normalize"),
        (
            SLERP.replace("slerp", "sce") + "parameters: {lambda: 1, rescale: yes, weight: 1}\n",
            "lambda, rescale, weight",
        ),
        (WEIGHT + "random_seed: 1\nint8_mask: true\n", "random_seed, int8_mask (it counts below"),
        (
            WEIGHT.replace("{model: a}", "{model: a, density: 0.5, parameters: {lambda: 2}}"),
            "density (it counts below parameters), lambda (it counts in the parameters of all",
        ),
    ],
)
def test_keys_that_mergekit_ignores_are_one_note(text: str, ignored: str) -> None:
    notes = [note for note in read(text).notes if "Ignored" in note]
    assert len(notes) == 1 and notes[0].startswith(f"Ignored by mergekit too: {ignored}")


@pytest.mark.parametrize(
    "text",
    [
        f"# A merge\n\n```yaml\n{WEIGHT}```\n\nIt is *good*: try\n\n```sh\nrun --it\n```\n",
        f"```yaml\n{WEIGHT}",
        f"---\ntags: [merge]\n---\nUse it.\n\n~~~\n{WEIGHT}~~~\n",
        WEIGHT + "---\n",
        TIES.replace("{model: b}", "{model: b, parameters: &p {weight: 1}}").replace(
            "{model: a}", "{model: a, parameters: {weight: 1}}"
        ),
        "x: &all {weight: 1, density: 1}\n" + TIES + "parameters: {<<: *all, density: 1.0}\n",
        WEIGHT.replace("1}", "'1e0'}") + "name: own\nchat_template: auto\n",
        "merge_method: ties\nbase_model: base\nparameters: {weight: 1}\n"
        "modules: {default: {models: [{model: a}, {model: b}]}}\n",
        "merge_method: ties\nbase_model: base\nparameters: {weight: 9}\nmodules:\n"
        "  default: {models: [{model: a}, {model: {model: {path: b}}}], parameters: {weight: 1}}\n",
        "merge_method: ties\nbase_model: base\nparameters: {weight: 9}\nslices:\n"
        "- sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, 2]}]\n"
        "  parameters: {weight: 1}\n",
        TIES.replace("}]", "}, {model: a, parameters: {weight: 9}}]") + "parameters: {weight: 1}\n",
    ],
)
def test_the_same_recipe_in_other_clothes(text: str) -> None:
    models = read(text).recipe.models
    assert read(text).recipe.parameters == read(WEIGHT).recipe.parameters
    assert [model.model for model in models] == ["a", "b"]
    if "weight: 9}}]" not in text:
        assert [model.coefficient for model in models] == [1.0, 1.0]


def test_the_last_of_two_equal_keys_counts_and_a_note_says_so() -> None:
    twice = read(WEIGHT + "dtype: float16\ndtype: float32\n")
    assert twice.recipe.dtype == "float32"
    assert "dtype in line 6. The last counts" in twice.notes[0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("base_model: a\ngate_mode: hidden\nexperts: []", NoCounterpart, "for mergekit-moe"),
        ("genome: {models: [a]}\ntasks: []", NoCounterpart, "mergekit-evolve.*`dppa search`"),
        ("layer_slices: []", NoCounterpart, "bakllama"),
        ("merge_method: ties\n\tmodels: []\n", InvalidRecipe, "line 2.*A tab stands"),
        ("merge_method: ties\n`\nmodels: []\n", InvalidRecipe, "line 2.*back quote"),
        ("a: b\n - model: x\n", InvalidRecipe, "line 2.*Lost indentation"),
        ('base_model: "C:\\models"', InvalidRecipe, "in double quotes; take single ones"),
        ("merge_method ties models", InvalidRecipe, "not a mapping of keys"),
        ("a: &a [*a]", InvalidRecipe, "aliases"),
        (
            f"a: &a [{'1, ' * 99}1]\nb: &b [{'*a, ' * 99}*a]\nc: [*b, *b, *b]",
            InvalidRecipe,
            "20000",
        ),
        (
            TIES.replace("ties", "tise") + "dtype: float8\nmodels2: 1",
            NoCounterpart,
            r"2 problems. \(1\) merge_method 'tise'.*Did you mean 'ties'.*\(2\) dtype 'float8'",
        ),
        (
            TIES + "dtype: int4\nparameters: {densty: 0.5, density: half}",
            InvalidRecipe,
            r"3 problems. .*dtype 'int4'.*density must be.*needs the parameter 'weight'.*"
            "Ignored by mergekit too: densty .did you mean density",
        ),
        (
            TIES.replace("ties", "tise").replace(
                "{model: a}", "{model: a, parameters: {weight: x}}"
            ),
            InvalidRecipe,
            r"2 problems. .*Did you mean 'ties'.*weight of a must be a number",
        ),
        (
            WEIGHT + "slices: []\nmodules: {a: 1}",
            InvalidRecipe,
            "one of models, slices and modules",
        ),
        (TIES.replace("models: ", "modules: {vision: 1}\nx: "), NoCounterpart, "not of several"),
    ],
)
def test_a_file_that_is_no_recipe_says_what_it_is(
    text: str, error: type[DppaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(text)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("C:\\models\\mine", "C:\\models\\mine"),
        ("acme/base@v1.0", "acme/base@v1.0"),
        ("acme/base+acme/lora", "acme/base+acme/lora"),
        ("{model: {path: acme/base, revision: main}, lora: {path: ./x}}", "acme/base@main+./x"),
    ],
)
def test_models_are_named_in_mergekits_ways(theirs: str, ours: str) -> None:
    recipe = read(WEIGHT.replace("{model: b}", f"{{model: {theirs}}}")).recipe
    assert recipe.models[1].model == ours


STAGES = """
name: soup
merge_method: linear
models: [{model: zoo:math}, {model: zoo:law}]
parameters: {weight: 0.5}
dtype: float32
---
merge_method: slerp
base_model: soup
models: [{model: "far/away"}]
parameters: {t: [0, 1]}
dtype: float32
---
name: far/away
merge_method: task_arithmetic
base_model: zoo:base
models: [{model: zoo:finance, parameters: {weight: 0.5}}]
dtype: float32
"""


def test_a_file_of_several_recipes_is_merged_stage_by_stage(
    zoo_env: Path, dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("theirs.yaml").write_text(STAGES)
    assert dppa("import", "theirs.yaml") == 2 and "holds 3 recipes" in dppa.err
    assert dppa("import", "theirs.yaml", "--out", "stages") == 0
    last = load_recipe("stages/merge.yaml")
    assert (last.base, last.models[0].model) == ("stages/soup.yaml", "stages/far-away.yaml")
    assert dppa("merge", "stages/merge.yaml", "--out", "out") == 0
    made = sorted(Path("stages").glob("*-*/model.safetensors"))
    assert len(made) == 2
    times = [file.stat().st_mtime_ns for file in made]
    assert dppa("merge", "stages/merge.yaml", "--out", "again") == 0
    assert [file.stat().st_mtime_ns for file in made] == times
    name = "model.layers.1.mlp.up_proj.weight"
    end = SafetensorsCheckpoint(next(Path("stages").glob("far-away-*"))).raw(name)
    np.testing.assert_allclose(SafetensorsCheckpoint("out").raw(name), end, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STAGES.replace("far/away", "soup"), "Two recipes of this file have the name 'soup'"),
        (STAGES.replace("zoo:base", "merge"), "merge each other's results in a circle"),
        (STAGES.replace("merge_method: linear", "method: x"), "recipe 'soup': .*'merge_method'"),
    ],
)
def test_stages_that_do_not_follow_one_another_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        import_stages(text)


def test_recipes_that_merge_their_own_result_are_refused(
    zoo_env: Path, dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("dppa: 1\nbase: zoo:base\nmodels: [{model: b.yaml}]\n")
    Path("b.yaml").write_text("dppa: 1\nbase: zoo:base\nmodels: [{model: a.yaml}]\n")
    assert dppa("merge", "a.yaml", "--out", "out") == 1 and "its own result" in dppa.err
    assert dppa("preflight", "a.yaml") == 1 and "recipe, not a model" in dppa.out
