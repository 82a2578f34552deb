"""Copies of mapped files, and hashes computed while reading."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints import file_hashes
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.file_hashes import SharedHasher, known_hash
from dppa_core.checkpoints.page_copies import PageCopies
from dppa_core.errors import DamagedCheckpoint
from dppa_core.profiling import profile
from dppa_core.profiling.profile import cached_profile
from tests.helpers.tiny_models import random_llama, tuned_llama


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SafetensorsCheckpoint:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    return SafetensorsCheckpoint(random_llama(0).save(tmp_path / "base"))


def test_a_copy_is_read_once_and_is_what_is_mapped(checkpoint: SafetensorsCheckpoint) -> None:
    sizes: list[int] = []
    near = PageCopies(lambda _, start, read: sizes.append(read.size))
    raw = checkpoint.raw(checkpoint.names()[0])[3:50]
    first, again = near.copy(0, raw), near.copy(0, raw)
    assert first is not None and again is not None and not first.flags.writeable
    assert first.tobytes() == raw.tobytes() and not np.shares_memory(first, raw)
    assert np.shares_memory(first, again) and sizes == [raw.nbytes]
    suffix = near.copy(0, raw[1:])
    assert suffix is not None and suffix.tobytes() == raw[1:].tobytes() and len(sizes) == 2
    assert near.copy(0, raw.copy()) is None and near.copy(0, raw[::2]) is None


def test_a_file_that_became_shorter_is_named(checkpoint: SafetensorsCheckpoint) -> None:
    (file,) = checkpoint.files
    with file.path.open("r+b") as shortened:
        shortened.truncate(16)
    with pytest.raises(DamagedCheckpoint, match=r"model.safetensors: became shorter"):
        PageCopies().copy(0, checkpoint.raw(checkpoint.names()[-1]))


def test_a_hash_is_the_same_in_any_order_of_reading(
    checkpoint: SafetensorsCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        file_hashes, "slices", lambda n: [(k, min(k + 96, n)) for k in range(0, n, 96)]
    )
    (file,) = checkpoint.files
    hasher = SharedHasher(checkpoint.files)
    near = PageCopies(hasher.hash_block)
    for name in reversed(checkpoint.names()[:5]):  # not all; in another order; slices in two parts
        raw = checkpoint.raw(name)
        for start in range(0, raw.size, 96):
            for part in (raw[start : start + 64], raw[start + 64 : start + 96]):
                near.copy(0, part)
    hasher.remember()
    remembered = known_hash(file.identity)
    for note in file_hashes.cache_folder("hashes").iterdir():
        note.unlink()
    assert known_hash(file.identity) is None
    assert remembered == file_hashes.file_hash(file) == known_hash(file.identity)


def test_what_was_never_profiled_is_hashed_while_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    base = random_llama(0)
    names = [str(base.save(tmp_path / "base")), str(tuned_llama(base, 1).save(tmp_path / "math"))]
    monkeypatch.setattr(file_hashes, "_piece", _only_headers(file_hashes._piece))
    cached_profile(*names)
    monkeypatch.setattr(profile, "profile_deltas", None)
    assert len(cached_profile(*names).modules) > 0


def _only_headers(piece: object) -> object:
    def read(file: object, start: int, size: int) -> bytes:
        assert start == 0, "weights are read a second time"
        return piece(file, start, size)  # type: ignore[operator]

    return read
