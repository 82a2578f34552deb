"""mergekit's slices become stacks, and stacks slices; hand-sized."""

from dataclasses import replace
from typing import Any

import pytest

from dppa_core.checkpoints.sources.references import layer_ranges
from dppa_core.errors import DppaError, IncompatibleCheckpoints, InvalidRecipe, NoCounterpart
from dppa_core.merging.inputs import renamed
from dppa_core.pruning.coefficients import coefficient_of
from dppa_core.pruning.module_groups import layer_count
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.reference.mergekit_stacks import stacks

DEPTHS = {"a": 4, "b": 4, "c": 6}


def recipe(text: str, **depths: int) -> MergeRecipe:
    depths = depths or DEPTHS
    return import_mergekit(text, lambda name: llama_names(depths.get(name, 0))).recipe


def sliced(method: str, *slices: str, more: str = "") -> str:
    listed = "".join(f"- {entry}\n" for entry in slices)
    return f"merge_method: {method}\nslices:\n{listed}dtype: float32\n{more}"


def of(model: str, start: int, stop: int, parameters: str = "") -> str:
    own = f", parameters: {parameters}" if parameters else ""
    return f"{{model: {model}, layer_range: [{start}, {stop}]{own}}}"


def only(*sources: str) -> str:
    return f"sources: [{', '.join(sources)}]"


def scales(made: MergeRecipe, part: str, layers: int) -> list[float]:
    names = [f"model.layers.{layer}.{part}.weight" for layer in range(layers)]
    return [coefficient_of(made.models[0].coefficient, name, layers) for name in names]


def test_passthrough_is_a_stack_beside_the_first_models_layers() -> None:
    made = recipe(sliced("passthrough", only(of("a", 0, 3)), only(of("b", 1, 4))))
    assert made.method == "passthrough"
    assert made.base == "stack:a[0:3,1:4]"
    assert [model.model for model in made.models] == ["stack:a[0:3],b[1:4]"]
    assert made.models[0].coefficient == 1.0


def test_layers_that_the_first_model_lacks_or_may_lack_are_compared_with_themselves() -> None:
    text = sliced("passthrough", only(of("a", 0, 3)), only(of("c", 3, 6)))
    assert recipe(text).base == "stack:a[0:3],c[3:6]"
    assert recipe(text, x=1).base == "stack:a[0:3],c[3:6]"
    assert recipe(text + "base_model: c\n").base == "c"  # all its layers in order


def test_scale_by_filter_counts_in_its_slice_alone() -> None:
    own = "{scale: [{filter: o_proj, value: 0.0}, {filter: down_proj, value: 0.5}, {value: 1.0}]}"
    made = recipe(sliced("passthrough", only(of("a", 0, 2)), only(of("a", 0, 2, own))))
    assert scales(made, "self_attn.o_proj", 4) == [1, 1, 0, 0]
    assert scales(made, "mlp.down_proj", 4) == [1, 1, 0.5, 0.5]
    assert scales(made, "mlp.up_proj", 4) == [1, 1, 1, 1]
    head = coefficient_of(made.models[0].coefficient, "lm_head.weight", 4)
    assert head == 1.0


def test_a_gradient_runs_over_the_layers_of_each_slice() -> None:
    slices = (
        f"{only(of('a', 0, 3))}\n  parameters: {{scale: [0, 1]}}",
        only(of("b", 3, 4, "{scale: [0.25, 0.75]}")),
    )
    made = recipe(sliced("passthrough", *slices))
    assert scales(made, "mlp.up_proj", 4) == [0, 0.5, 1, 0.75]  # one layer is the end of a way
    names = ("model.embed_tokens.weight", "model.norm.weight")
    ends = [coefficient_of(made.models[0].coefficient, name, 4) for name in names]
    assert ends == [0, 0.25]  # of the first slice, and of the last, at the start of their ways


def test_different_ranges_of_two_models_are_two_stacks() -> None:
    slices = only(of("a", 0, 2), of("b", 2, 4)), only(of("b", 0, 2), of("a", 2, 4))
    made = recipe(sliced("slerp", *slices, more="base_model: a\nparameters: {t: 0.25}\n"))
    assert (made.base, made.models[0].model) == ("a", "stack:b[2:4,0:2]")
    assert made.parameters["position"] == 0.25


def test_slices_that_are_all_layers_in_order_are_whole_models() -> None:
    slices = (
        f"{only(of('a', 0, 2), of('b', 0, 2))}\n  parameters: {{t: 0.5}}",
        f"{only(of('a', 2, 4), of('b', 2, 4))}\n  parameters: {{t: 0.0}}",
    )
    made = recipe(sliced("slerp", *slices, more="base_model: a\n"))
    assert (made.base, made.models[0].model) == ("a", "b")
    values = made.models[0].coefficient
    layers = [coefficient_of(values, f"model.layers.{n}.mlp.up_proj.weight", 4) for n in range(4)]
    assert [made.parameters["position"] * value for value in layers] == [0.5, 0.5, 0, 0]
    shorter = sliced("slerp", only(of("a", 0, 3), of("b", 0, 3)), more="base_model: a\n")
    cut = recipe(shorter + "parameters: {t: 0.5}\n")
    assert (cut.base, cut.models[0].model) == ("stack:a[0:3]", "stack:b[0:3]")
    unknown = recipe(shorter + "parameters: {t: 0.5}\n", x=1)
    assert (unknown.base, unknown.models[0].model) == ("a", "b")


def test_a_model_that_a_slice_lacks_has_no_weight_there() -> None:
    slices = only(of("a", 0, 2)), only(of("a", 2, 4), of("b", 2, 4, "{weight: 0.5}"))
    made = recipe(sliced("task_arithmetic", *slices, more="base_model: a\n"))
    assert made.base == "a" and made.models[0].model == "stack:a[0:2],b[2:4]"
    assert scales(made, "mlp.up_proj", 4) == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize("name", [name for name in stacks() if "linear" not in name])
def test_a_recipe_written_back_is_read_as_the_same(name: str) -> None:
    """Of linear, shares of the sum are written."""
    depths = {"base": 3, "a": 3, "b": 3}
    made = recipe(stacks()[name], **depths)
    whole = layer_ranges(made.base) or [("", 0, 3)]
    shapes = {n: (8,) for n in llama_names(sum(stop - start for _, start, stop in whole))}
    back = recipe(export_mergekit(made, shapes=shapes).text, **depths)
    if made.method == "passthrough":  # mergekit has no base there
        back = replace(back, base=made.base)
    names = list(shapes)
    assert [numbers(model, names) for model in back.models] == [
        numbers(model, names) for model in made.models
    ]
    same = [replace(model, coefficient=1.0) for model in made.models]
    assert replace(back, models=same, parameters=made.parameters) == replace(made, models=same)


def numbers(model: DomainModel, names: list[str]) -> list[float]:
    layers = layer_count(names)
    return [pytest.approx(coefficient_of(model.coefficient, name, layers)) for name in names]


def test_one_model_twice_in_a_slice_has_two_names() -> None:
    """mergekit takes a model of one name once."""
    models = (DomainModel("stack:a[2:4]"),)
    text = export_mergekit(MergeRecipe("stack:a[0:2]", models, "slerp")).text
    assert "- model: a\n    layer_range: [0, 2]\n  - model: a/.\n    layer_range: [2, 4]" in text
    back = recipe(text, **{"a": 6, "a/.": 6})
    assert (back.base, back.models[0].model) == ("stack:a[0:2]", "stack:a/.[2:4]")
    hub = MergeRecipe("stack:hub:o/n[0:2]", (DomainModel("stack:hub:o/n[2:4]"),), "slerp")
    text = export_mergekit(hub, place=lambda model: model.removeprefix("hub:")).text
    assert "- model: o/n@main\n    layer_range: [2, 4]" in text
    pinned = renamed(hub, {"hub:o/n": "hub:o/n@" + 40 * "a"})
    with pytest.raises(NoCounterpart, match="stands several times in a slice"):
        export_mergekit(pinned, place=lambda model: model.removeprefix("hub:"))


def test_stacks_of_unequal_depth_cannot_be_written() -> None:
    with pytest.raises(IncompatibleCheckpoints, match="has 2 layers, stack:a.0:3. has 3"):
        export_mergekit(MergeRecipe("stack:a[0:2]", (DomainModel("stack:a[0:3]"),), "slerp"))


def test_a_single_source_is_taken_as_it_is_where_the_method_can() -> None:
    slices = only(of("b", 0, 2)), only(of("a", 2, 4), of("b", 2, 4))
    made = recipe(sliced("slerp", *slices, more="base_model: a\nparameters: {t: 0.5}\n"))
    assert (made.base, made.models[0].model) == ("stack:b[0:2],a[2:4]", "b")
    with pytest.raises(NoCounterpart, match="sce has no weights"):
        recipe(sliced("sce", *slices, more="base_model: a\n"))


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (["sources: []"], "must have a list of sources"),
        ([only("{model: a}")], r"layer_range must be \[FIRST, END\]"),
        ([only("{model: a, layer_range: [2, 2]}")], "at least one layer"),
        ([only("{model: a, layer_range: [3, 1]}")], "at least one layer"),
        ([only("{model: a, layer_range: [0, 1.5]}")], "layer_range must be"),
        ([only("{layer_range: [0, 1]}")], "must have the key 'model'"),
        ([only(of("a", 0, 2), of("b", 0, 3))], r"a\[0:2\], b\[0:3\] must have the same number"),
        ([only(of("a", 0, 2), of("b", 0, 2))], "passthrough takes one model as it is, got 2"),
        ([*[only(of("c", 0, 4))] * 75, only(of("a", 0, 1))], "301 layers; it may have 256"),
        ([only(of("a", 0, 7))], r"a has 4 layers, so its layer_range ends at 4.*got \[0, 7\]"),
    ],
)
def test_slices_that_make_no_model_are_refused(slices: list[str], message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        recipe(sliced("passthrough", *slices))


@pytest.mark.parametrize("slices", ["3", "{a: 1}", "[3]", "[[]]", "[{sources: 3}]"])
def test_what_is_no_list_of_slices_is_refused(slices: Any) -> None:
    with pytest.raises(DppaError, match="slices"):
        recipe(f"merge_method: passthrough\nslices: {slices}\n")
