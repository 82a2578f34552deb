"""Merges of tiny random models of every family, against the slow reference, byte by byte."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.evaluation.examiner import mark
from dppa_core.merging.in_memory.model_pool import IDLE_MERGES, ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.models.generate import stream_reply
from dppa_core.models.overlay import Shell
from dppa_core.models.parameter_views import to_torch, weighs
from dppa_core.models.reply import GenerationSettings
from dppa_core.pruning.module_groups import find_modules, layer_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import items
from tests.helpers.families import FAMILIES, random_model
from tests.helpers.tiny_models import save_tokenizer, to_bytes
from tests.reference import slow

pytestmark = pytest.mark.usefixtures("one_torch_thread")

IDS = torch.arange(8)[None]
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def tune(model: Any, seed: int) -> Any:
    """Change all weights in place, a few a lot; a tied head changes with its embedding."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=draw)
            weight += 0.01 * noise * noise.abs() ** 2
    return model


def save(model: Any, folder: Path, dtype: str, shard: str = "1GB") -> Path:
    model.to(DTYPES[dtype]).save_pretrained(folder, max_shard_size=shard)
    save_tokenizer(folder)
    return folder


@dataclass(frozen=True)
class Family:
    """Folders base, math and law of one family."""

    root: Path
    dtype: str

    def recipe(self, method: str = "dppa", **rest: Any) -> MergeRecipe:
        levels, factors = bands(method)
        models = tuple(
            DomainModel(str(self.root / name), levels, factors, weight)
            for name, weight in WEIGHTS.items()
        )
        dtype = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[self.dtype]
        return MergeRecipe(str(self.root / "base"), models, method, dtype=dtype, **rest)


def bands(method: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Levels and factors."""
    return ((0.0,), (1.0,)) if method == "task_arithmetic" else ((0.9, 0.7), (1.5, 1.0))


WEIGHTS = {"math": 0.7, "law": 0.5}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Saved by transformers; the dtype changes from family to family, every other is sharded."""
    root = tmp_path_factory.mktemp(request.param)
    index = list(FAMILIES).index(request.param)
    dtype, shard = list(DTYPES)[index % 3], ("1GB", "8KB")[index % 2]
    save(random_model(request.param), root / "base", dtype, shard)
    for seed, name in enumerate(WEIGHTS, start=1):
        save(tune(random_model(request.param), seed), root / name, dtype, shard)
    return Family(root, dtype)


@pytest.mark.cases(5)
def test_a_merge_equals_the_slow_reference(family: Family) -> None:
    """Each family by another method; test_every_model.py draws more."""
    method = ["dppa", "magnitude", "task_arithmetic"][len(family.root.name) % 3]
    levels, factors = bands(method)
    treated = [
        slow.Treated(slow.read(family.root / name), levels, factors, weight)
        for name, weight in WEIGHTS.items()
    ]
    strength = 0.08 if method == "dppa" else 0.0
    expected = slow.merge(slow.read(family.root / "base"), treated, strength=strength)
    for backend in ("numba", "torch"):
        merger = open_merger(family.recipe(method), backend=backend)
        assert set(merger.names()) == set(expected.arrays)
        for name in merger.names():
            dtype, shape, raw = merger.tensor(name)
            assert dtype == family.dtype and shape == expected.arrays[name].shape
            assert raw.tobytes() == to_bytes(expected.arrays[name].ravel(), dtype), name


@pytest.mark.cases(4)
def test_base_and_pack_are_the_merge_of_one_model(family: Family, tmp_path: Path) -> None:
    recipe = family.recipe()
    for report, model in zip(pack_models(recipe, tmp_path / "packs"), recipe.models, strict=True):
        merger = open_merger(replace(recipe, models=(model,)))
        restored = open_checkpoint(f"{recipe.base}+{tmp_path / 'packs' / report.file}")
        assert restored.names() == merger.names()
        for name in merger.names():
            assert restored.raw(name).tobytes() == merger.tensor(name)[2].tobytes(), name


@pytest.mark.cases(4)
def test_transformers_loads_the_merge_whole(family: Family, tmp_path: Path) -> None:
    """The pool makes the same model, although some families are fused in memory."""
    models = ModelPool()
    for number, method in enumerate(["dppa", "task_arithmetic", "magnitude"]):
        out = tmp_path / str(number)
        merge_to_folder(family.recipe(method), out, sync=False)
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            out, output_loading_info=True, dtype=torch.float32
        )
        assert not any(info.values()), info
        with models.lend(family.recipe(method)) as ours:
            assert torch.equal(ours.model(IDS).logits, model.eval()(IDS).logits), method
    assert len(models.loaded()) == IDLE_MERGES, "the third was not written over the first"


@pytest.mark.cases(4)
def test_a_merge_in_memory_that_holds_the_bases_tensors_computes_as_the_base(
    family: Family,
) -> None:
    models, base = ModelPool(), open_checkpoint(str(family.root / "base"))
    merged, old = models.get(family.recipe()).model, models.get(str(family.root / "base")).model
    before = merged(IDS).logits
    stored = {n: (base.dtype(n), base.shape(n), base.raw(n)) for n in base.names()}
    weights = {n: to_torch(*tensor) for n, tensor in stored.items() if weighs(n, *tensor[:2])}
    shell = Shell(merged, {n: tuple(value.shape) for n, value in weights.items()})
    with shell.holding(weights):
        assert torch.equal(shell.model(IDS).logits, old(IDS).logits)
        assert torch.equal(merged(IDS).logits, before)
    assert torch.equal(shell.model(IDS).logits, before)


@pytest.mark.cases(1)
@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss"], indirect=True)
def test_a_merged_mixture_of_experts_answers_and_is_scored(family: Family) -> None:
    models, settings = ModelPool(), GenerationSettings(max_new_tokens=4)
    for method in ("dppa", "task_arithmetic", "magnitude"):  # the third in place
        with models.lend(family.recipe(method)) as resident:
            replies = list(stream_reply(resident, "1 + 1", settings))
            assert len(replies) <= 4
            assert len(mark(resident, items("math", "test", 2)).hits) == 2


def test_the_modules_are_those_of_the_reference(family: Family) -> None:
    """Which lists each family's names; all else in a block is a vector."""
    base, weights = SafetensorsCheckpoint(family.root / "base"), slow.read(family.root / "base")
    tensors = [m.tensor for m in find_modules({name: base.shape(name) for name in base.names()})]
    assert tensors == [delta.tensor for delta in slow.deltas(weights, weights)]
    for name in set(base.names()) - set(tensors):
        if layer_of(name) is not None:
            assert len(base.shape(name)) == 1 or name.endswith("_bias"), name


def edit(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a folder."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.fixture
def gpt2(tmp_path: Path) -> Family:
    save(random_model("gpt2"), tmp_path / "base", "BF16")
    for seed, name in enumerate(WEIGHTS, start=1):
        save(tune(random_model("gpt2"), seed), tmp_path / name, "BF16")
    return Family(tmp_path, "BF16")


def merged(recipe: MergeRecipe) -> dict[str, bytes]:
    merger = open_merger(recipe)
    return {name: merger.tensor(name)[2].tobytes() for name in merger.names()}


def test_a_model_saved_without_its_prefix_is_matched(gpt2: Family) -> None:
    whole = merged(gpt2.recipe())
    save(tune(random_model("gpt2"), 1).base_model, gpt2.root / "math", "BF16")
    assert "h.0.mlp.c_fc.weight" in SafetensorsCheckpoint(gpt2.root / "math").names()
    assert merged(gpt2.recipe()) == whole


def test_a_base_saved_without_its_prefix_is_matched(gpt2: Family, tmp_path: Path) -> None:
    """Names begin with `h.`, so ties fall differently; if all are kept, nothing differs."""
    whole = merged(gpt2.recipe("task_arithmetic"))
    save(random_model("gpt2").base_model, gpt2.root / "base", "BF16")
    weights = merged(gpt2.recipe("task_arithmetic"))
    assert {f"transformer.{name}": data for name, data in weights.items()} == whole
    merge_to_folder(gpt2.recipe(), tmp_path / "out")
    _, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(info.values())


def test_a_head_that_was_not_saved_is_missed(tmp_path: Path) -> None:
    save(random_model("llama"), tmp_path / "base", "BF16")
    for seed, name in enumerate(WEIGHTS):
        save(tune(random_model("llama"), seed).base_model, tmp_path / name, "BF16")
    with pytest.raises(IncompatibleCheckpoints, match="lm_head.*saved without its head"):
        open_merger(Family(tmp_path, "BF16").recipe())


MASK = "transformer.h.0.attn.bias"
BUFFERS = {
    MASK: torch.ones(1, 1, 8, 8),
    "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    "transformer.h.0.attn.rotary_emb.inv_freq": torch.rand(4),
}


@pytest.mark.parametrize(
    "sides", [("base",), ("math",), ("base", "math", "law")], ids=["base", "math", "all"]
)
def test_buffers_are_the_bases_whoever_has_them(
    gpt2: Family, sides: tuple[str, ...], tmp_path: Path
) -> None:
    plain = merged(gpt2.recipe())
    for seed, side in enumerate(sides):
        buffers = {name: value + seed for name, value in BUFFERS.items()}
        edit(gpt2.root / side, lambda tensors, more=buffers: tensors.update(more))
    weights = merged(gpt2.recipe())
    kept = BUFFERS if "base" in sides else {}
    assert weights == plain | {name: value.numpy().tobytes() for name, value in kept.items()}
    merge_to_folder(gpt2.recipe(), tmp_path / "out")
    out = SafetensorsCheckpoint(tmp_path / "out")
    assert all(out.dtype(name) == "F32" for name in kept)


HEAD, EMBEDDING = "lm_head.weight", "transformer.wte.weight"


@pytest.mark.parametrize("others", ["keep", "prune"])
@pytest.mark.parametrize("method", ["dppa", "dare"])
def test_a_stored_head_stays_equal_to_the_embedding(gpt2: Family, method: str, others: str) -> None:
    for name in ("base", "math"):  # the third leaves it out
        edit(gpt2.root / name, lambda tensors: tensors.update({HEAD: tensors[EMBEDDING].clone()}))
    models = tuple(
        DomainModel(str(gpt2.root / name), (0.7,), (1.0,), weight)
        for name, weight in WEIGHTS.items()
    )
    weights = merged(
        MergeRecipe(str(gpt2.root / "base"), models, method, {"other_tensors": others})
    )
    assert weights[HEAD] == weights[EMBEDDING]


def test_a_head_of_its_own_is_no_embedding(gpt2: Family) -> None:
    edit(gpt2.root / "law", lambda tensors: tensors.update({HEAD: tensors[EMBEDDING] + 1}))
    with pytest.raises(IncompatibleCheckpoints, match="has a head of its own, the base's is its"):
        open_merger(gpt2.recipe())


@pytest.mark.cases(4)
def test_a_merge_has_as_many_parameters_as_its_base(family: Family) -> None:
    merger = open_merger(family.recipe())
    base = slow.read(family.root / "base")
    sizes = sum(merger.tensor(name)[2].size for name in merger.names())
    assert sizes == sum(array.size for array in base.arrays.values())
