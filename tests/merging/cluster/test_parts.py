"""Weight files one by one, and profiles part by part, tested without a cluster."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.file_hashes import known_hashes, remember_hashes
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue
from dppa_core.merging.cluster.merge import evenly, joined_profile
from dppa_core.merging.cluster.parts import (
    gather,
    parts_folder,
    read_shard,
    shards_of,
    write_shard,
)
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_delta, profile_deltas
from dppa_core.profiling.reader import TunedModel
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.5,))))
SHARD = 20_000


@pytest.fixture
def merger(zoo_env: Path) -> TensorMerger:
    return open_merger(RECIPE)


def test_files_written_one_by_one_are_those_of_one_merge(
    merger: TensorMerger, tmp_path: Path
) -> None:
    merge_to_folder(RECIPE, tmp_path / "whole", shard_size=SHARD, sync=False)
    shards, parts, folder = shards_of(merger, SHARD), tmp_path / "parts", tmp_path / "made"
    parts.mkdir()
    folder.mkdir()
    last_first = reversed(list(shards.items()))
    written = {file: write_shard(merger, file, specs, parts) for file, specs in last_first}
    hashes, tensors = gather(shards, written, parts, folder)
    assert len(hashes) > 2
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors.index.json", *shards}
    assert [tensor.name for tensor in tensors] == sorted(merger.names())


def test_the_folder_of_parts_beside_a_long_name_in_cyrillic_fits_a_file_system(
    merger: TensorMerger, tmp_path: Path
) -> None:
    for name in ("с" * 120, "x" + "с" * 120):
        with parts_folder(merger, SHARD, tmp_path / name) as folder:
            assert folder.is_dir() and len(folder.name.encode()) <= 255
            assert folder.name.startswith(f".{name[:20]}")


def test_a_part_is_known_again_unless_it_is_damaged(merger: TensorMerger, tmp_path: Path) -> None:
    (file, specs), *_ = shards_of(merger, SHARD).items()
    assert read_shard(file, specs, tmp_path) is None
    written = write_shard(merger, file, specs, tmp_path)
    assert read_shard(file, specs, tmp_path) == written
    assert write_shard(merger, file, specs, tmp_path) == written  # a second worker does no harm
    content = bytearray((tmp_path / file).read_bytes())
    content[-1] ^= 1
    (tmp_path / file).write_bytes(content)
    assert read_shard(file, specs, tmp_path) is None
    (tmp_path / f"{file}.json").write_text("{")
    assert read_shard(file, specs, tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [file, f"{file}.json"]


def test_two_drivers_do_not_write_the_same_merge(merger: TensorMerger, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with parts_folder(merger, SHARD, target) as first:
        with pytest.raises(InvalidValue, match="another process writes this very merge"):
            with parts_folder(merger, SHARD, target):
                pass
        with parts_folder(merger, 2 * SHARD, target) as second:
            assert second != first
    with parts_folder(merger, SHARD, target) as again:
        assert again == first


@pytest.mark.parametrize("parts", [1, 3, 1000])
def test_the_profile_of_all_parts_is_that_of_the_whole(zoo_env: Path, parts: int) -> None:
    base, tuned = open_checkpoint("zoo:base"), open_checkpoint("zoo:math")
    split = evenly(base, parts)
    assert len(split) == min(parts, len(base.names()))
    assert sorted(name for part in split for name in part) == sorted(base.names())
    whole = profile_delta(base, tuned)
    models = [TunedModel(tuned, "domain model")]
    joined = joined_profile(
        [profile_deltas(base, models, "base", only=part)[0] for part in split], base
    )
    assert joined.other_tensors == whole.other_tensors
    assert [item.module for item in joined.modules] == [item.module for item in whole.modules]
    for profile, expected in zip(joined.modules, whole.modules, strict=True):
        assert np.array_equal(profile.magnitudes, expected.magnitudes)
        assert np.array_equal(profile.counts, expected.counts)
        assert np.array_equal(profile.excess, expected.excess)
        assert profile.base_square == expected.base_square


def test_parts_are_about_equal(zoo_env: Path) -> None:
    base = open_checkpoint("zoo:base")
    sizes = [sum(base.raw(name).nbytes for name in part) for part in evenly(base, 3)]
    largest = max(base.raw(name).nbytes for name in base.names())
    assert max(sizes) - min(sizes) <= largest


def test_hashes_are_taken_over_and_not_taken_again(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(str(tiny_zoo / "base"))
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "driver"))
    digest = checkpoint.content_hash()
    hashes = known_hashes(checkpoint)
    assert set(hashes) == {str(tiny_zoo / "base" / "model.safetensors")}
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "node"))
    assert known_hashes(checkpoint) == {}
    remember_hashes(checkpoint, hashes)
    assert known_hashes(checkpoint) == hashes and checkpoint.content_hash() == digest


def test_without_ray_one_line_says_what_to_install(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(RECIPE))
    command = ["merge", tmp_path / "recipe.yaml", "--out", tmp_path / "out", "--ray", "auto"]
    assert dppa(*command) == 1
    assert "[ray]'" in dppa.err and dppa.err.count("\n") == 1
    assert dppa(*command, "--backend", "torch") == 1
    assert "On a cluster the backend is numba" in dppa.err
    assert not (tmp_path / "out").exists()
