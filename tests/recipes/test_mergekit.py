"""mergekit's recipes and ours: converted exactly, with noted differences, or refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dppa_core.errors import InvalidRecipe, NoCounterpart
from dppa_core.merging.inputs import renamed
from dppa_core.pruning.coefficients import PartCoefficient, coefficient_of
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import Imported, import_mergekit
from dppa_core.recipes.mergekit.values import llama_names, read_setting
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning, dump_recipe, load_recipe
from tests.helpers.command import Command
from tests.helpers.hub_server import HubServer, stand_in
from tests.helpers.tiny_models import Shape, random_llama

TWO = (DomainModel("a"), DomainModel("b"))
UNEVEN = (DomainModel("a"), DomainModel("b", coefficient=2.0))
LLAMA = Shape(layers=2).tensors()
GPT2 = ("h.0.attn.c_attn.weight", "h.1.attn.c_attn.weight", "wte.weight", "ln_f.weight")
OPPOSED = (DomainModel("a", coefficient=0.5), DomainModel("b", coefficient=-0.5))
BY_LAYER = DomainModel("a", coefficient={0: 0.5, 1: 1.0})


def mergekit(method: str, models: str = "", rest: str = "") -> str:
    """A recipe of mergekit for the models a and b of one base."""
    listed = models or "models: [{model: base}, {model: a}, {model: b}]"
    return f"merge_method: {method}\nbase_model: base\n{listed}\ndtype: float32\n{rest}"


BOTH = "models: [{model: a}, {model: b}]\nparameters: {weight: 1}"


def weighted(first: str, second: str) -> str:
    """Parameters under each model."""
    return f"models: [{{model: a, parameters: {first}}}, {{model: b, parameters: {second}}}]"


def read(text: str, layers: int | None = None) -> Imported:
    return import_mergekit(text, lambda base: llama_names(layers) if layers else ())


def test_task_arithmetic_has_weights_times_lambda() -> None:
    models = weighted("{weight: 0.5}", "{weight: -0.25}")
    imported = read(mergekit("task_arithmetic", models, "parameters: {lambda: 2}"))
    assert imported.recipe.method == "task_arithmetic"
    assert [model.coefficient for model in imported.recipe.models] == [1.0, -0.5]
    assert imported.recipe.base == "base" and not imported.notes


def test_a_parameter_for_all_models_yields_to_a_models_own() -> None:
    models = "models: [{model: a, parameters: {weight: 2}}, {model: b}]"
    imported = read(mergekit("task_arithmetic", models, "parameters: {weight: 0.5}"))
    assert [model.coefficient for model in imported.recipe.models] == [2.0, 0.5]


def test_normalised_weights_are_shares() -> None:
    models = weighted("{weight: 1}", "{weight: 3}")
    imported = read(mergekit("task_arithmetic", models, "parameters: {normalize: true}"))
    assert [model.coefficient for model in imported.recipe.models] == [0.25, 0.75]


def test_linear_divides_by_the_sum_of_weights_by_default() -> None:
    text = "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 0.1}}\n"
    text += "- {model: b, parameters: {weight: 1}}\ndtype: float32\n"
    assert read(text).recipe.parameters == {"divide": "coefficients"}
    plain = read(text + "parameters: {normalize: false}\n").recipe
    assert plain.parameters == {"divide": "nothing"}
    assert plain.base == "a" and [model.model for model in plain.models] == ["a", "b"]


def test_ties_is_read_with_mergekits_semantics() -> None:
    models = weighted("{weight: 0.2}", "{weight: 1}")
    imported = read(mergekit("ties", models, "parameters: {density: 0.5, int8_mask: true}"))
    parameters = imported.recipe.parameters
    assert (parameters["density"], parameters["ranked_in"]) == (0.5, "tensor")
    assert (parameters["semantics"], parameters["divide"]) == ("mergekit", "coefficients")
    assert not imported.notes


def test_densities_of_single_models_are_their_own() -> None:
    models = weighted("{weight: 1, density: 0.5}", "{weight: 1, density: [0.25, 0.75]}")
    imported = read(mergekit("ties", models), layers=3)
    assert [dict(model.parameters) for model in imported.recipe.models] == [
        {"density": 0.5},
        {
            "density": (
                PartCoefficient("layers", {0: 0.25, 1: 0.5, 2: 0.75}),
                PartCoefficient(None, 0.25),
            )
        },
    ]
    assert not imported.notes


def test_random_methods_are_alike_on_average_only() -> None:
    rest = "parameters: {weight: 1, density: 0.5}"
    for method, ours in (
        ("dare_linear", "della_linear"),
        ("dare_ties", "dare_ties"),
        ("della", "della"),
    ):
        imported = read(mergekit(method, rest=rest))
        assert imported.recipe.method == ours
        assert any("at random" in note for note in imported.notes)
    della = read(mergekit("della", rest=rest[:-1] + ", epsilon: 0.1}")).recipe.parameters
    assert (della["drop"], della["window"], della["semantics"]) == (0.5, 0.2, "mergekit")


def test_breadcrumbs_gamma_is_what_is_dropped_of_the_largest() -> None:
    rest = "parameters: {weight: 1, density: 0.75, gamma: 0.05}"
    imported = read(mergekit("breadcrumbs", rest=rest))
    parameters = imported.recipe.parameters
    assert (parameters["drop_smallest"], parameters["drop_largest"]) == (0.2, 0.05)
    models = weighted("{weight: 1, density: 0.5}", "{weight: 1, density: 0.9}")
    own = read(mergekit("breadcrumbs", models)).recipe
    assert own.parameters["drop_largest"] == 0.01
    assert [model.parameters for model in own.models] == [
        {"drop_smallest": 0.49},
        {"drop_smallest": 0.09},
    ]
    elected = read(mergekit("breadcrumbs_ties", rest=rest)).recipe.parameters
    assert elected["signs"] == "elected" and elected["semantics"] == "mergekit"


def test_a_density_of_one_drops_no_outliers_either() -> None:
    parameters = read(mergekit("breadcrumbs", rest="parameters: {weight: 1}")).recipe.parameters
    assert parameters["drop_smallest"] == parameters["drop_largest"] == 0


def test_flags_of_methods_with_a_drop_are_settings() -> None:
    rest = "parameters: {weight: 1, density: 0.5, rescale: false, normalize: false}"
    della = read(mergekit("della", rest=rest)).recipe.parameters
    assert (della["rescale"], della["divide"]) == ("no", "nothing")
    tied = read(mergekit("ties", rest="parameters: {weight: 1, density: 0.5, rescale: true}"))
    assert tied.recipe.parameters["rescale"] == "yes" and not tied.notes


def test_slerp_goes_from_its_base() -> None:
    models = "models: [{model: base}, {model: a}]"
    imported = read(mergekit("slerp", models, "parameters: {t: 0.25}"))
    assert imported.recipe.parameters == {"position": 0.25}
    assert [model.model for model in imported.recipe.models] == ["a"]


def test_slerp_by_layer_has_a_coefficient_by_layer() -> None:
    models = "models: [{model: base}, {model: a}]"
    imported = read(mergekit("slerp", models, "parameters: {t: [0, 1]}"), layers=3)
    assert (imported.recipe.method, imported.recipe.parameters) == ("slerp", {"position": 1.0})
    assert imported.recipe.models[0].coefficient == (
        PartCoefficient("layers", {0: 0.0, 1: 0.5, 2: 1.0}),
        PartCoefficient(None, 0.0),
    )
    assert not imported.notes


def test_slerp_by_attention_and_mlp_as_mergekits_examples_have_it() -> None:
    models = "models: [{model: base}, {model: a}]"
    attention, mlp = "{filter: self_attn, value: [0, 0.5, 1]}", "{filter: mlp, value: [1, 0.5, 0]}"
    rest = f"parameters: {{t: [{attention}, {mlp}, {{value: 0.25}}]}}"
    imported = read(mergekit("slerp", models, rest), layers=3)
    assert imported.recipe.models[0].coefficient == (
        PartCoefficient("self_attn", {0: 0.0, 1: 0.5, 2: 1.0}),
        PartCoefficient("mlp", {0: 1.0, 1: 0.5, 2: 0.0}),
        PartCoefficient(None, 0.25),
    )


def test_one_slice_of_all_layers_is_the_whole_model() -> None:
    slices = "slices: [{sources: [{model: base, layer_range: [0, 4]}, "
    slices += "{model: a, layer_range: [0, 4]}]}]"
    imported = read(mergekit("task_arithmetic", slices, "parameters: {weight: 1}"))
    assert [model.model for model in imported.recipe.models] == ["a"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, 0.5),
        ([0.5, 0.5], 0.5),
        ([{"filter": "self_attn", "value": 0.5}, {"value": 0.5}], 0.5),
        ({"filter": "*", "value": 2}, 2.0),
    ],
)
def test_a_value_that_is_the_same_for_all_tensors_is_a_number(
    value: object, expected: float
) -> None:
    assert read_setting(value, "weight", llama_names(3)) == read_setting(value, "weight", ())
    assert read_setting(value, "weight", ()) == expected


@pytest.mark.parametrize(
    ("value", "beside", "query", "down"),
    [
        ([0, 1], 0.0, [0.0, 0.5, 1.0], [0.0, 0.5, 1.0]),
        ([1, 0, 1, 0], 1.0, [1.0, 0.5, 0.0], [1.0, 0.5, 0.0]),
        (
            [{"filter": ".layers.", "value": [0, 1]}, {"value": 0.25}],
            0.25,
            *2 * [[0, 0.5, 1]],
        ),
        ([{"filter": "mlp", "value": 1}, {"value": [0, 2]}], 0.0, [0, 1, 2], [1, 1, 1]),
    ],
)
def test_a_gradient_goes_over_the_layers_and_starts_for_what_is_in_none(
    value: object, beside: float, query: list[float], down: list[float]
) -> None:
    weights = read_setting(value, "weight", llama_names(3))
    assert isinstance(weights, dict)
    assert weights["model.embed_tokens.weight"] == beside
    assert [weights[f"model.layers.{i}.self_attn.q_proj.weight"] for i in range(3)] == query
    assert [weights[f"model.layers.{i}.mlp.down_proj.weight"] for i in range(3)] == down
    assert weights["model.norm.weight"] == weights["lm_head.weight"] == beside


def test_a_gradient_over_an_unknown_number_of_layers_stays_one() -> None:
    assert read_setting([0.5, 0.5], "weight", ()) == 0.5
    mixed = read_setting([{"filter": "mlp", "value": [1, 0]}, {"value": 0}], "weight", ())
    assert isinstance(mixed, dict)
    assert mixed["model.layers.1.mlp.down_proj.weight"] == (1.0, 0.0)
    assert mixed["lm_head.weight"] == 0.0
    with pytest.raises(InvalidRecipe, match="weight has no value"):
        read_setting({"filter": "mlp", "value": 1}, "weight", ())


@pytest.mark.parametrize(
    "rest",
    [
        "{weight: [0.3, -0.5, 1], density: [0.9, 0.2]}",
        "{weight: [{filter: self_attn, value: [0, 0.7, 0.2]}, {value: 0.5}], density: 0.5}",
        "{weight: 1, density: [{filter: norm, value: [0.2, 0.4]}, {filter: mlp, value: [1, 0.5]}, "
        "{value: 0.25}]}",
    ],
)
def test_a_gradient_says_the_same_before_and_after_the_layers_are_known(rest: str) -> None:
    text = mergekit("ties", "models: [{model: a}]", f"parameters: {rest}")
    early, late = read(text).recipe.models[0], read(text, layers=5).recipe.models[0]
    for first, second in (
        (early.coefficient, late.coefficient),
        *((early.parameters.get(key), late.parameters.get(key)) for key in late.parameters),
    ):
        assert first is not None and second is not None
        for name in llama_names(5):
            assert coefficient_of(first, name, 5) == pytest.approx(coefficient_of(second, name, 5))


@pytest.mark.parametrize("value", ["half", [], [{"filter": "mlp"}], [[1]], {"value": "x"}, None])
def test_what_is_no_value_is_named(value: object) -> None:
    with pytest.raises(InvalidRecipe, match="weight must be a number"):
        read_setting(value, "weight", llama_names(3))


def test_a_filter_that_leaves_tensors_without_a_value_is_named() -> None:
    with pytest.raises(InvalidRecipe, match="no value for model.embed_tokens"):
        read_setting([{"filter": "mlp", "value": 1}], "weight", llama_names(2))


def test_what_no_filter_meets_has_the_value_of_all_models_and_then_the_default() -> None:
    embeddings = "[{filter: embed, value: 0.25}]"
    models = f"models: [{{model: a, parameters: {{weight: {embeddings}}}}}, {{model: b}}]"
    imported = read(mergekit("task_arithmetic", models, "parameters: {weight: 0.5}"), layers=2)
    assert imported.recipe.models[0].coefficient == (
        PartCoefficient("embed_tokens", 0.25),
        PartCoefficient(None, 0.5),
    )
    some = "parameters: {weight: 1, density: [{filter: nowhere, value: 0.5}]}"
    assert read(mergekit("ties", rest=some)).recipe.parameters["density"] == 1.0
    both_weighted = weighted("{weight: 0.5}", "{weight: 0.5}")  # the gradient below is unused
    assert read(mergekit("task_arithmetic", both_weighted, "parameters: {weight: [0, 1]}"))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("dppa: 1", InvalidRecipe, "'merge_method' is missing"),
        ("models: []", InvalidRecipe, "'merge_method' is missing"),
        (mergekit("swap"), NoCounterpart, "'swap' has no counterpart"),
        (mergekit("ties").replace("base_model: base\n", ""), InvalidRecipe, "needs a base_model"),
        (mergekit("ties"), InvalidRecipe, "needs the parameter 'weight'"),
        (mergekit("ties", "models: []"), InvalidRecipe, "models must be a list"),
        (mergekit("ties", "models: [{model: base}]"), InvalidRecipe, "no model beside its base"),
        (mergekit("ties", rest="parameters: {wieght: 1}"), InvalidRecipe, "did you mean weight"),
        (
            mergekit("ties", rest="parameters: {weight: 1, density: [0.5, 2]}"),
            NoCounterpart,
            "density differs between layers",
        ),
        (mergekit("ties", BOTH).replace("32", "64"), NoCounterpart, "dtype 'float64'"),
        (mergekit("linear", "modules: {x: {}}"), NoCounterpart, "modules"),
    ],
)
def test_a_recipe_that_cannot_be_read_says_why(
    text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(text)


def test_what_is_lost_is_said() -> None:
    text = mergekit("task_arithmetic", rest="parameters: {weight: 1}\ntokenizer_source: union")
    assert not read(text).notes
    plain = read(text.replace("dtype: float32\n", "").replace("tokenizer_source: union", ""))
    assert plain.recipe.dtype == "base" and not plain.notes
    half = read(text.replace("dtype: float32", "dtype: bfloat16"))
    assert any("computes in bfloat16" in note for note in half.notes)


def test_heads_that_differ_have_no_counterpart() -> None:
    recipe = MergeRecipe("base", (DomainModel("./math"),), "task_arithmetic", heads="base")
    assert any("stops at heads that differ" in note for note in export_mergekit(recipe).notes)


def exported(method: str, *models: DomainModel, **rest: object) -> dict[str, object]:
    recipe = MergeRecipe("base", models or TWO, method, **rest)  # type: ignore[arg-type]
    return dict(yaml.safe_load(export_mergekit(recipe, shapes=LLAMA).text))


def test_a_soup_is_written_with_weights_that_sum_to_one() -> None:
    soup = exported("linear", DomainModel("a", coefficient=1.0), DomainModel("b", coefficient=3.0))
    assert soup["parameters"] == {"normalize": False}
    assert soup["models"][0] == {"model": "a", "parameters": {"weight": 0.25}}  # type: ignore[index]
    assert "base_model" not in soup


def test_a_soup_of_one_layer_may_have_no_mean() -> None:
    models = (DomainModel("a", coefficient={0: 1.0, 1: 2.0}), DomainModel("b", coefficient=-1.0))
    with pytest.raises(NoCounterpart, match="sum of coefficients, which is 0"):
        exported("linear", *models)
    assert exported("linear", *models, parameters={"divide": "nothing"})


def test_della_that_drops_nothing_is_written() -> None:
    model = exported("della", parameters={"drop": 0, "window": 0})["models"][0]  # type: ignore[index]
    assert model["parameters"] == {"weight": 1.0, "density": 1.0, "epsilon": 0.0}


def test_sums_are_float32_and_rounded_once() -> None:
    settings = exported("task_arithmetic")
    assert "dtype" not in settings and "out_dtype" not in settings, "the base's, which is not here"
    settings = exported("task_arithmetic", dtype="bfloat16")
    assert (settings["dtype"], settings["out_dtype"]) == ("float32", "bfloat16")


def test_coefficients_by_layer_are_a_gradient_with_a_stop_at_every_layer() -> None:
    weight = exported("task_arithmetic", BY_LAYER)["models"][0]["parameters"]["weight"]  # type: ignore[index]
    assert weight == [{"filter": ".layers.", "value": [0.5, 1.0]}, {"value": 0.75}]


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (GPT2, "h."),
        ([f"transformer.{name}" for name in GPT2], ".h."),
        (
            [f"neox.{x}.weight" for x in ("layers.0.mlp", "layers.1.mlp", "embed_in")],
            ".layers.",
        ),
    ],
)
def test_the_filter_of_layers_is_what_the_base_calls_them(names: list[str], word: str) -> None:
    recipe = MergeRecipe("base", (BY_LAYER,), "task_arithmetic")
    text = export_mergekit(recipe, shapes=dict.fromkeys(names, (2, 2))).text
    weight = yaml.safe_load(text)["models"][0]["parameters"]["weight"]
    assert weight == [{"filter": word, "value": [0.5, 1.0]}, {"value": 0.75}]


@pytest.mark.parametrize("names", [[], ["embed.weight"], [*GPT2, "smith.weight", "mh.x"]])
def test_layers_that_no_filter_tells_from_the_rest_are_refused(names: list[str]) -> None:
    recipe = MergeRecipe("base", (BY_LAYER,), "task_arithmetic")
    with pytest.raises(NoCounterpart, match="layers of the base.s tensors are unknown"):
        export_mergekit(recipe, shapes=dict.fromkeys(names, (2, 2)))


PARTS = DomainModel(
    "a",
    coefficient=(
        PartCoefficient("q_proj", 2.0),
        PartCoefficient("self_attn", {0: 0.5, 1: 1.0}),
        PartCoefficient("norm", 0.125),
        PartCoefficient(None, {0: 0.25, 1: 0.75}),
    ),
)


def test_parts_are_written_as_filters_and_read_back_alike() -> None:
    written = exported("task_arithmetic", PARTS)
    assert written["models"][0]["parameters"]["weight"] == [  # type: ignore[index]
        {"filter": "q_proj", "value": 2.0},
        {"filter": "self_attn", "value": [0.5, 1.0]},
        {"filter": ".norm.", "value": 0.125},
        {"filter": ".layers.", "value": [0.25, 0.75]},
        {"value": 0.5},
    ]
    back = import_mergekit(yaml.safe_dump(written), lambda base: tuple(LLAMA)).recipe.models[0]
    for name in LLAMA:
        assert coefficient_of(back.coefficient, name, 2) == coefficient_of(
            PARTS.coefficient, name, 2
        )


def test_a_part_by_layer_outside_the_layers_has_no_filter() -> None:
    parts = (PartCoefficient("model", {0: 0.5}), PartCoefficient(None, 1.0))
    with pytest.raises(NoCounterpart, match="tensors outside the layers, such as"):
        exported("task_arithmetic", DomainModel("a", coefficient=parts))


def test_weights_are_written_without_rounding_errors() -> None:
    models = (DomainModel("a", (0.9,)), DomainModel("b", (0.7,), coefficient=0.3))
    settings = exported("darex_q", *models, parameters={"q": 0.6, "other_tensors": "prune"})
    weights = [model["parameters"]["weight"] for model in settings["models"]]  # type: ignore[attr-defined]
    assert weights == [0.166666666667, 0.15]


def test_other_tensors_keep_their_whole_delta_only_beside_plain_dare() -> None:
    alone = DomainModel("a", (0.9,))
    notes = export_mergekit(MergeRecipe("x", (alone,), "dare", {"other_tensors": "keep"})).notes
    assert any("drops in embeddings" in note for note in notes)
    # Divided by the share that survives, DAREx-q is DARE.
    assert exported("darex_q", alone, parameters={"q": 0.1})


def test_methods_of_chance_are_written_with_a_warning() -> None:
    models = (DomainModel("a", (0.9,), (2.0,)), DomainModel("b", (0.5,)))
    exported_dare = export_mergekit(MergeRecipe("base", models, "dare"))
    first = yaml.safe_load(exported_dare.text)["models"][0]["parameters"]
    assert first == {"weight": 2.0, "density": 0.1}
    assert any("at random" in note for note in exported_dare.notes)
    less = export_mergekit(MergeRecipe("base", models[:1], "darex_q", {"q": 0.2}))
    assert yaml.safe_load(less.text)["models"][0]["parameters"]["weight"] == pytest.approx(1.0)
    della = export_mergekit(MergeRecipe("base", TWO, "della"))
    assert yaml.safe_load(della.text)["models"][0]["parameters"]["epsilon"] == 0.07


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (MergeRecipe("x", (DomainModel("a", (0.9,)),)), "no DPPA. Merge it here"),
        (MergeRecipe("x", TWO, "pcb"), "no PCB-Merging"),
        (MergeRecipe("x", TWO, "ties"), "Set `ranked_in: tensor`"),
        (
            MergeRecipe(
                "x", (TWO[0], DomainModel("b", coefficient=2.0)), "ties", {"ranked_in": "tensor"}
            ),
            "Set `semantics: mergekit`",
        ),
        (MergeRecipe("x", TWO, "dare_ties"), "has no trim. Set `semantics: mergekit`"),
        (MergeRecipe("x", TWO, "breadcrumbs", {"ranked_in": "row"}), "not in rows"),
        (MergeRecipe("x", TWO, "sce", {"semantics": "reference"}), "selected elements only"),
        (MergeRecipe("x", (DomainModel("a", coefficient=2.0),), "sce"), "sce has no weights"),
        (
            MergeRecipe("x", (DomainModel("a", amplification=(2.0,)),), "task_arithmetic"),
            "modules only",
        ),
        (MergeRecipe("x", TWO, "ties", prune=Pruning("dppa")), "nothing that goes before"),
        (MergeRecipe("x", (DomainModel("a", (0.9,)),), "darex_q", {"q": 0.2}), "multiplied by 0.5"),
        (
            MergeRecipe(
                "x", (DomainModel("a", (0.9,), (2.0,)),), "dare", {"other_tensors": "keep"}
            ),
            "multiplied by 2 .*Set `other_tensors: prune`",
        ),
        (MergeRecipe("x", TWO, "dare", {"other_tensors": "drop"}), "other_tensors: drop"),
        (MergeRecipe("x", OPPOSED, "linear"), "sum of coefficients, which is 0"),
        (MergeRecipe("x", TWO, "della", {"drop": 0.25, "window": 0.5}), "window below 0.5"),
        (
            MergeRecipe("x", (DomainModel("a", coefficient={0: 1.0}),), "linear"),
            "coefficients or settings differ between tensors",
        ),
    ],
)
def test_what_mergekit_cannot_say_is_refused(recipe: MergeRecipe, message: str) -> None:
    with pytest.raises(NoCounterpart, match=message):
        export_mergekit(recipe)


def test_recipes_go_out_and_come_back_on_the_command_line(
    zoo_env: Path, dppa: Command, tmp_path: Path
) -> None:
    models = (DomainModel("zoo:math", coefficient={0: 0.5, 1: 1.0}), DomainModel("zoo:law"))
    ours, theirs, back = (tmp_path / name for name in ("mine.yaml", "theirs.yaml", "back.yaml"))
    ours.write_text(dump_recipe(MergeRecipe("zoo:base", models, "task_arithmetic")))
    assert dppa("export", ours, "--mergekit", "--out", theirs) == 0
    assert f"base_model: {zoo_env}/base" in theirs.read_text()
    assert dppa("import", theirs, "--out", back) == 0
    assert [m.coefficient for m in load_recipe(back).models] == [{0: 0.5, 1: 1.0}, 1.0]
    assert dppa("import", theirs, "--json") == 0
    assert json.loads(dppa.out)["notes"] == []


def test_names_of_a_foreign_recipe_are_given_their_places(
    zoo_env: Path, dppa: Command, tmp_path: Path
) -> None:
    theirs, out = tmp_path / "theirs.yaml", tmp_path / "out.yaml"
    weight = "[{filter: mlp, value: 0.5}, {value: 1.0}]"  # needs the names of the base's tensors
    theirs.write_text(
        "merge_method: task_arithmetic\nbase_model: acme/base\ntokenizer_source: acme/math\n"
        f"models: [{{model: acme/math, parameters: {{weight: {weight}}}}}]\n"
    )
    places = [f"acme/{name}={zoo_env / name}" for name in ("base", "math")]
    assert dppa("import", theirs, "--out", out, "--model", places[0], "--model", places[1]) == 0
    imported = load_recipe(out)
    assert (imported.base, imported.vocabulary) == (str(zoo_env / "base"), str(zoo_env / "math"))
    assert [model.model for model in imported.models] == [str(zoo_env / "math")]
    wrong = ("import", theirs, "--model", places[0])
    assert dppa(*wrong, "--model", "acme/law=law") == 1
    assert "names no such model, but acme/base, acme/math" in dppa.err
    assert dppa(*wrong, "--model", "acme/math") == 2 and "NAME=FOLDER" in dppa.err


@pytest.mark.parametrize("keyword", ["base", "union"])
def test_a_model_named_as_a_keyword_leaves_the_settings_as_they_are(
    zoo_env: Path, dppa: Command, tmp_path: Path, keyword: str
) -> None:
    theirs, out = tmp_path / "theirs.yaml", tmp_path / "out.yaml"
    theirs.write_text(
        f"merge_method: task_arithmetic\nbase_model: acme/base\ntokenizer_source: {keyword}\n"
        f"models: [{{model: {keyword}, parameters: {{weight: 1.0}}}}]\n"
    )
    place = f"{keyword}={zoo_env / 'math'}"
    assert dppa("import", theirs, "--out", out, "--model", place) == 0
    imported = load_recipe(out)
    assert (imported.vocabulary, imported.chat_template) == (keyword, "auto")
    assert [model.model for model in imported.models] == [str(zoo_env / "math")]
    auto = renamed(replace(imported, base="auto"), {"auto": "zoo:base"})
    assert (auto.base, auto.chat_template) == ("zoo:base", "auto")


def test_warnings_are_on_stderr_and_refusals_in_one_line(
    zoo_env: Path, dppa: Command, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "della")))
    assert dppa("export", recipe, "--mergekit") == 0
    assert dppa.err.count("warning: ") == 2 and "merge_method: della" in dppa.out
    recipe.write_text(dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "pcb")))
    assert dppa("export", recipe, "--mergekit") == 1
    assert dppa.err.startswith("dppa: mergekit has no PCB-Merging")
    recipe.write_text("merge_method: swap\nmodels: [{model: a}]\nbase_model: b\n")
    assert dppa("import", recipe) == 1
    assert "has no counterpart" in dppa.err


def test_the_layers_are_read_from_the_recipe_or_from_any_model_that_is_here(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = "models: [{model: acme/base}, {model: ./tuned}]"
    ranged = "slices: [{sources: [{model: acme/base, layer_range: [0, 3]}, "
    ranged += "{model: ./tuned, layer_range: [0, 3]}]}]"
    for number, models in enumerate((ranged, listed)):
        text = mergekit("slerp", models, "parameters: {t: [0, 1]}").replace(": base", ": acme/base")
        Path("theirs.yaml").write_text(text)
        if number:
            assert dppa("import", "theirs.yaml") == 0 and "{value: [0.0, 1.0]}" in dppa.out
            Path("tuned").mkdir()
            Path("tuned/config.json").write_text(json.dumps({"num_hidden_layers": 3}))
        assert dppa("import", "theirs.yaml", "--out", "out.yaml") == 0
        assert load_recipe("out.yaml").models[0].coefficient == (
            PartCoefficient("layers", {0: 0.0, 1: 0.5, 2: 1.0}),
            PartCoefficient(None, 0.0),
        )


def test_filters_alone_need_no_number_of_layers() -> None:
    rest = "parameters: {t: [{filter: self_attn, value: 0.25}, {value: 0.5}]}"
    imported = read(mergekit("slerp", "models: [{model: a}]", rest))
    assert imported.recipe.models[0].coefficient == (
        PartCoefficient("self_attn", 0.25),
        PartCoefficient(None, 0.5),
    )
    assert "named like those of a Llama" in imported.notes[0]
    assert not read(mergekit("slerp", "models: [{model: a}]", rest), layers=2).notes


def test_the_number_of_layers_is_fetched_from_the_hub_and_nothing_else(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HubServer()
    random_llama(0, Shape(layers=3)).save(tmp_path / "base")
    server.add("acme/base", tmp_path / "base")
    stand_in(server, tmp_path / "cache", monkeypatch)
    rest = "parameters: {weight: 1, density: [0.5, 1.5]}"
    text = mergekit("ties", "models: [{model: acme/a}]", rest)
    (tmp_path / "theirs.yaml").write_text(text.replace("base_model: base", "base_model: acme/base"))
    assert dppa("import", tmp_path / "theirs.yaml") == 0
    server.close()
    assert "{0: 0.5, 1: 1.0, 2: 1.0}" in dppa.out
    assert set(server.files()) == {"config.json"}


@pytest.mark.parametrize(
    "model",
    ["kept:bits() of zoo:math on zoo:base", "zoo:base+packs/math.safetensors", "zoo:near-law"],
)
def test_what_mergekit_cannot_read_is_not_exported(model: str) -> None:
    recipe = MergeRecipe("zoo:base", (DomainModel(model), DomainModel("zoo:law")), "linear")
    with pytest.raises(NoCounterpart, match="no delta pack and nothing that a form keeps.*convert"):
        export_mergekit(recipe)


def test_import_says_what_is_clamped_and_which_embedded_model_there_is_not(
    dppa: Command, tmp_path: Path
) -> None:
    recipe = tmp_path / "theirs.yaml"
    models = "models: [{model: zoo:low}, {model: zoo:law}]\nparameters: {weight: 1, density: 1.7}\n"
    recipe.write_text(f"merge_method: ties\nbase_model: zoo:base\n{models}", "utf-8")
    assert dppa("import", recipe) == 0
    assert "density 1.7 is above 1: nothing is dropped, as in mergekit." in dppa.err
    assert "'zoo:low': no embedded model of that name. Did you mean 'zoo:law'?" in dppa.err
