"""A file of what a form keeps: on its base it is that model, and damage is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.adapters.kept_pack import KeptHeader, KeptPackCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.sources.references import kept_delta
from dppa_core.errors import DamagedCheckpoint, DppaError, IncompatibleCheckpoints
from dppa_core.evaluation.form_sizes import form_sizes
from dppa_core.forms.store import Store, parse_store_text
from dppa_core.merging.differences.kept import write_kept_pack
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.recipes.yaml_text import parse_recipe
from tests.helpers.tiny_models import random_llama, tuned_llama, write_file

STORES = (
    "low_rank(rank=3)",
    "bits(bits=2,block=block)",
    "drawn(rate=0.9)",
    "sparse(rate=0.9,bits=8)+others(keep)",
    "sparse(rate=0.95,strength=0.08)",
    "low_rank(rank=2)+bits(bits=1)+others(drop)",
)


def store_of(reference: str) -> Store:
    kept = kept_delta(reference)
    assert kept is not None
    return parse_store_text(kept.store)


def kept_model(folder: Path, store: str) -> KeptCheckpoint:
    base = random_llama(0)
    models = base.save(folder / "base"), tuned_llama(base, 1).save(folder / "tuned")
    root, tuned = map(SafetensorsCheckpoint, models)
    return KeptCheckpoint(root, tuned, parse_store_text(store), "zoo:math")


def write(kept: KeptCheckpoint, path: Path, workers: int = 1) -> Path:
    base = SafetensorsCheckpoint(path.parent / "base")
    header = KeptHeader("base", known_fingerprint(base), str(kept.store), "zoo:math", "mit")
    write_kept_pack(kept, header, path, workers, {})
    return path


@pytest.mark.parametrize("store", STORES)
def test_base_and_file_are_the_model_that_the_form_keeps(store: str, tmp_path: Path) -> None:
    kept = kept_model(tmp_path, store)
    path = write(kept, tmp_path / "one.safetensors")
    read = KeptPackCheckpoint(SafetensorsCheckpoint(tmp_path / "base"), path)
    assert read.names() == kept.names()
    for name in kept.names():
        assert read.dtype(name) == kept.dtype(name)
        assert np.array_equal(read.raw(name).view(np.uint8), kept.raw(name).view(np.uint8)), name
    assert write(kept, tmp_path / "three.safetensors", 3).read_bytes() == path.read_bytes()
    nbytes = sum(info.size for info in open_file(path).tensors.values())
    measured = sum(kept.size(name).nbytes for name in kept.names())
    assert nbytes == measured


def test_a_recipe_with_a_form_is_packed_as_what_it_keeps(tmp_path: Path) -> None:
    text = """
dppa: 1
base: zoo:base
models: [{model: MODEL, coefficient: 0.7}]
method: task_arithmetic
"""
    kept = "kept:low_rank(rank=4)+bits(bits=1) of zoo:math on zoo:base"
    recipe = parse_recipe(text.replace("MODEL", kept))
    (report,) = pack_models(recipe, tmp_path / "packs")
    assert report.form == "rank 4 + 1 bit" and report.header < 25_000
    assert report.values == form_sizes("zoo:base", "zoo:math", [store_of(kept)])[0].nbytes
    pack = f"zoo:base+{tmp_path / 'packs' / report.file}"
    folders = [
        merge_to_folder(parse_recipe(text.replace("MODEL", model)), tmp_path / model[:4])
        for model in (kept, pack)
    ]
    assert folders[0].sha256 == folders[1].sha256, "the file gives the bytes of the merge"
    (other,) = pack_models(replace(recipe, method="dppa"), tmp_path / "others")
    assert other.form == "" and other.places > 0


def test_another_base_is_refused(tmp_path: Path) -> None:
    path = write(kept_model(tmp_path, STORES[0]), tmp_path / "pack.safetensors")
    other = SafetensorsCheckpoint(random_llama(7).save(tmp_path / "other"))
    with pytest.raises(IncompatibleCheckpoints, match="made on base with weights"):
        KeptPackCheckpoint(other, path)


@pytest.mark.parametrize("store", STORES)
def test_a_file_with_other_codes_is_damaged(store: str, tmp_path: Path) -> None:
    path = write(kept_model(tmp_path, store), tmp_path / "pack.safetensors")
    text = path.read_bytes()
    other = "bits(bits=4)" if "bits(" not in store else "low_rank(rank=3)"
    size = int.from_bytes(text[:8], "little")
    head = text[8 : 8 + size].replace(store.encode(), other.encode())
    path.write_bytes(len(head).to_bytes(8, "little") + head + text[8 + size :])
    base = SafetensorsCheckpoint(tmp_path / "base")
    with pytest.raises(DppaError, match=r"of what is kept of its changes is|no part of"):
        KeptPackCheckpoint(base, path).raw("model.layers.0.mlp.up_proj.weight")


def test_a_file_of_whole_weights_is_no_pack(tmp_path: Path) -> None:
    base = SafetensorsCheckpoint(random_llama(0).save(tmp_path / "base"))
    write_file(tmp_path / "x.safetensors", {"a": np.ones(3, np.float32)})
    with pytest.raises(DamagedCheckpoint, match="readable is 1"):
        KeptPackCheckpoint(base, tmp_path / "x.safetensors")
