"""Named weights on disk, mapped and read one tensor at a time."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.checkpoints.folders.architectures import with_model_type
from dppa_core.checkpoints.folders.quantisation import why_quantised
from dppa_core.checkpoints.folders.small_files import read_config
from dppa_core.checkpoints.formats import weight_files
from dppa_core.checkpoints.low_bit.folded import Folded
from dppa_core.checkpoints.low_bit.formats import (
    LowBitWeights,
    find_low_bit,
    low_bit_format,
    plain_config,
)
from dppa_core.checkpoints.page_copies import PageCopies
from dppa_core.checkpoints.weight_file import TensorInfo, WeightFile
from dppa_core.errors import (
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    NotAllowed,
    shown,
)
from dppa_core.pruning.floats import DTYPE_CODES

RELEASE_BYTES = 32 << 20
"""Bytes read before pages are released."""


@runtime_checkable
class Checkpoint(Protocol):
    """Named weights, read one at a time."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The values of its config.json."""

    @property
    def folder(self) -> Path:
        """The folder of its configuration and tokenizer."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders it is read from."""

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, sorted."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""

    def dtype(self, name: str) -> str:
        """Its dtype: "BF16", "F16", "F32", or an integer type such as "I64"."""

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat and read-only: uint16 for BF16, float16, float32."""

    def content_hash(self) -> str:
        """A hash that is equal for equal weights."""

    def identities(self) -> Mapping[Path, str]:
        """Weight file -> its identity when it was mapped; shows whether it was replaced since."""

    def release(self) -> None:
        """Release memory used for reading; returned arrays stay valid."""


class DerivedCheckpoint:
    """A checkpoint made of another one and of files with changes; as that one unless overridden."""

    def __init__(self, base: Checkpoint, *files: WeightFile) -> None:
        self.base, self._files = base, files
        self.config, self.folder, self.folders = base.config, base.folder, base.folders

    def names(self) -> tuple[str, ...]:
        return self.base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self.base.shape(name)

    def dtype(self, name: str) -> str:
        return self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        return self.base.raw(name)

    def identities(self) -> Mapping[Path, str]:
        return {**self.base.identities(), **{file.path: file.identity for file in self._files}}

    def release(self) -> None:
        self.base.release()
        for file in self._files:
            file.release()


class FolderCheckpoint:
    """A checkpoint folder as transformers writes it: config.json and weights in one file or shards.

    `formats` lists the formats. Tensors of few bits are read as float32 (`low_bit`), unless they
    are wanted `as_stored`. Files that may hold code are read if `may_hold_code` is set, by a
    reader that runs none.

    Raises:
        MissingCheckpoint: the folder, its config.json or its weights do not exist.
        DamagedCheckpoint: a file is not what its name says.
        IncompatibleCheckpoints: quantised weights.
        NotAllowed: files that may hold code, without `may_hold_code`.
    """

    def __init__(
        self, folder: str | Path, *, may_hold_code: bool = True, as_stored: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.folders = (self.folder,)
        self._held: dict[str, Shaped[ndarray, " n"]] | None = None
        self.config = read_config(self.folder)
        self.low_bit: LowBitWeights | None = None
        if low_bit_format(self.config) is None:
            self._refuse_quantised({})  # its files may not even be readable
        files = weight_files(self.folder)
        if files.format.code_carrier and not may_hold_code:
            raise NotAllowed(
                f"{self.folder}: {files.paths[0].name} is {files.format.code_carrier}, which can "
                "hold code; only safetensors are read here. `dppa convert` makes them from it."
            )
        self.files = tuple(files.format.open(path) for path in files.paths)
        self._place: dict[str, WeightFile] = {}
        for file in self.files:
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
        self.config = with_model_type(self.config, self._place)
        if not as_stored:
            self._unfold()

    def _unfold(self) -> None:
        """Find tensors stored in few bits; refuse those that cannot be read."""
        stored = {name: file.tensors[name] for name, file in self._place.items()}
        self.low_bit = find_low_bit(str(self.folder), self.config, stored, self._stored)
        if self.low_bit is not None:
            self.config = plain_config(self.config)
        self._refuse_quantised({name: self.dtype(name) for name in self.names()})

    def _refuse_quantised(self, dtypes: Mapping[str, str]) -> None:
        reason = why_quantised(self.config, dtypes)
        if reason is not None:
            raise IncompatibleCheckpoints(f"{self.folder}: {reason}")

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._place)) if self.low_bit is None else self.low_bit.names()

    def shape(self, name: str) -> tuple[int, ...]:
        folded = self.folded(name)
        return folded.shape if folded else self._info(name).shape

    def dtype(self, name: str) -> str:
        """Its dtype; F32 for a tensor of few bits."""
        return "F32" if self.folded(name) else self._info(name).dtype

    def folded(self, name: str) -> Folded | None:
        """A tensor that is stored in few bits; None for any other."""
        return None if self.low_bit is None else self.low_bit.tensors.get(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat and read-only: a view of the mapped file, or the copy held of it."""
        folded = self.folded(name)
        values = None if self._held is None else self._held.get(name)
        if values is None:
            values = folded.raw() if folded else self._stored(name)
            if self._held is not None:
                copied = PageCopies().copy(0, values)
                values = self._held[name] = values if copied is None else copied
        return values

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, as they are read."""
        sizes = (
            f.raw().nbytes if (f := self.folded(n)) else self._info(n).size for n in self.names()
        )
        return sum(sizes)

    def hold(self) -> None:
        """Keep a copy of every tensor that is read from now on: it is read from disk once."""
        self._held = {}

    def release(self) -> None:
        """Return the pages read so far to the system; they are read again when needed."""
        for file in self.files:
            file.release()

    def content_hash(self) -> str:
        """SHA-256 over all weight files: the same for the same weights in the same files."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path.name}:{file_hash(file)}\n".encode())
        return digest.hexdigest()

    def identities(self) -> Mapping[Path, str]:
        return {file.path: file.identity for file in self.files}

    def _stored(self, name: str) -> Shaped[ndarray, " n"]:
        self._info(name)
        return self._place[name].raw(name)

    def _info(self, name: str) -> TensorInfo:
        if name not in self._place:
            raise MissingCheckpoint(
                f"{self.folder}: no tensor {name!r} among its {len(self._place)}. "
                "A model of another architecture is the usual cause."
            )
        return self._place[name].tensors[name]


class SafetensorsCheckpoint(FolderCheckpoint):
    """A checkpoint folder of safetensors alone, its tensors as stored; see `FolderCheckpoint`."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, may_hold_code=False, as_stored=True)


class PageReleaser:
    """Keeps the memory of mapped files small: releases pages after every `RELEASE_BYTES`.

    A page that is needed again comes from the system's page cache. Safe for many threads.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self._checkpoints = tuple(checkpoints)
        self._lock = threading.Lock()
        self._read_bytes = 0

    def read(self, nbytes: int) -> None:
        """Report bytes that were read."""
        with self._lock:
            self._read_bytes += nbytes
            if self._read_bytes < RELEASE_BYTES:
                return
            self._read_bytes = 0
        for checkpoint in self._checkpoints:
            checkpoint.release()


def stored_dtype(checkpoint: Checkpoint) -> str:
    """Name of the dtype in which most weights are stored, without adapters; see `DTYPE_CODES`.

    Weights of few bits count as bfloat16.
    """
    while isinstance(checkpoint, DerivedCheckpoint):
        checkpoint = checkpoint.base
    counts = Counter[str]()
    for name in checkpoint.names():
        few = isinstance(checkpoint, FolderCheckpoint) and checkpoint.folded(name)
        counts["BF16" if few else checkpoint.dtype(name)] += math.prod(checkpoint.shape(name))
    return max(DTYPE_CODES, key=lambda name: counts[DTYPE_CODES[name]])


def low_bit_of(*checkpoints: Checkpoint) -> LowBitWeights | None:
    """The tensors of few bits of the first checkpoint that has any, below adapters."""
    for checkpoint in checkpoints:
        while isinstance(checkpoint, DerivedCheckpoint):
            checkpoint = checkpoint.base
        if isinstance(checkpoint, FolderCheckpoint) and checkpoint.low_bit is not None:
            return checkpoint.low_bit
    return None


def open_files(checkpoint: Checkpoint) -> tuple[WeightFile, ...]:
    """The weight files of a checkpoint folder; none for a checkpoint made of others."""
    return checkpoint.files if isinstance(checkpoint, FolderCheckpoint) else ()
