"""Small files that claim, or unpack to, far more than their size; what refusing each costs.

Run by test_bombs.py in a subprocess, so that its peak memory can be measured:
`python -m tests.faults.bombs FOLDER` prints a line of JSON for each.
"""

import base64
import json
import pickle
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import torch

from components.session.link import session_from_link
from dppa_core.checkpoints.adapters.lora_files import CONFIG, read_lora_config
from dppa_core.checkpoints.folders.small_files import read_object
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.torch_reader import open_torch_file
from dppa_core.errors import DppaError
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.tasks.item_files import MAX_PATTERNS, read_items

GIB = 1 << 30


def claimed_length(path: Path) -> object:
    """A header as long as its sparse file: only a few bytes are on the disk."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100 << 20))
        file.truncate(8 + (100 << 20))
    return open_file(path)


def crowded_header(path: Path) -> object:
    """A header of ten million lists."""
    text = b'{"a":[' + b"[]," * 10_000_000 + b"0]}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return open_file(path)


def _with_header(path: Path, header: dict[str, object], size: int) -> object:
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)
    return open_file(path)


def overlapping(path: Path) -> object:
    """A thousand tensors of a gibibyte each, all of them the same bytes."""
    entry = {"dtype": "U8", "shape": [GIB], "data_offsets": [0, GIB]}
    return _with_header(path, {f"w{n}": entry for n in range(1000)}, GIB)


def absurd_shape(path: Path) -> object:
    """A tensor of 2 to the power of 124 elements in eight bytes."""
    entry = {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}
    return _with_header(path, {"w": entry}, 8)


def zip_bomb(path: Path) -> object:
    """A .bin file of a quarter of a megabyte with 256 of zeros in it."""
    torch.save({"w": torch.zeros(5)}, path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in records if name.endswith("data.pkl"))
    records[pickled] = records[pickled].replace(b"K\x05", _number(2**26))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in records.items():
            with archive.open(name, "w") as file:
                file.write(content)
                for _ in range(255 if "/data/" in name else 0):
                    file.write(bytes(1 << 20))
                file.write(bytes((1 << 20) - 20 if "/data/" in name else 0))
    return open_torch_file(path)


def _number(value: int) -> bytes:
    """A number as pickles hold it."""
    return pickle.dumps(value, protocol=2)[2:-1]


def legacy_claim(path: Path) -> object:
    """A .bin file of the older kind whose one storage claims four tebibytes."""
    torch.save({"w": torch.zeros(5)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"K\x05", _number(2**40)))
    return open_torch_file(path)


def json_bomb(path: Path) -> object:
    """An index of weights that holds eight million tables."""
    path.write_bytes(b'{"weight_map":[' + b"{}," * 8_000_000 + b"0]}")
    return read_object(path)


def link_bomb(path: Path) -> object:
    """A link that unpacks to a hundred million blanks."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packing.compress(b" " * 5_000_000) + packing.flush()
    return session_from_link(base64.urlsafe_b64encode(data).decode().rstrip("="))


def laughing_recipe(path: Path) -> object:
    """A recipe whose ten lines name each other ten times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))
    return load_recipe(path)


def crowded_recipe(path: Path) -> object:
    """A recipe that is as large as one may be, and nothing but lists."""
    path.write_text("dppa: 1\nbase: a\nmodels: [" + "[]," * 33_000 + "]\n")
    return load_recipe(path)


def rank_of_many_digits(path: Path) -> object:
    """An adapter whose rank no machine integer can hold."""
    path.mkdir()
    (path / CONFIG).write_text('{"r": 1' + "0" * 4000 + "}")
    return read_lora_config(path)


def _asks(*patterns: str) -> object:
    """Questions that are marked by these patterns."""
    lines = (
        {"question": pattern, "answer": "a", "scorer": "regex", "pattern": pattern}
        for pattern in patterns
    )
    return read_items("\n".join(map(json.dumps, lines)).encode(), "questions.jsonl")


def counts_in_counts(path: Path) -> object:
    """A pattern of twenty characters that compiles to three million sets."""
    return _asks("(?:[ab]{1000}){3000}")


def counts_of_branches(path: Path) -> object:
    """A pattern that compiles to two million branches."""
    return _asks("(?:(?:ab|cd){1000,}){1000,}")


def counts_of_looks(path: Path) -> object:
    """A pattern that looks ahead three million times."""
    return _asks("(?:(?=a)){3000000}")


def largest_counts(path: Path) -> object:
    """A pattern of eighty billion letters."""
    return _asks("(?:(?:a{4300}){4300}){4300}")


def many_patterns(path: Path) -> object:
    """As many different patterns as a file may have, each as large as one may be."""
    return _asks(*(f"a|{n}|(?:ab|cd|[ef]){{1100}}" for n in range(MAX_PATTERNS)))


BOMBS: tuple[Callable[[Path], object], ...] = (
    *(claimed_length, overlapping, absurd_shape, zip_bomb, legacy_claim, link_bomb),
    *(counts_in_counts, counts_of_branches, counts_of_looks, largest_counts, many_patterns),
    *(laughing_recipe, crowded_recipe, rank_of_many_digits, json_bomb, crowded_header),
)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(folder: str) -> None:
    """Try all, large files last."""
    for bomb in BOMBS:
        path = Path(folder) / bomb.__name__
        before, began = _peak(), time.thread_time()
        try:
            bomb(path)
            refusal = ""
        except DppaError as error:
            refusal = str(error)
        size = path.stat().st_size >> 20 if path.is_file() else 0
        figures = {"mib": _peak() - before, "seconds": time.thread_time() - began, "size": size}
        sys.stdout.write(json.dumps({"name": bomb.__name__, "refusal": refusal, **figures}) + "\n")
        if path.is_file():
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
