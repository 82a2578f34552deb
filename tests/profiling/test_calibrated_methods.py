"""Fisher and RegMean from a recipe to weights, with statistics measured on the embedded models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.calibration.statistics import Kind, Statistics, statistics
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning
from tests.helpers.tiny_models import save_tokenizer
from tests.reference import slow, slow_calibrated
from tests.reference.stacks import stack_of

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
TEXT = Calibration(("math",), tokens=700)


def measured(kind: Kind, model: str) -> Statistics:
    pair = open_checkpoint("zoo:base"), open_checkpoint(model)
    return statistics(kind, *pair, TEXT, label=model)


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_a_merge_is_the_method_on_the_deltas_and_statistics(
    zoo_env: Path, tmp_path: Path, method: str
) -> None:
    """Against the slow reference, on two modules and a norm; always the same bytes."""
    models = (DomainModel("zoo:math", coefficient=0.6), DomainModel("zoo:law", coefficient=0.3))
    recipe = MergeRecipe("zoo:base", models, method, calibration=TEXT, dtype="float32")
    merge_to_folder(recipe, tmp_path / "one", workers=1)
    report = merge_to_folder(recipe, tmp_path / "two", workers=3, backend="torch")
    merged = slow.read(tmp_path / "one").arrays
    for name, values in slow.read(tmp_path / "two").arrays.items():
        np.testing.assert_array_equal(values, merged[name])
    assert report.calibration["zoo:math"] == "questions of math (train split), at most 700 tokens"
    assert not report.warnings and report.densities == (1.0, 1.0)
    kind: Kind = "fisher" if method == "fisher" else "gram"
    measurements = [measured(kind, model.model) for model in models]
    base, *tuned = (slow.read(zoo_env / name).arrays for name in ("base", "math", "law"))
    for part in ("mlp.down_proj", "self_attn.k_proj"):
        name = f"model.layers.0.{part}.weight"
        shape = base[name].shape
        stack = replace(
            stack_of([model[name] - base[name] for model in tuned], (0.6, 0.3), base[name], name),
            statistics=tuple(
                measurement.arrays[name].reshape(shape if kind == "fisher" else (shape[1],) * 2)
                for measurement in measurements
            ),
        )
        if method == "fisher":
            slowly = slow_calibrated.fisher(stack, [item.norm for item in measurements])
        else:
            slowly = slow_calibrated.regmean(stack, 0.9)
        np.testing.assert_allclose(merged[name] - base[name], slowly, rtol=1e-3, atol=1e-6)
    norm = "model.norm.weight"
    if method == "regmean":  # no module: the mean, by coefficients
        mean = (2 * tuned[0][norm] + tuned[1][norm]) / 3
        np.testing.assert_allclose(merged[norm], mean, rtol=1e-6)


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_pruned_deltas_are_weighed_too(method: str) -> None:
    """Significance and method may use one text; elements no model keeps stay the base's."""
    models = tuple(DomainModel(f"zoo:{name}", (0.9,)) for name in ("math", "law"))
    pruning = Pruning("dppa", {"significance": "fisher", "other_tensors": "drop"})
    merger = open_merger(MergeRecipe("zoo:base", models, method, prune=pruning, calibration=TEXT))
    assert len(merger.plan.plans) == 2
    changed = {n: (merger.tensor(n)[2] != merger.base.raw(n)).mean() for n in merger.names()}
    assert changed.pop("model.norm.weight") == changed.pop("model.embed_tokens.weight") == 0
    share = np.mean([value for name, value in changed.items() if "proj" in name])
    # Means change only kept elements; the best outputs need whole rows changed.
    assert 0.1 < share < 0.2 if method == "fisher" else share > 0.2


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_no_coefficient_no_change(tmp_path: Path, method: str) -> None:
    models = (DomainModel("zoo:math", coefficient=0.0),)
    report = merge_to_folder(MergeRecipe("zoo:base", models, method), tmp_path / "out")
    assert any("identical to the base" in warning for warning in report.warnings)


def test_gpt2_is_averaged_by_its_inputs_as_well(tmp_path: Path) -> None:
    """RegMean of one model is that model, also if a weight has a row for each input."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=1, n_head=4, vocab_size=259, n_positions=64, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    for name in ("base", "tuned"):
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / name)
        save_tokenizer(tmp_path / name)
    (tmp_path / "notes.txt").write_text("All the world is a stage, and all the men. " * 9)
    text = Calibration(text=str(tmp_path / "notes.txt"), tokens=300)
    models = (DomainModel(str(tmp_path / "tuned")),)
    recipe = MergeRecipe(
        str(tmp_path / "base"), models, "regmean", calibration=text, dtype="float32"
    )
    merger = open_merger(recipe)
    for name in merger.names():
        if name.endswith(("c_attn.weight", "c_proj.weight")):
            expected = merger.inputs.tuned[0].raw(name)
            np.testing.assert_allclose(merger.tensor(name)[2], expected, rtol=1e-3, atol=1e-4)
