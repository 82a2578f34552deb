"""Any readable model becomes a folder of safetensors with the same weights."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dppa_core.checkpoints.checkpoint import FolderCheckpoint, SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import Cancelled, InvalidValue, NonFiniteWeights, NotAllowed
from dppa_core.merging.convert import convert_to_folder
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.pruning.floats import from_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.pickles import save_pickled, state_of, write_pickles
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

BASE = random_llama(0)
QUERY = "model.layers.0.self_attn.q_proj.weight"
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("limit", [5 * 10**9, 20_000])
def test_weights_configuration_and_tokenizer_are_the_same(
    tmp_path: Path, dtype: str, limit: int
) -> None:
    folder = save_pickled(BASE, tmp_path / "bin", dtype, shards=2)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    conversion = convert_to_folder(str(folder), tmp_path / "out", shard_size=limit, sync=False)
    before, after = FolderCheckpoint(folder), SafetensorsCheckpoint(tmp_path / "out")
    assert before.names() == after.names()
    for name in before.names():
        assert before.dtype(name) == after.dtype(name) == dtype
        np.testing.assert_array_equal(before.raw(name), after.raw(name))
    assert after.config == before.config
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (folder / file).read_bytes() == (tmp_path / "out" / file).read_bytes()
    assert (len(conversion.files) > 1) == (limit < 10**9)
    assert conversion.dtypes == (dtype,)
    assert conversion.read_from == tuple(f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: mit" in card and f"`{folder}`" in card
    assert all(sha256 in card for sha256 in conversion.files.values())


def test_another_dtype_is_rounded_to_nearest_even_and_named(tmp_path: Path) -> None:
    folder = save_pickled(BASE, tmp_path / "bin", "F32")
    inv_freq = torch.tensor([1.0, 0.1])
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": inv_freq}
    extra["model.steps"] = torch.tensor([3])
    write_pickles(folder, {**state_of(BASE, "F32"), **extra})
    convert_to_folder(str(folder), tmp_path / "out", dtype="bfloat16", sync=False)
    after = SafetensorsCheckpoint(tmp_path / "out")
    for name, array in BASE.arrays.items():
        assert after.dtype(name) == "BF16"
        np.testing.assert_array_equal(after.raw(name), from_float32(array.ravel(), "BF16"))
    for name, tensor in extra.items():  # computed from the configuration, or a counter
        np.testing.assert_array_equal(after.raw(name), tensor.numpy())
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_head_tied_to_the_embedding_is_written_once(tmp_path: Path) -> None:
    folder = save_pickled(BASE, tmp_path / "bin")
    state = state_of(BASE)
    write_pickles(folder, {**state, HEAD: state[EMBEDDING]})
    conversion = convert_to_folder(str(folder), tmp_path / "out", sync=False)
    assert HEAD not in SafetensorsCheckpoint(tmp_path / "out").names()
    assert conversion.parameters == sum(array.size for array in BASE.arrays.values())
    assert conversion.notes == (f"{HEAD} is {EMBEDDING}, and written once.",)


def test_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    untied = random_llama(0, Shape(tied=False))
    folder = save_pickled(untied, tmp_path / "bin")
    convert_to_folder(str(folder), tmp_path / "out", sync=False)
    assert HEAD in SafetensorsCheckpoint(tmp_path / "out").names()


def test_transformers_loads_what_was_converted(tmp_path: Path, one_torch_thread: None) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415  (heavy)

    folder = save_pickled(BASE, tmp_path / "bin", "F32")
    convert_to_folder(str(folder), tmp_path / "out", sync=False)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), BASE.arrays[name])


def test_a_weight_too_large_for_float16_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    folder = save_pickled(BASE, tmp_path / "bin", "F32")
    state = state_of(BASE, "F32")
    state["model.norm.weight"][3] = 70000.0
    write_pickles(folder, state)
    with pytest.raises(NonFiniteWeights, match="model.norm.weight: a weight of 70000 does not fit"):
        convert_to_folder(str(folder), tmp_path / "out", dtype="float16", sync=False)
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}


def test_a_stopped_conversion_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        convert_to_folder(
            str(save_pickled(BASE, tmp_path / "bin")), tmp_path / "out", sync=False, stop=stop
        )
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}


def test_bad_requests(tmp_path: Path) -> None:
    folder = str(save_pickled(BASE, tmp_path / "bin"))
    with pytest.raises(InvalidValue, match="dtype must be one of bfloat16.*got 'int8'"):
        convert_to_folder(folder, tmp_path / "out", dtype="int8")
    with pytest.raises(InvalidValue, match="already exists"):
        convert_to_folder(folder, folder)
    with pytest.raises(NotAllowed, match="pytorch_model.bin, which no merge writes"):
        convert_to_folder(folder, folder, overwrite=True)
    plain = str(BASE.save(tmp_path / "plain"))
    with pytest.raises(NotAllowed, match="one of the models"):
        convert_to_folder(plain, plain, overwrite=True)


def test_the_command_says_what_it_wrote(dppa: Command, tmp_path: Path) -> None:
    folder = save_pickled(tuned_llama(BASE, 1), tmp_path / "bin")
    assert dppa("convert", folder, "--out", tmp_path / "out", "--no-sync", "--json") == 0
    assert dppa.json["dtypes"] == ["BF16"] and dppa.json["read_from"] == ["pytorch_model.bin"]
    assert dppa("convert", folder, "--out", tmp_path / "out", "--overwrite", "--no-sync") == 0
    assert "20 tensors" in dppa.out and "as BF16" in dppa.out
    recipe = MergeRecipe("zoo:base", (DomainModel(str(tmp_path / "out"), (0.8,)),))
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    assert dppa("merge", tmp_path / "recipe.yaml", "--out", tmp_path / "merged", "--no-sync") == 0
    assert dppa("convert", folder, "--out", tmp_path / "out") == 1
    assert dppa.err.startswith("dppa: ") and dppa.err.count("\n") == 1


def test_a_base_with_an_adapter_becomes_one_model_in_the_dtype_of_the_base(
    zoo_env: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    from safetensors.torch import save_file  # noqa: PLC0415  (only here)

    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    parts = {f"{stem}.lora_A.weight": torch.ones(2, 32), f"{stem}.lora_B.weight": torch.ones(32, 2)}
    save_file(parts, adapter / "adapter_model.safetensors")
    reference = f"zoo:base+{adapter}"
    convert_to_folder(reference, tmp_path / "out", sync=False)
    sum_, after = open_checkpoint(reference), SafetensorsCheckpoint(tmp_path / "out")
    assert (sum_.dtype(QUERY), after.dtype(QUERY)) == ("F32", "BF16")
    np.testing.assert_array_equal(after.raw(QUERY), from_float32(sum_.raw(QUERY), "BF16"))


def test_a_form_becomes_a_model_in_the_dtype_of_the_base(zoo_env: Path, tmp_path: Path) -> None:
    kept = "kept:low_rank(rank=2) of zoo:math on zoo:base"
    recipe = MergeRecipe("zoo:base", (DomainModel(kept),), method="task_arithmetic")
    (pack,) = pack_models(recipe, tmp_path / "packs", sync=False)
    merge_to_folder(recipe, tmp_path / "merged", sync=False)
    merged = SafetensorsCheckpoint(tmp_path / "merged")
    for n, reference in enumerate((kept, f"zoo:base+{tmp_path / 'packs' / pack.file}")):
        converted = convert_to_folder(reference, tmp_path / str(n), sync=False)
        assert converted.dtypes == ("BF16",)
        after = SafetensorsCheckpoint(tmp_path / str(n))
        for name in after.names():
            np.testing.assert_array_equal(after.raw(name), merged.raw(name))
    convert_to_folder(kept, tmp_path / "wide", dtype="float32", sync=False)
    wide, whole = SafetensorsCheckpoint(tmp_path / "wide"), open_checkpoint(kept)
    np.testing.assert_array_equal(wide.raw(QUERY), whole.raw(QUERY))
