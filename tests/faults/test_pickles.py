"""Malicious or damaged pytorch_model.bin files: no code runs, and one line names the error."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.errors import CheckpointError, DamagedCheckpoint, MissingCheckpoint
from tests.helpers.pickles import save_pickled, state_of, write_pickles
from tests.helpers.tiny_models import random_llama

BASE = random_llama(0)
WEIGHTS = "pytorch_model.bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_pickled(BASE, tmp_path / "model")


def refused(folder: Path, message: str, error: type[CheckpointError] = DamagedCheckpoint) -> None:
    with pytest.raises(error, match=message) as caught:
        FolderCheckpoint(folder)
    text = str(caught.value)
    assert WEIGHTS[:13] in text and "\n" not in text and len(text) < 700


class Attack:
    """A malicious file's content: a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_never_runs(folder: Path, tmp_path: Path, legacy: bool) -> None:
    trace = tmp_path / "trace"
    write_pickles(folder, {**state_of(BASE), "x": Attack(trace)}, legacy=legacy)
    refused(folder, r"asks for \w+\.system, which is not a tensor. Such a file can run code")
    assert not trace.exists()
    torch.load(folder / WEIGHTS, weights_only=False)  # the attack is a real one
    assert trace.exists()


def test_a_plain_pickle_never_runs(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"x": Attack(tmp_path / "trace")}))
    refused(folder, "pytorch_model.bin: ")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_cut_short(folder: Path, share: float, legacy: bool) -> None:
    write_pickles(folder, state_of(BASE), legacy=legacy)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(len(whole) * share)])
    refused(folder, "usual cause")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04", b"\0"],
)
def test_a_file_that_is_something_else(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    refused(folder, "usual cause")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"model": {"a": torch.ones(1)}}, "'model' is a dict. A checkpoint of a training run"),
        ({"step": 3}, "'step' is a int"),
        ({3: torch.ones(1)}, "not a mapping of names to tensors"),
        ([torch.ones(1)], "but a list"),
        (torch.ones(1), "but a Tensor"),
        ({"a": torch.eye(3).to_sparse()}, "a is sparse"),
        ({"a": torch.ones(2, device="meta")}, "without data"),
        ({"a\nb": torch.ones(1)}, "not printable"),
        ({"a": torch.ones(1).expand(2**40)}, "needs 4398046511104 bytes"),
    ],
)
def test_objects_that_are_no_weights(folder: Path, saved: Any, message: str) -> None:
    torch.save(saved, folder / WEIGHTS)
    refused(folder, message)


def test_a_tensor_that_claims_its_neighbours_bytes(folder: Path) -> None:
    """If mapped, it would contain whatever bytes follow."""
    torch.save({"a": torch.arange(6.0)}, folder / WEIGHTS)
    with zipfile.ZipFile(folder / WEIGHTS) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / WEIGHTS, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():  # 6 elements -> 12, in size and storage
            forged = content.replace(b"K\x06", b"K\x0c") if name.endswith("data.pkl") else content
            archive.writestr(name, forged)
    refused(folder, "storage of 48 bytes, and the file holds no such one")


def test_a_shard_that_is_not_there(tmp_path: Path) -> None:
    folder = save_pickled(BASE, tmp_path / "model", shards=3)
    (folder / "pytorch_model-00002-of-00003.bin").unlink()
    refused(folder, "never downloaded", MissingCheckpoint)


def test_an_index_that_points_elsewhere(tmp_path: Path) -> None:
    folder = save_pickled(BASE, tmp_path / "model", shards=2)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"a": "../pytorch_model.bin"}}')
    refused(folder, "not the name of a .bin file")
    index.write_text('{"weight_map": {"a": "model.safetensors"}}')
    refused(folder, "not the name of a .bin file")


def test_a_file_replaced_while_it_is_read(folder: Path) -> None:
    checkpoint = FolderCheckpoint(folder)
    checkpoint.release()
    write_pickles(folder, {"other": torch.ones(3)})
    with pytest.raises(DamagedCheckpoint, match="changed while it was read"):
        checkpoint.raw("model.norm.weight")
