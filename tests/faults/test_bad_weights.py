"""Weights that are missing, cut short, damaged, unlike, or not finite: one clear error each."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.errors import (
    CheckpointError,
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    NonFiniteWeights,
)
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_delta
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama

UP = "model.layers.1.mlp.up_proj.weight"
K, V = (f"model.layers.0.self_attn.{kind}_proj.weight" for kind in "kv")
EMBEDDING = "model.embed_tokens.weight"
BASE = random_llama(0)
MATH = tuned_llama(BASE, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    BASE.save(tmp_path / "base")
    MATH.save(tmp_path / "math")
    return tmp_path


def recipe(root: Path, method: str = "dppa", dtype: str = "bfloat16") -> MergeRecipe:
    levels = (0.0,) if method == "task_arithmetic" else (0.5,)
    model = DomainModel(str(root / "math"), levels)
    return MergeRecipe(str(root / "base"), (model,), method, dtype=dtype)


def fails(root: Path, error: type[CheckpointError], message: str, **rest: str) -> None:
    """The merge fails with one clear line, and nothing is left behind."""
    before = sorted(path.name for path in root.iterdir())
    with pytest.raises(error, match=message) as caught:
        merge_to_folder(recipe(root, **rest), root / "out")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in root.iterdir()) == before


def weights(root: Path) -> Path:
    return root / "math" / "model.safetensors"


def rewrite_header(path: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_a_missing_file(root: Path) -> None:
    weights(root).unlink()
    fails(root, MissingCheckpoint, "neither model.safetensors nor.*holds no weights.*interrupted")


def test_weights_in_another_format(root: Path) -> None:
    weights(root).rename(root / "math" / "model.bin")
    fails(root, MissingCheckpoint, "it holds model.bin")


def test_a_folder_that_is_no_checkpoint(root: Path) -> None:
    (root / "math" / "config.json").unlink()
    fails(root, MissingCheckpoint, "no config.json, so this is not a checkpoint folder")


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_config_that_is_none(root: Path, text: str) -> None:
    (root / "math" / "config.json").write_bytes(text.encode("latin-1"))
    fails(root, DamagedCheckpoint, "config.json")


@pytest.mark.parametrize("length", [0, 4, 8, 100, 3000, -1])
def test_a_truncated_file(root: Path, length: int) -> None:
    data = weights(root).read_bytes()
    weights(root).write_bytes(data[:length])
    fails(root, DamagedCheckpoint, "math/model.safetensors.*interrupted download")


def test_a_git_lfs_pointer(root: Path) -> None:
    weights(root).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    fails(root, DamagedCheckpoint, "Git LFS pointer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h[UP].update(shape=[1, 2]), r"up_proj.weight of shape \(1, 2\)"),
        (lambda h: h[UP].update(data_offsets=[0, 10**9]), "up_proj"),
        (lambda h: h[UP].update(data_offsets=[-8, 8]), "up_proj"),
        (lambda h: h[UP].update(data_offsets=h[EMBEDDING]["data_offsets"]), "up_proj"),
        (lambda h: h[V].update(data_offsets=h[K]["data_offsets"]), "inside the tensor before it"),
        (lambda h: h[UP].pop("dtype"), "header entry of.*up_proj.*malformed"),
        (lambda h: h[UP].update(shape="wide"), "malformed"),
        (lambda h: h.update({UP: 7}), "malformed"),
    ],
)
def test_a_damaged_header(root: Path, change: Callable[[dict], object], message: str) -> None:  # type: ignore[type-arg]
    rewrite_header(weights(root), change)
    fails(root, DamagedCheckpoint, message)


def test_quantised_weights(root: Path) -> None:
    rewrite_header(weights(root), lambda h: h[UP].update(dtype="I16"))
    fails(root, IncompatibleCheckpoints, "dtype BF16 in the base, I16 in.*quantised")
    rewrite_header(weights(root), lambda h: h[UP].update(dtype="U16"))
    fails(root, DamagedCheckpoint, "dtype BF16 in the base, U16 in.*quantised")


def test_a_quantised_model_says_why_and_what_to_use(root: Path) -> None:
    config = json.loads((root / "math" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "hqq", "bits": 4}
    (root / "math" / "config.json").write_text(json.dumps(config))
    reason = r"HQQ, 4 bits\).*no exact delta. Use the model it was made from"
    fails(root, IncompatibleCheckpoints, reason)


def test_packed_tensors_without_a_word_in_the_configuration(root: Path) -> None:
    name = UP.replace("weight", "qweight")
    rewrite_header(weights(root), lambda h: h.update({name: {**h.pop(UP), "dtype": "I16"}}))
    fails(root, IncompatibleCheckpoints, "quantised: it holds .*, as GPTQ or AWQ writes it")


def test_a_folder_of_gguf_files(root: Path) -> None:
    weights(root).rename(root / "math" / "math.Q4_K_M.gguf")
    fails(root, IncompatibleCheckpoints, r"holds math.Q4_K_M.gguf, weights of llama.cpp. .*-GGUF")
    (root / "math" / "config.json").unlink()
    fails(root, IncompatibleCheckpoints, "holds math.Q4_K_M.gguf")


def test_a_missing_shard(root: Path) -> None:
    weights(root).unlink()
    MATH.save(root / "math", shards=3)
    (root / "math" / "model-00002-of-00003.safetensors").unlink()
    fails(root, MissingCheckpoint, "00002-of-00003.safetensors: no such file.*never downloaded")


def test_another_size_of_model(root: Path) -> None:
    random_llama(1, Shape(hidden=64)).save(root / "math")
    fails(root, IncompatibleCheckpoints, r"the base has shape \(259, 32\).*\(259, 64\)")


def test_a_vocabulary_padded_otherwise_is_merged_and_said(root: Path) -> None:
    random_llama(1, Shape(vocab=260)).save(root / "math")
    report = merge_to_folder(recipe(root), root / "out")
    assert "the same tokens in 260 rows, not 259" in " ".join(report.warnings)


def test_rows_of_unknown_tokens(root: Path) -> None:
    random_llama(1, Shape(vocab=260)).save(root / "math")
    (root / "math" / "tokenizer.json").unlink()
    fails(root, IncompatibleCheckpoints, "rows cannot be matched by token")


@pytest.mark.parametrize(("layers", "message"), [(1, "the base has it"), (3, "the base does not")])
def test_another_number_of_layers(root: Path, layers: int, message: str) -> None:
    random_llama(1, Shape(layers=layers)).save(root / "math")
    fails(root, IncompatibleCheckpoints, message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tensor", [UP, EMBEDDING])
@pytest.mark.parametrize("side", ["base", "math"])
@pytest.mark.parametrize("method", ["dppa", "magnitude", "dare", "task_arithmetic"])
def test_a_weight_that_is_not_finite(
    root: Path, side: str, tensor: str, value: float, method: str
) -> None:
    model = BASE if side == "base" else MATH
    arrays = {**model.arrays, tensor: model.arrays[tensor].copy()}
    arrays[tensor][3, 5] = value
    TinyLlama(model.shape, arrays).save(root / side)
    spot = 3 * arrays[tensor].shape[1] + 5
    fails(root, NonFiniteWeights, f"{tensor} holds {value} at element {spot}", method=method)


def test_a_profile_names_what_is_not_finite(root: Path) -> None:
    arrays = {**MATH.arrays, UP: MATH.arrays[UP] * np.float32(np.nan)}
    TinyLlama(MATH.shape, arrays).save(root / "math")
    pair = SafetensorsCheckpoint(root / "base"), SafetensorsCheckpoint(root / "math")
    with pytest.raises(NonFiniteWeights, match="fine: .*up_proj.weight holds nan at element 0"):
        profile_delta(*pair, names=("base", "fine"))


def test_a_sum_too_large_for_float16(root: Path) -> None:
    arrays = {**MATH.arrays, UP: MATH.arrays[UP] + np.float32(1e5)}
    TinyLlama(MATH.shape, arrays).save(root / "math")
    fails(
        root, NonFiniteWeights, "up_proj.*reach 99840, F16 holds less than 65520", dtype="float16"
    )
    merge_to_folder(recipe(root), root / "out")


def test_a_delta_too_large_for_float32(root: Path) -> None:
    for name, value in (("base", -3e38), ("math", 3e38)):
        arrays = {**BASE.arrays, UP: np.full_like(BASE.arrays[UP], value)}
        TinyLlama(BASE.shape, arrays).save(root / name, dtype="F32")
    fails(root, NonFiniteWeights, "too large for float32")


def test_a_head_tied_in_one_and_stored_in_the_other(tmp_path: Path) -> None:
    tied = random_llama(0)
    untied = random_llama(0, Shape(tied=False))
    tied.save(tmp_path / "tied")
    untied.save(tmp_path / "untied")
    copy = {**tied.arrays, "lm_head.weight": tied.arrays[EMBEDDING]}
    TinyLlama(Shape(tied=False), copy).save(tmp_path / "copy")
    opened = {n: SafetensorsCheckpoint(tmp_path / n) for n in ("tied", "untied", "copy")}
    assert match_tensors(opened["untied"], opened["tied"])["lm_head.weight"] == EMBEDDING
    assert "lm_head.weight" not in match_tensors(opened["tied"], opened["copy"])
    with pytest.raises(IncompatibleCheckpoints, match="lm_head.weight"):
        match_tensors(opened["tied"], opened["untied"])


def test_a_file_that_changes_under_a_merge_is_noticed(root: Path) -> None:
    """Deltas full of ties, so that the merge looks for them again."""
    step = {n: BASE.arrays[n] + np.float32(0.5) for n in BASE.arrays}
    TinyLlama(BASE.shape, step).save(root / "math")
    merger = open_merger(recipe(root))
    data = weights(root).read_bytes()
    with weights(root).open("r+b") as file:
        file.write((root / "base" / "model.safetensors").read_bytes()[: len(data)])
    with pytest.raises(DamagedCheckpoint, match="changed while it was read"):
        for name in merger.names():
            merger.tensor(name)
