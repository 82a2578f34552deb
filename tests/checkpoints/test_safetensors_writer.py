"""Files written in any order by any thread: the same bytes, never silently incomplete."""

import errno
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.errors import InvalidValue
from dppa_core.pruning.floats import from_float32

VALUES = np.arange(6, dtype=np.float32)
RAW = {
    "b": VALUES,
    "a": from_float32(VALUES, "BF16"),
    "steps": np.array([7]),
    "mask": np.array([True, False, True]),
    "none": np.zeros(0, np.float16),
}
SPECS = (
    TensorSpec("b", "F32", (2, 3)),
    TensorSpec("a", "BF16", (6,)),
    TensorSpec("steps", "I64", ()),
    TensorSpec("mask", "BOOL", (3,)),
    TensorSpec("none", "F16", (0, 4)),
)


def write(path: Path, specs: Iterable[TensorSpec], order: Iterable[str]) -> str:
    with closing(SafetensorsWriter(path, specs, {"format": "pt"})) as writer:
        for name in order:
            writer.place(name, RAW[name])
        return writer.finish()


def test_a_written_file_is_read_by_safetensors(tmp_path: Path) -> None:
    sha256 = write(tmp_path / "x", SPECS, RAW)
    assert sha256 == hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()
    tensors = load_file(tmp_path / "x")
    assert tensors["b"].tolist() == [[0, 1, 2], [3, 4, 5]] and tensors["steps"].item() == 7
    assert tensors["a"].dtype == torch.bfloat16 and tensors["a"].tolist() == VALUES.tolist()
    assert tensors["mask"].tolist() == [True, False, True] and tensors["none"].shape == (0, 4)


def test_the_order_of_specs_and_of_tensors_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path / "x", SPECS, RAW)
    write(tmp_path / "y", SPECS[::-1], reversed(RAW))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_many_threads_and_slices_write_what_one_writes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 1 << 16, 20_000).astype(np.uint16)
    specs = [TensorSpec(f"t{i}", "BF16", (100, 200)) for i in range(8)]
    hashes = set()
    for path, step in ((tmp_path / "x", 20_000), (tmp_path / "y", 777)):
        pieces = [(s.name, start) for start in range(0, 20_000, step) for s in specs]
        with closing(SafetensorsWriter(path, specs)) as writer, ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(writer.place, n, values[s : s + step], s) for n, s in pieces]
            for piece in futures:
                piece.result()
            hashes.add(writer.finish())
            assert writer.digests()["t3"] == hashlib.sha256(values).hexdigest()
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_tensors_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    with closing(SafetensorsWriter(tmp_path / "x", SPECS)) as writer:
        assert writer.names == ("steps", "b", "a", "none", "mask")  # the widest first


def test_the_file_has_its_full_size_before_the_first_tensor(tmp_path: Path) -> None:
    with closing(SafetensorsWriter(tmp_path / "x", SPECS, {"format": "pt"})):
        size = (tmp_path / "x").stat().st_size
    write(tmp_path / "y", SPECS, RAW)
    assert size == (tmp_path / "y").stat().st_size


def test_a_full_disk_is_found_before_the_first_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        SafetensorsWriter(tmp_path / "x", SPECS)


def test_a_file_system_that_reserves_nothing_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(handle: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    write(tmp_path / "x", SPECS, RAW)
    monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    write(tmp_path / "y", SPECS, RAW)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_write_cut_short_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x", SPECS, RAW)
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: whole(handle, data[:3], at))
    write(tmp_path / "y", SPECS, RAW)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        SafetensorsWriter(tmp_path / "x", SPECS)
    assert (tmp_path / "x").read_bytes() == b"old"


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "x", SPECS, RAW)
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("raw", "start", "message"),
    [
        (VALUES[:2], 5, r"b: elements 5 to 7 of float32 do not fit into F32 \(2, 3\)"),
        (VALUES[:2], -1, "elements -1 to 1"),
        (VALUES.astype(np.float64), 0, "of float64 do not fit"),
        (VALUES[:2], 1, "b: elements 1 to 3 are written twice"),
    ],
)
def test_elements_that_do_not_fit_are_refused(
    tmp_path: Path, raw: np.ndarray, start: int, message: str
) -> None:
    with closing(SafetensorsWriter(tmp_path / "x", SPECS)) as writer:
        writer.place("b", VALUES[2:4], 2)
        with pytest.raises(InvalidValue, match=message):
            writer.place("b", raw, start)


def test_a_tensor_that_was_forgotten_is_named(tmp_path: Path) -> None:
    with closing(SafetensorsWriter(tmp_path / "x", SPECS)) as writer:
        for name in ("b", "steps", "mask"):
            writer.place(name, RAW[name])
        writer.place("a", RAW["a"][:4])
        with pytest.raises(InvalidValue, match="a was not written whole"):
            writer.finish()


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="two tensors of one name"):
        SafetensorsWriter(tmp_path / "x", [SPECS[0], SPECS[0]])


def test_a_dtype_of_no_plain_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="q: dtype F4 cannot be written"):
        SafetensorsWriter(tmp_path / "x", [TensorSpec("q", "F4", (2,))])
