"""Odd folders: which files count, and what is refused in one clear line."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import CheckpointError, DamagedCheckpoint, MissingCheckpoint
from dppa_core.pruning.floats import to_float32
from tests.helpers.tiny_models import random_llama

BASE, SECOND = random_llama(0), random_llama(1)
NORM = "model.norm.weight"
INDEX = "model.safetensors.index.json"
SHARDS = tuple(f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return BASE.save(tmp_path / "model", shards=3)


def refused(folder: Path, error: type[CheckpointError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        SafetensorsCheckpoint(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_single_file_counts_before_an_index_as_in_transformers(
    folder: Path, one_torch_thread: None
) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415  (heavy)

    SECOND.save(folder, dtype="F32")
    assert (folder / INDEX).is_file()
    checkpoint = SafetensorsCheckpoint(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_array_equal(
            to_float32(checkpoint.raw(name), checkpoint.dtype(name)),
            parameter.detach().numpy().ravel(),
        )


def test_an_index_that_lists_what_no_shard_holds_is_refused(folder: Path) -> None:
    listed = json.loads((folder / INDEX).read_text())["weight_map"]
    rewrite(folder / INDEX, weight_map={**listed, "lm_head.weight": SHARDS[1]})
    refused(folder, DamagedCheckpoint, f"lists 'lm_head.weight' in {SHARDS[1]}, which no shard")


def test_shards_are_read_whole_whatever_the_index_leaves_out(folder: Path) -> None:
    listed = json.loads((folder / INDEX).read_text())["weight_map"]
    del listed[NORM]
    rewrite(folder / INDEX, weight_map=listed)
    assert set(SafetensorsCheckpoint(folder).names()) == set(BASE.arrays)


def test_a_tensor_in_two_shards_is_refused(folder: Path) -> None:
    shutil.copy(folder / SHARDS[0], folder / SHARDS[1])
    refused(folder, DamagedCheckpoint, "lies in model-00001.*and in.*model-00002.*two different")


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (None, "weight_map must list the shard of every tensor, got None"),
        ([], "weight_map must list"),
        ({}, "weight_map must list"),
        ({NORM: 3}, "shard 3 is not the name"),
        ({NORM: "../model.safetensors"}, "is not the name of a safetensors file in this folder"),
        ({NORM: "/etc/x.safetensors"}, "is not the name"),
        ({NORM: "a\0.safetensors"}, r"shard 'a\\x00.safetensors' is not the name"),
        ({NORM: "x" * 300 + ".safetensors"}, "cannot be read .File name too long"),
        ({NORM: "model.bin"}, "is not the name"),
    ],
)
def test_an_index_that_is_none(folder: Path, weight_map: object, message: str) -> None:
    rewrite(folder / INDEX, weight_map=weight_map)
    refused(folder, DamagedCheckpoint, message)


@pytest.mark.parametrize("name", ["config.json", INDEX])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' appears twice"),
        ('{"a":' * 30_000, "nested too deeply"),
        ("[1]", r"not a JSON object, but \[1\]"),
        ("", "cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
    ],
)
def test_json_that_is_none(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    refused(folder, DamagedCheckpoint, f"{name}: .*{message}")


def test_infinity_may_stand_in_a_configuration(folder: Path) -> None:
    rewrite(folder / "config.json", time_step_limit=[0.0, float("inf")])
    assert SafetensorsCheckpoint(folder).config["time_step_limit"][1] == float("inf")


def test_pipes_and_folders_in_the_place_of_files_are_not_waited_for(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    refused(folder, DamagedCheckpoint, "config.json: .*not a regular file, but a named pipe")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refused(folder, DamagedCheckpoint, "config.json: .*not a regular file, but a folder")


def test_a_config_that_is_weights(folder: Path) -> None:
    with (folder / "config.json").open("wb") as file:
        file.truncate(1 << 30)
    refused(folder, DamagedCheckpoint, "config.json: larger than 64 MiB")


def test_places_that_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "loop", DamagedCheckpoint, "cannot be read .*symbolic links")
    refused(tmp_path / ("x" * 300), DamagedCheckpoint, "cannot be read .File name too long")
    refused(tmp_path / "a\0b", DamagedCheckpoint, "cannot be read .embedded null byte")
    refused(tmp_path / "file", MissingCheckpoint, "no such folder")
    refused(tmp_path / "file" / "below", MissingCheckpoint, "no such folder")


def test_a_place_without_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", denied)  # root can read everything, so no chmod
    refused(folder, DamagedCheckpoint, "cannot be read .Permission denied")
