"""Named weights on disk, mapped and read one tensor at a time.

Knows folders and files, not where models come from and nothing of deltas.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import xxhash
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.cache import cache_folder, load, store
from dppa_core.checkpoint_files import read_config, weight_files
from dppa_core.errors import (
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    NotAllowed,
    shown,
)
from dppa_core.floats import from_float32, to_float32
from dppa_core.quantisation import why_quantised
from dppa_core.safetensors_io import TensorInfo, open_file
from dppa_core.torch_files import open_torch_file

__all__ = [
    "Checkpoint",
    "FolderCheckpoint",
    "SafetensorsCheckpoint",
    "from_float32",
    "to_float32",
]

_BLOCK = 1 << 24
"""Bytes hashed at a time, so that an interrupt is noticed between them."""


@runtime_checkable
class Checkpoint(Protocol):
    """Named weights, read one at a time."""

    @property
    def config(self) -> Mapping[str, Any]:
        """What its config.json says."""
        ...

    @property
    def folder(self) -> Path:
        """Where its configuration and tokenizer lie."""
        ...

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder it is read from."""
        ...

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, sorted."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        ...

    def dtype(self, name: str) -> str:
        """Its dtype: "BF16", "F16", "F32", or an integer type such as "I64"."""
        ...

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat and read-only: uint16 for BF16, float16, float32."""
        ...

    def content_hash(self) -> str:
        """The same for the same weights."""
        ...

    def identities(self) -> Mapping[Path, str]:
        """Weight file -> its identity when it was mapped, to see whether it was replaced since."""
        ...

    def release(self) -> None:
        """Give memory back that was needed for reading; arrays handed out stay good."""
        ...


@runtime_checkable
class WeightFile(Protocol):
    """One open file of weights."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """What it holds."""
        ...

    @property
    def pages(self) -> mmap.mmap:
        """Its bytes, mapped."""
        ...

    @property
    def identity(self) -> str:
        """Another text as soon as the file is written or replaced."""
        ...

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """One tensor's elements as stored, flat and read-only."""
        ...

    def release(self) -> None:
        """Stop counting the pages read so far as memory of this process; arrays stay good."""
        ...


class FolderCheckpoint:
    """A checkpoint folder as transformers writes it: config.json and weights, in shards or not.

    Args:
        folder: Where it lies.
        pickles: Whether PyTorch's .bin files may be read, where there are no safetensors. They
            are read by PyTorch's restricted loader, which runs no code.

    Raises:
        MissingCheckpoint: the folder, its config.json or its weights are not there.
        DamagedCheckpoint: a file that cannot be read as what its name says.
        IncompatibleCheckpoints: quantised weights.
        NotAllowed: .bin files, where they may not be read.
    """

    def __init__(self, folder: str | Path, *, pickles: bool = True) -> None:
        self.folder = Path(folder)
        self.folders = (self.folder,)
        self.config = read_config(self.folder)
        self._refuse_quantised({})  # its files may be of a kind that cannot even be opened
        files = weight_files(self.folder)
        if files.pickled and not pickles:
            raise NotAllowed(
                f"{self.folder}: {files.paths[0].name} is a pickle, which can hold code; only "
                "safetensors are read here. `dppa convert` makes them from it."
            )
        opened = open_torch_file if files.pickled else open_file
        self._files: tuple[WeightFile, ...] = tuple(opened(path) for path in files.paths)
        self._place: dict[str, WeightFile] = {}
        for file in self._files:
            for name in file.tensors:
                if name in self._place:
                    raise DamagedCheckpoint(
                        f"{self.folder}: {name} lies in {self._place[name].path.name} and in "
                        f"{file.path.name}. Shards of two different models are the usual cause."
                    )
                self._place[name] = file
        for name, shard in files.promised.items():
            if name not in self._place:
                raise DamagedCheckpoint(
                    f"{self.folder}: its index lists {shown(name)} in {shard}, which no shard "
                    "holds. Shards of two different models are the usual cause."
                )
        self._refuse_quantised({name: self.dtype(name) for name in self._place})

    def _refuse_quantised(self, dtypes: Mapping[str, str]) -> None:
        reason = why_quantised(self.config, dtypes)
        if reason is not None:
            raise IncompatibleCheckpoints(f"{self.folder}: {reason}")

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, sorted."""
        return tuple(sorted(self._place))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        return self._info(name).shape

    def dtype(self, name: str) -> str:
        """Its dtype as the header spells it."""
        return self._info(name).dtype

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat and read-only, a view of the mapped file."""
        self._info(name)
        return self._place[name].raw(name)

    def release(self) -> None:
        """Give the pages read so far back to the system; they are read again when needed."""
        for file in self._files:
            file.release()

    def content_hash(self) -> str:
        """XXH3 over all weight files: the same for the same weights in the same files."""
        digest = xxhash.xxh3_128()
        for file in self._files:
            digest.update(f"{file.path.name}:{file_hash(file)}\n".encode())
        return digest.hexdigest()

    def identities(self) -> Mapping[Path, str]:
        """Weight file -> its identity when it was mapped."""
        return {file.path: file.identity for file in self._files}

    def _info(self, name: str) -> TensorInfo:
        if name not in self._place:
            raise MissingCheckpoint(
                f"{self.folder}: no tensor {name!r} among its {len(self._place)}. "
                "A model of another architecture is the usual cause."
            )
        return self._place[name].tensors[name]


class SafetensorsCheckpoint(FolderCheckpoint):
    """A checkpoint folder of safetensors alone; see `FolderCheckpoint`."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, pickles=False)


def is_hashed(identity: str) -> bool:
    """Whether the hash of a weight file is remembered, so that it costs nothing."""
    return load(_hash_entry(identity)) is not None


def known_hashes(checkpoint: Checkpoint) -> dict[str, str]:
    """Path -> hash of the weight files whose hash is remembered."""
    found = {str(path): load(_hash_entry(one)) for path, one in checkpoint.identities().items()}
    return {path: known.decode("ascii") for path, known in found.items() if known is not None}


def remember_hashes(checkpoint: Checkpoint, hashes: Mapping[str, str]) -> None:
    """Take over hashes another machine took of the same files, where none are remembered here.

    Args:
        checkpoint: Whose files they are.
        hashes: As `known_hashes` gives them.
    """
    for path, identity in checkpoint.identities().items():
        if str(path) in hashes and not is_hashed(identity):
            store(_hash_entry(identity), hashes[str(path)].encode("ascii"))


def _hash_entry(identity: str) -> Path:
    return cache_folder("hashes") / hashlib.sha256(identity.encode()).hexdigest()


def file_hash(file: WeightFile) -> str:
    """XXH3 of a mapped file, remembered until the file changes or is replaced.

    It tells files apart as fast as memory is read; it proves nothing to anybody.
    """
    entry = _hash_entry(file.identity)
    known = load(entry)
    if known is not None:
        return known.decode("ascii")
    digest = xxhash.xxh3_128()
    with memoryview(file.pages) as pages:  # what is mapped is hashed, whatever the path is by now
        for start in range(0, len(pages), _BLOCK):
            digest.update(pages[start : start + _BLOCK])
            file.release()
    store(entry, digest.hexdigest().encode("ascii"))
    return digest.hexdigest()
