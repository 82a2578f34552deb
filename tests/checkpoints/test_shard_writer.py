"""Weights in several files: as transformers reads them, and always the same bytes."""

import hashlib
import json
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import WeightsWriter, assign_shards
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),))
LIMIT = 20_000  # of 48 kB


def spec(name: str, size: int) -> TensorSpec:
    return TensorSpec(name, "U8", (size,))


def test_a_file_is_as_full_as_it_gets_in_order_of_layers() -> None:
    """Limit 10: layers 0 and 1 share a file, 2 is full by itself, 3 too large for any."""
    specs = [spec("l.10", 4), spec("l.2", 10), spec("l.0", 6), spec("l.3", 30), spec("l.1", 4)]
    shards = assign_shards(specs, 10)
    assert [[s.name for s in shard] for shard in shards.values()] == [
        ["l.0", "l.1"], ["l.2"], ["l.3"], ["l.10"],
    ]  # fmt: skip
    assert list(shards)[0] == "model-00001-of-00004.safetensors"
    assert assign_shards(reversed(specs), 10) == shards


def test_what_fits_into_one_file_is_one_file() -> None:
    specs = [spec("b", 6), spec("a", 4)]
    assert list(assign_shards(specs, 10)) == ["model.safetensors"]
    assert len(assign_shards(specs, 9)) == 2


def test_the_index_names_every_tensor_and_the_sum_of_sizes(zoo_env: Path, tmp_path: Path) -> None:
    report = merge_to_folder(RECIPE, tmp_path / "out", shard_size=LIMIT)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text("utf-8"))
    out = SafetensorsCheckpoint(tmp_path / "out")
    assert set(index["weight_map"]) == set(out.names())
    assert set(index["weight_map"].values()) == set(report.files) and len(report.files) == 3
    assert index["metadata"]["total_size"] == sum(out.raw(name).nbytes for name in out.names())
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_sharding_changes_no_tensor_and_repeats_to_the_byte(zoo_env: Path, tmp_path: Path) -> None:
    reports = [
        merge_to_folder(RECIPE, tmp_path / name, shard_size=size, backend=backend)
        for name, size, backend in (
            ("one", LIMIT, "numba"),
            ("two", LIMIT, "torch"),
            ("whole", 10**9, "numba"),
            ("each", 1, "numba"),
        )
    ]
    assert reports[0].files == reports[1].files and list(reports[2].files) == ["model.safetensors"]
    whole = SafetensorsCheckpoint(tmp_path / "whole")
    assert len(reports[3].files) == len(whole.names())
    for folder in ("one", "each"):
        parts = SafetensorsCheckpoint(tmp_path / folder)
        assert parts.names() == whole.names()
        assert all(parts.raw(n).tobytes() == whole.raw(n).tobytes() for n in whole.names())


def test_the_hashes_are_those_of_the_files(zoo_env: Path, tmp_path: Path) -> None:
    report = merge_to_folder(RECIPE, tmp_path / "out", shard_size=LIMIT)
    for name, sha256 in report.files.items():
        assert sha256 == hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()
    command = "sha256sum model-*.safetensors | sha256sum"
    checksum = subprocess.run(
        command, shell=True, cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert checksum.stdout.split()[0] == report.sha256
    single = merge_to_folder(RECIPE, tmp_path / "single")
    assert single.files == {"model.safetensors": single.sha256}


def test_transformers_loads_the_shards(
    zoo_env: Path, tmp_path: Path, one_torch_thread: None
) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 (heavy)

    merge_to_folder(RECIPE, tmp_path / "shards", shard_size=LIMIT)
    merge_to_folder(RECIPE, tmp_path / "whole")
    shards, whole = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict()
        for name in ("shards", "whole")
    )
    assert shards.keys() == whole.keys() and all(shards[n].equal(whole[n]) for n in whole)


def test_shards_replace_a_whole_and_a_whole_shards(zoo_env: Path, tmp_path: Path) -> None:
    for size, count in ((LIMIT, 3), (10**9, 1), (LIMIT, 3)):
        merge_to_folder(RECIPE, tmp_path / "out", shard_size=size, overwrite=True)
        assert len(list((tmp_path / "out").glob("*.safetensors"))) == count
        assert SafetensorsCheckpoint(tmp_path / "out").names()


def test_a_thousand_shards_need_one_open_file_at_a_time(tmp_path: Path) -> None:
    specs = [spec(f"t{i}", 1) for i in range(1200)]
    with closing(WeightsWriter(tmp_path, specs, 1)) as writer:
        for name in writer.names:
            writer.place(name, np.zeros(1, np.uint8))
        assert len(writer.finish()) == 1200
