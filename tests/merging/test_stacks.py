"""Merges of stacks: layers of several models as one model of another depth."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.cli.commands.plan import plan_text
from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe
from dppa_core.merging.cards.card import model_card
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.parameter_views import to_torch
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.module_groups import layer_of
from dppa_core.pruning.plan import plan_pruning
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, parse_recipe
from tests.helpers.families import LAYERS, random_model
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer, tuned_llama
from tests.helpers.vocabularies import VOCABULARY_TENSORS, save_words, with_rows

IDS = torch.arange(8)[None]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacks")
    base = random_llama(0, Shape(layers=3))
    base.save(folder / "base")
    tuned_llama(base, 1).save(folder / "math")
    return folder


def passthrough(model: str, coefficient: object = 1.0, base: str = "") -> MergeRecipe:
    domain = DomainModel(model, coefficient=coefficient)  # type: ignore[arg-type]
    return MergeRecipe(base or model, (domain,), "passthrough")


def test_passthrough_is_the_model_bit_by_bit_whatever_the_base(root: Path) -> None:
    text = f"stack:{root}/base[0:2],{root}/math[1:3]"
    other = f"stack:{root}/base[0:2,1:3]"
    for base in (text, other):
        merger, stack = open_merger(passthrough(text, base=base)), open_checkpoint(text)
        assert merger.names() == stack.names()
        for name in merger.names():
            dtype, shape, raw = merger.tensor(name)
            assert (dtype, shape) == (stack.dtype(name), stack.shape(name))
            np.testing.assert_array_equal(raw, stack.raw(name))


def test_a_scale_by_part_multiplies_in_float32_and_rounds_once(root: Path) -> None:
    text = f"stack:{root}/base[0:2],{root}/math[1:3]"
    scale = (PartCoefficient("mlp", {2: 0.0, 3: 0.7}), PartCoefficient(None, 1.0))
    merger, stack = open_merger(passthrough(text, scale)), open_checkpoint(text)
    for name in merger.names():
        factor = {2: 0.0, 3: 0.7}.get(layer_of(name) or 0, 1.0) if ".mlp." in name else 1.0
        wide = to_float32(stack.raw(name), "BF16") * np.float32(factor)
        np.testing.assert_array_equal(merger.tensor(name)[2], from_float32(wide, "BF16"))


def test_passthrough_takes_one_model_and_prunes_nothing(root: Path) -> None:
    models = (DomainModel("zoo:math"), DomainModel("zoo:law"))
    with pytest.raises(InvalidRecipe, match="takes one model as it is, got 2"):
        MergeRecipe("zoo:base", models, "passthrough")
    with pytest.raises(InvalidRecipe, match="no pruning rates"):
        MergeRecipe("zoo:base", (DomainModel("zoo:math", levels=(0.5,)),), "passthrough")


def test_card_and_plan_name_the_source_of_every_layer(root: Path) -> None:
    text = f"stack:{root}/base[0:2],{root}/math[1:3]"
    card = model_card(passthrough(text))
    assert f"`{text}` is a stack of 4 layers: 0–1 from 0–1 of base, 2–3 from 1–2 of math." in card
    profile = cached_profile(f"stack:{root}/base[0:2,1:3]", text)
    rows = plan_text(plan_pruning(profile, (0.5,))).splitlines()
    assert [row.split("  ")[0] for row in rows[2:6] if row] == [
        "0 (base 0)",
        "1 (base 1)",
        "2 (math 1)",
        "3 (math 2)",
    ]


@pytest.mark.parametrize(
    "family",
    [
        "llama",
        "gpt2",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("qwen2", "mistral", "gemma2")),
    ],
)
def test_a_stack_is_a_model_that_transformers_loads_and_the_pool_builds(
    tmp_path: Path, family: str
) -> None:
    key = LAYERS.get(family, "num_hidden_layers")
    kinds = {}
    for seed, name in enumerate(("base", "math")):
        model = random_model(family, **{key: 3})
        draw = torch.Generator().manual_seed(seed)
        for weight in model.parameters():
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
        model.save_pretrained(tmp_path / name)
        save_tokenizer(tmp_path / name)
        kinds[name] = model
    text = f"stack:{tmp_path}/base[0:2],{tmp_path}/math[1:3],{tmp_path}/base[1:2]"
    recipe = parse_recipe(dump_recipe(passthrough(text)))
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config[key] == 5
    if "layer_types" in config:
        before = kinds["base"].config.layer_types
        assert config["layer_types"] == [*before[:2], *before[1:3], before[1]]
    loaded, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True, dtype=torch.float32
    )
    assert not any(report.values()), report
    with torch.no_grad():
        expected = loaded(IDS).logits
        resident = ModelPool().get(recipe).model
        torch.testing.assert_close(resident(IDS).logits, expected)
    stack = open_checkpoint(text)
    state = loaded.state_dict()
    for name in stack.names():
        stored = to_torch(stack.dtype(name), stack.shape(name), stack.raw(name))
        torch.testing.assert_close(state[name], stored, rtol=0, atol=0)


def test_the_head_of_a_stack_follows_the_first_model_s_tokens(tmp_path: Path) -> None:
    words = {"first": ("<unk>", "a", "b"), "last": ("<unk>", "b", "c", "a")}
    for seed, (name, tokens) in enumerate(words.items()):
        shape = Shape(layers=2, hidden=4, intermediate=4, heads=2, kv_heads=1, tied=False)
        draws = np.random.default_rng(seed).normal(size=(2, len(tokens) + 1, 4))
        rows = dict(zip(VOCABULARY_TENSORS, draws.astype(np.float32), strict=True))
        save_words(with_rows(random_llama(seed, shape), rows), tmp_path / name, tokens, ["<x>"])
    text = f"stack:{tmp_path}/first[0:2],{tmp_path}/last[1:2]"
    recipe = replace(passthrough(text), dtype="float32")
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    merged, last = open_checkpoint(str(tmp_path / "out")), open_checkpoint(f"{tmp_path}/last")
    head = last.raw("lm_head.weight").reshape(5, 4)
    expected = head[[0, 3, 1, 4]]  # <unk> a b <x>
    np.testing.assert_array_equal(merged.raw("lm_head.weight").reshape(4, 4), expected)
    assert merged.shape(VOCABULARY_TENSORS[0]) == (4, 4)
    report = preflight_models(text, [text])
    assert not report.blockers
    assert report.facts[0].tensors["lm_head.weight"].shape == (4, 4)
    back = open_checkpoint(f"stack:{tmp_path}/last[0:1],{tmp_path}/first[0:1]")
    assert not back.raw("lm_head.weight").reshape(5, 4)[2].any()  # first lacks c
    (tmp_path / "first" / "tokenizer.json").unlink()
    with pytest.raises(IncompatibleCheckpoints, match="without tokenizer files beside both"):
        open_checkpoint(text)
