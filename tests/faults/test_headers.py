"""Invalid headers: one clear line, never a crash; valid ones are read as safetensors does."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint
from dppa_core.system import regular_files
from tests.helpers.cases import examples

W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def put(path: Path, header: object, data: bytes = bytes(8)) -> Path:
    """A file with this header (bytes as they are, anything else as JSON) before `data`."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "the header is empty"),
        (b'{"w": \xff}', "not JSON"),
        (b'{"w": ', "not JSON"),
        (b'{"w":' * 50_000, "nested too deeply"),
        (b'{"w": ' + b"9" * 5000 + b"}", "not JSON"),
        (b' {"w": 1}', r"does not begin with '\{'"),
        (b'{"w": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', "NaN"),
        (b'{"w": {}, "w": {}}', "'w' appears twice"),
        (b'{"w": {"dtype": "F32", "dtype": "F16"}}', "'dtype' appears twice"),
        ({"__metadata__": {"format": 1}, "w": W}, "__metadata__.*text"),
        ({"__metadata__": ["pt"], "w": W}, "__metadata__.*text"),
        ({"w": None}, "entry of 'w' is malformed"),
        ({"w": {**W, "dtype": 32}}, "dtype must be a text, got 32"),
        ({"w": {**W, "dtype": "F32\n"}}, "dtype must be a text"),
        ({"w": {**W, "shape": [2.0]}}, r"shape must be.*whole numbers.*\[2.0\]"),
        ({"w": {**W, "shape": [True, 2]}}, "shape must be.*whole numbers"),
        ({"w": {**W, "shape": ["2"]}}, "shape must be.*whole numbers"),
        ({"w": {**W, "shape": [-2]}}, "shape must be.*whole numbers"),
        ({"w": {**W, "shape": [2**64]}}, "shape must be.*whole numbers"),
        ({"w": {**W, "shape": [1] * 99 + [2]}}, "shape must be.*dimensions"),
        ({"w": {**W, "shape": {"0": 2}}}, "shape must be a list"),
        ({"w": {**W, "data_offsets": [0]}}, "data_offsets must be two"),
        ({"w": {**W, "data_offsets": [0, 8, 8]}}, "data_offsets must be two"),
        ({"w": {**W, "data_offsets": "08"}}, "data_offsets must be two"),
        ({"w": {**W, "data_offsets": [0, 8.0]}}, "data_offsets must be two"),
        ({"w": {**W, "data_offsets": [-8, 0]}}, "data_offsets must be two"),
        ({"w": {**W, "data_offsets": [8, 0]}}, "needs 8 bytes.*8 to 0"),
        ({"w": {**W, "data_offsets": [0, 2**63 - 1]}}, "needs 8 bytes"),
        ({"w\0": W}, r"name 'w\\x00'"),
        ({"\ud800": W}, "half a character"),
        ({"w" * 5000: {**W, "shape": 1}}, "www…www"),
        ({"w": {**W, "data_offsets": [4, 12]}}, "hole of 4 bytes before 'w'"),
        ({"w": {**W, "shape": [1], "data_offsets": [0, 4]}}, "4 bytes after the last tensor"),
        ({}, "8 bytes after the last tensor"),
    ],
)  # fmt: skip
def test_a_damaged_header_is_one_clear_line(path: Path, header: object, message: str) -> None:
    data = bytes(12) if header == {"w": {**W, "data_offsets": [4, 12]}} else bytes(8)
    with pytest.raises(DamagedCheckpoint, match=message) as caught:
        open_file(put(path, header, data))
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 700


def test_a_header_longer_than_any_is_not_read(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + bytes(100))
    with pytest.raises(DamagedCheckpoint, match="claims 9223372036854775808 bytes"):
        open_file(path)


@pytest.mark.parametrize("data", [b"", bytes(7)])
def test_a_file_shorter_than_a_header(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(DamagedCheckpoint, match="not a safetensors header"):
        open_file(path)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    for name, error, message in (
        ("pipe", DamagedCheckpoint, "not a regular file"),
        ("", DamagedCheckpoint, "not a regular file"),
        ("loop", DamagedCheckpoint, "symbolic links"),
        ("x" * 300, DamagedCheckpoint, "name too long"),
        ("a\0b", DamagedCheckpoint, "null byte"),
        ("gone", MissingCheckpoint, "no such file"),
    ):
        with pytest.raises(error, match=f"(?i){message}"):
            open_file(tmp_path / name)


def test_a_file_without_read_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    put(path, {"w": W})
    monkeypatch.setattr(regular_files, "_open", denied)  # root may read everything, so no chmod
    with pytest.raises(DamagedCheckpoint, match="cannot be read .Permission denied"):
        open_file(path)


def test_empty_tensors_and_scalars_are_read(path: Path) -> None:
    header = {
        "__metadata__": None,
        "none": {"dtype": "BF16", "shape": [0, 7], "data_offsets": [0, 0]},
        "one": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "end": {"dtype": "I64", "shape": [0], "data_offsets": [4, 4]},
    }
    file = open_file(put(path, header, np.float32(7).tobytes()))
    assert file.raw("none").shape == (0,) and file.raw("end").dtype == np.int64
    assert file.raw("one").tolist() == [7.0] and file.tensors["one"].shape == ()


def test_a_file_of_empty_tensors_only_is_read(path: Path) -> None:
    header = {"none": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    assert open_file(put(path, header, b"")).raw("none").size == 0
    assert not open_file(put(path, {}, b"")).tensors


NUMBERS = st.integers(-2, 12) | st.sampled_from([2**63, 10**30, 2.0, float("nan"), True, "4", None])
LISTS = st.lists(NUMBERS, max_size=3) | NUMBERS
DTYPES = st.sampled_from(["F32", "BF16", "I64", "F8_E4M3", "F4", "", 7, None, "\0"])
ENTRIES = st.fixed_dictionaries(
    {}, optional={"dtype": DTYPES, "shape": LISTS, "data_offsets": LISTS, "more": NUMBERS}
)
HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "__metadata__", "\0", "\ud800"]) | st.text(max_size=3),
    ENTRIES | st.none() | st.dictionaries(st.text(max_size=2), st.text(max_size=2)),
    max_size=3,
)


@settings(max_examples=examples(500))
@given(HEADERS | st.binary(max_size=20), st.binary(max_size=16), st.binary(max_size=3))
def test_any_header_is_read_as_safetensors_reads_it_or_refused(
    tmp_path_factory: pytest.TempPathFactory, header: object, data: bytes, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    place = len(junk) * 7 % (len(text) + 1)
    put(path, text[:place] + junk + text[place:], data)
    try:
        file = open_file(path)
    except DamagedCheckpoint as error:
        assert "\n" not in str(error)
        return
    for name, info in file.tensors.items():
        try:
            raw = file.raw(name)
        except DamagedCheckpoint:
            continue  # a dtype of quantised weights
        assert raw.nbytes == info.size


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-1, 1), st.sampled_from(["F32", "U8"])), max_size=3
    ),
    st.integers(-1, 1),
)
def test_a_layout_is_read_exactly_where_safetensors_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    tensors: list[tuple[int, int, str]],
    surplus: int,
) -> None:
    header, end = {}, 0
    for name, (numel, shift, dtype) in zip("abc", tensors, strict=False):
        start = max(0, end + shift * (numel % 2))
        end = start + numel * (4 if dtype == "F32" else 1)
        header[name] = {"dtype": dtype, "shape": [numel], "data_offsets": [start, end]}
    path = put(
        tmp_path_factory.getbasetemp() / "x.safetensors", header, bytes(max(0, end + surplus))
    )
    try:
        with safe_open(path, "np") as official:
            expected = {name: official.get_tensor(name).size for name in official.keys()}
    except SafetensorError:
        with pytest.raises(DamagedCheckpoint):
            open_file(path)
    else:
        weights = open_file(path)
        assert {name: weights.raw(name).size for name in weights.tensors} == expected
