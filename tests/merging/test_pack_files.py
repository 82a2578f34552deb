"""Files of delta packs: those of version 2 stay readable, damaged ones are refused."""

import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dppa_core.checkpoints.adapters.pack_blocks import BLOCK
from dppa_core.checkpoints.adapters.packs import PackCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import SLICE
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.compression import compress
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_pack import pack_models
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.pruning.tie_breaking import drop_cut, drop_seed, mix
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama
from tests.reference import slow_packs as slow

MATH = MergeRecipe(
    "zoo:base", (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), 0.7),), dtype="float16"
)
"""numpy has no bfloat16."""
NORM = "model.layers.0.input_layernorm.weight"
UP = "model.layers.1.mlp.up_proj.weight"
DELTA = f"delta/{UP}"


def packed(recipe: MergeRecipe, out: Path) -> str:
    """The reference of a recipe's pack."""
    report = pack_models(recipe, out, sync=False)[0]
    return f"{recipe.base}+{out / report.file}"


def read(reference: str) -> Checkpoint:
    """A checkpoint of which every tensor was read."""
    checkpoint = open_checkpoint(reference)
    for name in checkpoint.names():
        checkpoint.raw(name)
    return checkpoint


def assert_same(recipe: MergeRecipe, reference: str) -> None:
    merger, restored = open_merger(recipe), open_checkpoint(reference)
    for name in merger.names():
        assert restored.raw(name).tobytes() == merger.tensor(name)[2].tobytes(), name


def as_version_2(path: Path, recipe: MergeRecipe) -> None:
    """Write the pack of a recipe's one model as version 2: masks and values."""
    merger, header, parts = open_merger(recipe), open_file(path).metadata, {}
    for name in merger.names():
        base, merged = merger.base.raw(name), merger.tensor(name)[2]
        assert merger.base.dtype(name) == DTYPE_CODES[recipe.dtype]
        differs = base.view(np.uint16) != merged.view(np.uint16)
        if differs.any():
            parts[f"mask/{name}"] = "U8", np.packbits(differs, bitorder="little")
            parts[f"values/{name}"] = DTYPE_CODES[recipe.dtype], merged[differs]
    path.unlink()
    specs = [TensorSpec(name, dtype, raw.shape) for name, (dtype, raw) in parts.items()]
    with closing(SafetensorsWriter(path, specs, {**header, "version": "2"})) as writer:
        for name, (_, raw) in parts.items():
            writer.place(name, raw)
        writer.finish()


def test_a_pack_of_version_2_stays_readable(zoo_env: Path, tmp_path: Path) -> None:
    recipe = replace(MATH, dtype="bfloat16")
    reference = packed(recipe, tmp_path / "packs")
    before = (tmp_path / "packs" / "math.safetensors").stat().st_size
    as_version_2(tmp_path / "packs" / "math.safetensors", recipe)
    old = open_checkpoint(reference)
    assert isinstance(old, PackCheckpoint) and old.header.base == "zoo:base"
    assert_same(recipe, reference)
    assert before < (tmp_path / "packs" / "math.safetensors").stat().st_size


def test_a_slice_of_a_merge_is_whole_blocks() -> None:
    assert SLICE % BLOCK == 0


@pytest.mark.parametrize("method, rate", [("dare", 0.9), ("magnitude", 0.9), ("magnitude", 0.3)])
def test_a_reader_written_from_the_page_alone_reads_packs(
    tmp_path: Path, method: str, rate: float
) -> None:
    base = random_llama(0, Shape(layers=1, hidden=64))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    model = DomainModel(str(tmp_path / "math"), (rate,), coefficient=0.9)
    recipe = MergeRecipe(str(tmp_path / "base"), (model,), method, seed=3)
    packed(recipe, tmp_path / "packs")
    file, merger = open_file(tmp_path / "packs" / "math.safetensors"), open_merger(recipe)
    for entry in file.tensors:
        name, raw = entry.removeprefix("delta/"), file.raw(entry).tobytes()
        merged = slow.read_tensor(raw, merger.base.raw(name).tolist())
        assert merged == merger.tensor(name)[2].tolist(), name
        if method == "dare":
            seed = slow.seed_of(name, str(tmp_path / "math"), 3)
            assert struct.unpack_from("<QQ", raw, 4) == (seed, round((1 - rate) * 2**64))
    assert len(file.tensors) > 5


def test_the_documented_draw_gives_the_documented_places() -> None:
    """The example of docs/pack-format.md."""
    name = "model.layers.0.mlp.up_proj.weight"
    seed, cut = drop_seed(name, "zoo:math", 0), drop_cut(0.9)
    draws = mix(np.arange(40, dtype=np.uint64), seed)
    page = (Path(__file__).parents[2] / "docs/pack-format.md").read_text("utf-8")
    places = np.flatnonzero(draws < np.uint64(cut)).tolist()
    for number in (seed, cut, int(draws[0]), int(draws[1])):
        assert f"`{number}`" in page, number
    assert f"places {', '.join(map(str, places[:-1]))} and {places[-1]}" in page, places


def edit(path: Path, change: Callable[[dict[str, Any], dict[str, str]], object]) -> None:
    """Change the tensors or the header texts of a pack, with the official library."""
    tensors, metadata = load_file(path), dict(open_file(path).metadata)
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def with_values(raw: np.ndarray, values: bytes) -> np.ndarray:
    """An entry of one block with other values."""
    draw, places, weight = raw[4:20].tobytes(), raw[20:24].tobytes(), raw[28:32].tobytes()
    head = draw + places + struct.pack("<I", len(values)) + weight
    kept = raw[32 : 32 + struct.unpack("<I", places)[0]].tobytes()
    return np.frombuffer(struct.pack("<I", zlib.crc32(head)) + head + kept + values, np.uint8)


def flipped(raw: np.ndarray, at: int) -> np.ndarray:
    """An entry with one byte changed."""
    raw = raw.copy()
    raw[at] ^= 0x55
    return raw


DAMAGE: dict[str, tuple[Callable[[dict[str, Any], dict[str, str]], object], str]] = {
    "a byte less": (
        lambda t, m: t.update({DELTA: t[DELTA][:-1]}),
        r"up_proj.weight of shape \(48, 32\) has \d+ bytes, its blocks need \d+",
    ),
    "a byte more": (
        lambda t, m: t.update({DELTA: np.append(t[DELTA], np.uint8(0))}), "its blocks need"
    ),
    "half a head": (lambda t, m: t.update({DELTA: t[DELTA][:20]}), "does not begin with the sizes"),
    "nothing": (lambda t, m: t.update({DELTA: t[DELTA][:0]}), "does not begin with the sizes"),
    "another size": (lambda t, m: t.update({DELTA: flipped(t[DELTA], 20)}), "begin with the sizes"),
    "another draw": (
        lambda t, m: t.update({DELTA: flipped(t[DELTA], 5)}), "sizes of the blocks of 1536 weights"
    ),
    "another place": (lambda t, m: t.update({DELTA: flipped(t[DELTA], 50)}), "up_proj.weight: "),
    "another value": (lambda t, m: t.update({DELTA: flipped(t[DELTA], -9)}), "up_proj.weight: "),
    "a value less": (
        lambda t, m: t.update({DELTA: with_values(t[DELTA], compress(bytes(2)))}),
        r"up_proj.weight: 1 values, \d+ places",
    ),
    "a bomb": (
        lambda t, m: t.update({DELTA: with_values(t[DELTA], compress(bytes(1 << 26)))}),
        r"up_proj.weight: .* holds 67108864 bytes, at most \d+ fit",
    ),
    "another tensor": (
        lambda t, m: t.update(more=t[DELTA]), "more of dtype U8.*; a pack holds lists of U8"
    ),
    "a tensor the base has not": (
        lambda t, m: t.update({"delta/lm_head.weight": t[DELTA]}),
        "lm_head.weight, which is not a weight of base",
    ),
    "another shape": (lambda t, m: t.update({DELTA: t[DELTA][None]}), "a pack holds lists of U8"),
    "another dtype of entries": (
        lambda t, m: t.update({DELTA: t[DELTA].astype(np.int8)}), "a pack holds lists of U8"
    ),
    "another dtype": (lambda t, m: m.update(dtype="F32"), r"\d+ values, \d+ places"),
    "an unknown dtype": (lambda t, m: m.update(dtype="F4"), "lacks dtype 'F4'"),
    "a newer version": (
        lambda t, m: m.update(version="4"), "of version '4'; readable are 2 and 3"
    ),
    "an older version": (lambda t, m: m.update(version="2"), "has no counterpart"),
    "no base": (lambda t, m: m.pop("base_hash"), "lacks base_hash"),
    "whole weights": (lambda t, m: m.update(format="pt"), "not a delta pack"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_pack_is_refused_in_one_line(zoo_env: Path, tmp_path: Path, kind: str) -> None:
    reference = packed(MATH, tmp_path / "packs")
    change, message = DAMAGE[kind]
    edit(tmp_path / "packs" / "math.safetensors", change)
    with pytest.raises(DamagedCheckpoint, match=f"math.safetensors: .*{message}"):
        read(reference)


def test_no_byte_of_an_entry_changes_unnoticed(zoo_env: Path, tmp_path: Path) -> None:
    reference, path = packed(MATH, tmp_path / "packs"), tmp_path / "packs" / "math.safetensors"
    whole = path.read_bytes()
    expected = open_checkpoint(reference).raw(UP).tobytes()
    info = open_file(path).tensors[DELTA]
    for at in range(info.start, info.start + info.size, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:  # a bit of a frame's header may be without meaning
            assert open_checkpoint(reference).raw(UP).tobytes() == expected, at - info.start
        except DamagedCheckpoint:
            continue


OLD_DAMAGE: dict[str, tuple[Callable[[dict[str, Any], dict[str, str]], object], str]] = {
    "a value less": (
        lambda t, m: t.update({f"values/{UP}": t[f"values/{UP}"][:-1]}),
        r"the mask of .*up_proj.weight marks \d+ weights, the file holds \d+",
    ),
    "a bit more": (
        lambda t, m: t.update({f"mask/{UP}": t[f"mask/{UP}"] | np.uint8(1)}),
        "marks",
    ),
    "no mask": (lambda t, m: t.pop(f"mask/{UP}"), f"(values|mask)/{UP} has no counterpart"),
    "no values": (lambda t, m: t.pop(f"values/{UP}"), f"values/{UP} has no counterpart"),
    "another tensor": (lambda t, m: t.update(more=t[f"mask/{UP}"]), "more has no counterpart"),
    "a mask too long": (
        lambda t, m: t.update({f"mask/{UP}": np.append(t[f"mask/{UP}"], np.uint8(0))}),
        r"has 193 bytes, its shape \(48, 32\) in the base needs 192",
    ),
    "a tensor the base has not": (
        lambda t, m: t.update(
            {"mask/lm_head.weight": t[f"mask/{UP}"], "values/lm_head.weight": t[f"values/{UP}"]}
        ),
        "lm_head.weight, which is not a weight of base",
    ),
    "another shape": (
        lambda t, m: t.update({f"mask/{UP}": t[f"mask/{UP}"][None]}), "must be lists"
    ),
    "another dtype": (lambda t, m: m.update(dtype="F32"), "must be lists of U8 and F32"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OLD_DAMAGE)
def test_a_damaged_pack_of_version_2_is_refused(tmp_path: Path, kind: str) -> None:
    base = random_llama(0, Shape())
    base.save(tmp_path / "base", dtype="F16")
    tuned_llama(base, 1).save(tmp_path / "math", dtype="F16")
    model = replace(MATH.models[0], model=str(tmp_path / "math"))
    recipe = replace(MATH, base=str(tmp_path / "base"), models=(model,))
    reference = packed(recipe, tmp_path / "packs")
    as_version_2(tmp_path / "packs" / "math.safetensors", recipe)
    change, message = OLD_DAMAGE[kind]
    edit(tmp_path / "packs" / "math.safetensors", change)
    with pytest.raises(DamagedCheckpoint, match=message):
        read(reference)


def test_a_mask_ends_with_its_tensor(tmp_path: Path) -> None:
    base = random_llama(0, Shape(hidden=12, heads=2, kv_heads=1))
    base.save(tmp_path / "base", dtype="F16")
    tuned_llama(base, 1).save(tmp_path / "math", dtype="F16")
    model = DomainModel(str(tmp_path / "math"))
    recipe = MergeRecipe(str(tmp_path / "base"), (model,), dtype="float16")
    reference = packed(recipe, tmp_path / "packs")
    as_version_2(tmp_path / "packs" / "math.safetensors", recipe)

    def beyond(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
        mask = tensors[f"mask/{NORM}"]
        inside = int(np.flatnonzero(np.unpackbits(mask[-1:], bitorder="little"))[0])
        mask[-1] ^= (1 << inside) | 0b10000  # one inside less, one beyond more

    edit(tmp_path / "packs" / "math.safetensors", beyond)
    with pytest.raises(DamagedCheckpoint, match="marks weights beyond its 12"):
        open_checkpoint(reference)
