"""Methods that combine deltas, from a recipe to weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import InvalidRecipe, InvalidValue, NonFiniteWeights
from dppa_core.merging.merger import open_merger
from dppa_core.merging.passes import combined_pass
from dppa_core.merging.passes.deltas import PlannedDelta, fix_treatment
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import find_modules
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    Override,
    Pruning,
    dump_recipe,
    parse_recipe,
)
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama
from tests.reference.method_cases import PAIRS
from tests.reference.stacks import merge_model, stack_of

COMBINING = [m.name for m in METHODS if m.combination is not None and not m.combination.statistics]
NAMES = ("math", "finance", "law")
MATH = DomainModel("zoo:math")
BELOW = (PartCoefficient("mlp", {0: 1.0, 1: -1.0}), PartCoefficient(None, 1.0))


def recipe(name: str, *models: str, **rest: object) -> MergeRecipe:
    """A merge of three embedded models, or of two where a method takes no more."""
    references = models or (NAMES[:2] if name in PAIRS else NAMES)
    coefficients = [1.0] * 3 if name in PAIRS else [0.6, 0.3, -0.4]
    domains = tuple(
        DomainModel(f"zoo:{model}", coefficient=coefficient)
        for model, coefficient in zip(references, coefficients, strict=False)
    )
    if name == "emr":
        rest = {"parameters": {"domain": "zoo:math"}} | rest
    return MergeRecipe("zoo:base", domains, name, dtype="float32", **rest)  # type: ignore[arg-type]


def merged(merge: MergeRecipe, backend: str = "numba") -> dict[str, np.ndarray]:
    merger = open_merger(merge, backend=backend)
    tensors = {}
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        tensors[name] = to_float32(raw, dtype).reshape(shape)
    return tensors


def weights(folder: Path) -> dict[str, np.ndarray]:
    checkpoint = SafetensorsCheckpoint(folder)
    return {
        name: to_float32(checkpoint.raw(name), checkpoint.dtype(name)).reshape(
            checkpoint.shape(name)
        )
        for name in checkpoint.names()
    }


@pytest.mark.cases(4)
@pytest.mark.parametrize("name", COMBINING)
def test_a_merge_is_the_method_on_the_deltas(zoo_env: Path, name: str) -> None:
    merge = recipe(name)
    base = weights(zoo_env / "base")
    tuned = [weights(zoo_env / model.model.removeprefix("zoo:")) for model in merge.models]
    stacks = [
        stack_of(
            np.stack([arrays[tensor] - origin for arrays in tuned]).reshape(
                len(tuned), -1, origin.shape[-1]
            ),
            [float(model.coefficient) for model in merge.models],  # type: ignore[arg-type]
            origin.reshape(-1, origin.shape[-1]),
            tensor,
            merge.seed,
            [model.model for model in merge.models],
        )
        for tensor, origin in base.items()
    ]
    combination = get_method(name).combination
    assert combination is not None
    if combination.matrices:
        modules = {m.tensor for m in find_modules({s.name: base[s.name].shape for s in stacks})}
        stacks = [replace(stack, is_matrix=stack.name in modules) for stack in stacks]
    deltas = merge_model(combination, stacks, merge.settings())
    for tensor, values in merged(merge).items():
        expected = base[tensor].ravel() + deltas[tensor].ravel()
        np.testing.assert_allclose(values.ravel(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", COMBINING)
def test_the_same_recipe_gives_the_same_bytes(zoo_env: Path, tmp_path: Path, name: str) -> None:
    merge = replace(recipe(name), dtype="bfloat16")
    report = merge_to_folder(merge, tmp_path / "one")
    assert report.sha256 == merge_to_folder(merge, tmp_path / "two", backend="torch").sha256
    assert not report.warnings


@pytest.mark.parametrize("name", COMBINING)
def test_neither_order_nor_sharding_changes_a_tensor(
    tiny_models: dict[str, TinyLlama], tmp_path: Path, name: str
) -> None:
    whole, parted = [], []
    for model, values in tiny_models.items():
        values.save(tmp_path / "whole" / model)
        values.save(tmp_path / "parted" / model, shards=3)
    merge = recipe(name)
    for root, merges in (("whole", whole), ("parted", parted)):
        # Draws depend on the model's reference, so both folders must have one name.
        link = tmp_path / "zoo"
        link.symlink_to(tmp_path / root)
        models = tuple(
            replace(m, model=str(link / m.model.removeprefix("zoo:"))) for m in merge.models
        )
        settings = dict(merge.parameters)
        if name == "emr":
            settings["domain"] = str(link / "math")
        merger = open_merger(
            replace(merge, base=str(link / "base"), models=models, parameters=settings)
        )
        names = sorted(merger.names(), reverse=root == "parted")
        merges.append({tensor: merger.tensor(tensor)[2].tobytes() for tensor in names})
        link.unlink()
    assert whole == parted


def test_blocks_of_any_size_keep_the_same_elements(
    zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = merged(recipe("ties"))
    monkeypatch.setattr(combined_pass, "BLOCK", 100)
    after = merged(recipe("ties"))
    for tensor, values in before.items():
        np.testing.assert_array_equal(values, after[tensor])


def test_ties_of_one_model_is_magnitude_pruning(zoo_env: Path) -> None:
    """With tensors trimmed one by one, ties in rank included."""
    alone = DomainModel("zoo:math")
    ties = recipe("ties", parameters={"density": 0.25, "ranked_in": "tensor"})
    pruned = MergeRecipe(
        "zoo:base",
        (replace(alone, levels=(0.75,)),),
        "magnitude",
        {"other_tensors": "prune"},
        dtype="float32",
    )
    expected = merged(pruned)
    for tensor, values in merged(replace(ties, models=(alone,))).items():
        np.testing.assert_array_equal(values, expected[tensor])


def test_breadcrumbs_is_magnitude_pruning_whose_core_has_the_factor_zero(zoo_env: Path) -> None:
    models = tuple(DomainModel(f"zoo:{name}", (0.75, 0.5), (0.0, 0.4)) for name in NAMES)
    pruned = MergeRecipe(
        "zoo:base", models, "magnitude", {"other_tensors": "prune"}, dtype="float32"
    )
    settings = {"drop_smallest": 0.5, "drop_largest": 0.25}
    crumbs = recipe("breadcrumbs", parameters=settings)
    crumbs = replace(crumbs, models=tuple(replace(m, coefficient=1.0) for m in crumbs.models))
    expected = merged(pruned)
    for tensor, values in merged(crumbs).items():
        np.testing.assert_allclose(values, expected[tensor], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", COMBINING)
def test_no_coefficient_no_change(zoo_env: Path, tmp_path: Path, name: str) -> None:
    if name == "emr":  # it needs a coefficient that is not 0
        with pytest.raises(InvalidRecipe):
            replace(recipe(name), models=(DomainModel("zoo:math", coefficient=0.0),))
        return
    idle = replace(recipe(name), models=(DomainModel("zoo:math", coefficient=0.0),))
    report = merge_to_folder(idle, tmp_path / "out")
    assert any("identical to the base" in warning for warning in report.warnings)


def test_slerp_stays_at_the_first_of_two_models_where_the_other_has_coefficient_0(
    zoo_env: Path,
) -> None:
    ends = (MATH, DomainModel("zoo:law", coefficient={0: 0.0, 1: 1.0}))
    merge = replace(recipe("slerp"), models=ends, parameters={"position": 1.0})
    math, law = weights(zoo_env / "math"), weights(zoo_env / "law")
    for layer, end in ((0, math), (1, law)):
        name = f"model.layers.{layer}.mlp.up_proj.weight"
        np.testing.assert_allclose(merged(merge)[name], end[name], rtol=1e-6, atol=1e-8)


def test_a_plain_sum_of_nothing_is_zero_and_a_mean_of_nothing_the_base(zoo_env: Path) -> None:
    idle = DomainModel("zoo:math", coefficient={0: 0.0, 1: 0.5})
    merge = replace(recipe("linear"), models=(idle,), parameters={"divide": "nothing"})
    base, first = weights(zoo_env / "base"), "model.layers.0.mlp.up_proj.weight"
    assert not merged(merge)[first].any()
    assert not merged(replace(merge, models=(DomainModel("zoo:math", coefficient=0.0),)))[
        "model.norm.weight"
    ].any()
    np.testing.assert_array_equal(merged(replace(merge, parameters={}))[first], base[first])


def test_coefficients_may_differ_by_layer(zoo_env: Path) -> None:
    merge = recipe("ties", parameters={"divide": "number"})
    models = (DomainModel("zoo:math", coefficient={0: 0.0, 1: 1.0}), merge.models[1])
    with_math, without = (
        merged(replace(merge, models=members)) for members in (models, (merge.models[1],))
    )
    first, second = ("model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight")
    np.testing.assert_array_equal(with_math[first], without[first])
    assert (with_math[second] != without[second]).any()


def test_a_model_has_settings_of_its_own_by_layer(zoo_env: Path) -> None:
    own = {"density": {0: 0.5, 1: 0.125}}
    models = recipe("ties").models[:2]
    merge = recipe("ties", parameters={"density": 0.25, "ranked_in": "tensor"})
    mixed = merged(replace(merge, models=(replace(models[0], parameters=own), models[1])))
    for layer, density in own["density"].items():
        alone = replace(models[0], parameters={"density": density})
        expected = merged(replace(merge, models=(alone, models[1])))
        tensor = f"model.layers.{layer}.mlp.up_proj.weight"
        np.testing.assert_array_equal(mixed[tensor], expected[tensor])
        assert (mixed[tensor] != merged(replace(merge, models=models))[tensor]).any()


def test_settings_of_a_model_are_part_of_its_recipe_and_checked() -> None:
    model = DomainModel(
        "zoo:math", parameters={"density": [{"part": "mlp", "value": 0.1}, {"value": 1}]}
    )
    merge = MergeRecipe("zoo:base", (model,), "ties")
    assert parse_recipe(dump_recipe(merge)) == merge
    assert "parameters: {density: " in dump_recipe(merge).split("method:")[0]
    for own, message in (
        ({"divide": 1.0}, "unknown key 'divide'.*Allowed: density, scale"),
        ({"density": {0: 2.0}}, "density must be a number from 0 to 1, got 2"),
    ):
        with pytest.raises(InvalidRecipe, match=message):
            MergeRecipe("zoo:base", (replace(model, parameters=own),), "ties")


def test_a_domain_that_is_left_out_of_every_layer_is_named(zoo_env: Path) -> None:
    merge = recipe("emr")
    idle = DomainModel("zoo:math", coefficient={0: 0.0, 1: 0.0})
    merger = open_merger(replace(merge, models=(idle, *merge.models[1:])))
    with pytest.raises(InvalidValue, match="'zoo:math' has the coefficient 0 at every layer"):
        merger.tensor("model.norm.weight")
    partly = DomainModel("zoo:math", coefficient={0: 0.0})
    open_merger(replace(merge, models=(partly, *merge.models[1:]))).tensor("model.norm.weight")


def test_pruned_and_amplified_deltas_can_be_combined(zoo_env: Path) -> None:
    """`prune: dppa` and `method: linear` of plain sums is DPPA itself."""
    models = tuple(
        DomainModel(f"zoo:{name}", (0.9, 0.8), (1.6, 1.0), weight)
        for name, weight in zip(NAMES, (0.5, 0.25, 0.25), strict=True)
    )
    alone = MergeRecipe("zoo:base", models, "dppa", dtype="float32")
    staged = replace(alone, method="linear", parameters={}, prune=Pruning("dppa"))
    expected, after = merged(alone), merged(staged)
    for tensor, values in expected.items():
        np.testing.assert_allclose(after[tensor], values, rtol=1e-5, atol=1e-7)
    assert len(open_merger(staged).plan.plans) == 3


@pytest.mark.parametrize("stage", ["dppa", "magnitude", "owl", "dare", "darex_q"])
def test_every_pruning_goes_before_ties(zoo_env: Path, stage: str) -> None:
    models = tuple(DomainModel(f"zoo:{name}", (0.9,)) for name in NAMES)
    pruning = Pruning(stage, {"other_tensors": "drop"})
    settings = {"density": 1.0}
    result = merged(MergeRecipe("zoo:base", models, "ties", settings, prune=pruning))
    base = weights(zoo_env / "base")
    changed = {tensor: float((values != base[tensor]).mean()) for tensor, values in result.items()}
    assert changed["model.norm.weight"] == 0
    for tensor, share in changed.items():
        if "proj" in tensor:
            assert 0 < share < 0.8, tensor


def test_a_survey_works_no_pruning_out_twice(
    zoo_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = []

    def counted(loader: object, delta: PlannedDelta, *rest: object) -> object:
        pairs.append((delta.pair.name, delta.model))
        return fix_treatment(loader, delta, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("dppa_core.merging.merger.fix_treatment", counted)
    models = tuple(DomainModel(f"zoo:{name}", (0.9,)) for name in NAMES)
    merged(MergeRecipe("zoo:base", models, "ties", prune=Pruning("magnitude")))
    assert len(pairs) == len(set(pairs)) == 20 * len(models)


def test_a_pruning_is_part_of_the_recipe() -> None:
    models = (DomainModel("zoo:math", (0.9, 0.8), (1.5, 1.0)),)
    merge = MergeRecipe("zoo:base", models, "ties", prune=Pruning("dppa", {"strength": 0.1}))
    text = dump_recipe(merge)
    assert "prune: {method: dppa, strength: 0.1" in text
    assert parse_recipe(text) == merge
    short = text.replace(text[text.index("prune:") : text.index("method: ties")], "prune: dppa\n")
    assert parse_recipe(short).prune == Pruning("dppa")
    assert "prune" not in dump_recipe(MergeRecipe("zoo:base", models))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prune": Pruning("dppa"), "method": "dare"}, "dppa before dare: only methods that"),
        ({"models": (DomainModel("zoo:math", (0.8,)),)}, "To prune, .* or add `prune: dppa`"),
        ({"method": "emr"}, "emr merges for one domain at a time: domain must name a model"),
        (
            {"method": "slerp", "models": (DomainModel("zoo:math", coefficient=2.5),)},
            "position times coefficient is 1.25;",
        ),
        (
            {"method": "slerp", "models": (DomainModel("zoo:math", coefficient=BELOW),)},
            "is -0.5 in the part mlp in layer 1; slerp stands between",
        ),
        (
            {"method": "slerp", "models": (DomainModel("zoo:law", coefficient=0.5), MATH)},
            "starts at this model, so its coefficient must be 1, got 0.5",
        ),
        (
            {"method": "slerp", "models": (DomainModel("zoo:math"),) * 3},
            "from one model to one other, got 3",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, object], message: str) -> None:
    merge = recipe("ties", parameters={})
    with pytest.raises(InvalidRecipe, match=message):
        replace(merge, **({"parameters": {}} | change))  # type: ignore[arg-type]


def test_only_methods_that_prune_are_prunings() -> None:
    with pytest.raises(
        InvalidRecipe, match="prune must be one of dppa, magnitude, owl, dare, darex_q"
    ):
        Pruning("ties")


def test_overrides_need_rates() -> None:
    overrides = {"layers.0.mlp.up_proj": Override(0.5)}
    with pytest.raises(InvalidRecipe, match="ties has no pruning rates.*add `prune: dppa`"):
        recipe("ties", overrides=overrides)


@pytest.mark.parametrize("name", COMBINING)
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, name: str) -> None:
    """Also if trimming would have removed it."""
    base = random_llama(0, Shape(layers=1))
    tuned = tuned_llama(base, 1)
    tensor = "model.layers.0.mlp.up_proj.weight"
    tuned.arrays[tensor][0, 0] = np.nan
    base.save(tmp_path / "base")
    tuned.save(tmp_path / "tuned")
    model = DomainModel(str(tmp_path / "tuned"))
    settings = {"domain": str(tmp_path / "tuned")} if name == "emr" else {}
    merger = open_merger(MergeRecipe(str(tmp_path / "base"), (model,), name, settings))
    with pytest.raises(NonFiniteWeights, match=r"tuned.*up_proj.weight holds nan"):
        merger.tensor(tensor)


def test_a_sum_too_large_for_the_dtype_is_named(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=1))
    base.arrays["model.norm.weight"][:] = 5e4
    base.save(tmp_path / "base", dtype="F32")
    model = DomainModel(str(tmp_path / "base"), coefficient=2.0)
    merge = MergeRecipe(str(tmp_path / "base"), (model,), "linear", {"divide": "nothing"})
    assert open_merger(merge).tensor("model.norm.weight")[0] == "F32"
    with pytest.raises(NonFiniteWeights, match="reach 100000, F16 holds less"):
        open_merger(replace(merge, dtype="float16")).tensor("model.norm.weight")
