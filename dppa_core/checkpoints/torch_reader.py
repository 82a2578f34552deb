"""Reads PyTorch's .bin files with its restricted loader: tensors, never code.

torch is imported when the first such file is opened.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.folders.model_files import model_file
from dppa_core.checkpoints.weight_file import (
    MAX_NAME_CHARACTERS,
    TRUNCATED,
    TensorInfo,
    WeightFile,
    check_plain,
    file_identity,
    opening,
)
from dppa_core.errors import DamagedCheckpoint, many, shown
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.regular_files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

_CODES = {
    "bfloat16": "BF16",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}
"""Name of a dtype in PyTorch -> its code in safetensors headers."""

_MAX_REPEATED_BYTES = 1 << 26
"""Bytes allowed for a tensor that repeats fewer elements, such as an expanded mask."""
_MAX_COMPRESSION, _UNBOUNDED_BYTES = 16, 1 << 26
"""Largest allowed compression ratio; only zeros compress further."""
_ZIP = b"PK\x03\x04"
_REASON = re.compile(r".*WeightsUnpickler error:\s*", re.DOTALL)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


class TorchFile(WeightFile):
    """A file of `torch.save`; tensors of a zip file are views of its mapped pages.

    Safe for many threads. Files of PyTorch before 1.6 are not zip files and are held in memory.

    Raises:
        DamagedCheckpoint: truncated, no weights, or objects that are not tensors.
        NotAllowed: a link that leads out of its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._place = path, model_file(path)
        with open_regular(self._place, follow=False) as file:
            if not os.fstat(file.fileno()).st_size:
                raise DamagedCheckpoint(f"{path}: empty, so it has no weights. {TRUNCATED}")
            self.pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.identity = file_identity(path)
        self._records = _records(path, self._place) if self.pages[:4] == _ZIP else ()
        # A compressed tensor cannot be mapped.
        self._mapped = bool(self._records) and not any(r.compress_type for r in self._records)
        _check_unpacked(path, self._records)
        self._lock = threading.Lock()
        self._loaded: Mapping[str, Tensor] | None = None
        state = self._state()
        self.tensors = {name: _info(path, name, tensor) for name, tensor in state.items()}
        _check_storages(path, state, self._records)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """The tensor's elements in their order, flat and read-only.

        A transposed or sliced tensor is copied.
        """
        import torch  # noqa: PLC0415  (seconds; safetensors need none)

        info = self.tensors[name]
        check_plain(self.path, name, info)
        flat = self._state()[name].detach().contiguous().reshape(-1)
        values = flat.view(torch.uint16) if info.dtype == "BF16" else flat
        array: ndarray = values.numpy()
        array = array if array.flags.aligned else array.copy()
        array.flags.writeable = False
        return array

    def release(self) -> None:
        """Drop the mapping; it is made again when needed, and lives while an array uses it."""
        if self._mapped:
            with self._lock:
                self._loaded = None
        super().release()

    def _state(self) -> Mapping[str, Tensor]:
        with self._lock:
            if self._loaded is None:
                if file_identity(self.path) != self.identity:
                    raise DamagedCheckpoint(f"{self.path}: was changed while it was read.")
                self._loaded = _load(self.path, self._place, mapped=self._mapped)
            return self._loaded


def open_torch_file(path: Path) -> TorchFile:
    """Open a .bin file and list its tensors."""
    with opening(path):
        return TorchFile(path)


def _records(path: Path, place: Path) -> tuple[zipfile.ZipInfo, ...]:
    """The entries of a zip file."""
    try:
        with zipfile.ZipFile(place) as archive:
            return tuple(archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DamagedCheckpoint(f"{path}: cut short ({error}). {TRUNCATED}") from error


def _check_unpacked(path: Path, records: tuple[zipfile.ZipInfo, ...]) -> None:
    """Refuse a zip file that would fill the memory; PyTorch itself does not compress."""
    unpacked = sum(record.file_size for record in records if record.compress_type)
    if unpacked > max(_UNBOUNDED_BYTES, _MAX_COMPRESSION * path.stat().st_size):
        raise DamagedCheckpoint(
            f"{path}: {many(path.stat().st_size, 'byte')} that unpack to {unpacked}. A file made "
            "to fill the memory is the usual cause."
        )


def _check_storages(
    path: Path, state: Mapping[str, Tensor], records: tuple[zipfile.ZipInfo, ...]
) -> None:
    """Refuse a zip file whose tensors claim more bytes than their entries hold.

    A mapped tensor of this kind would read the bytes behind its entry.
    """
    if not records:
        return
    stored_sizes = Counter(r.file_size for r in records if r.filename.split("/")[-2:-1] == ["data"])
    storages = {tensor.untyped_storage().data_ptr(): name for name, tensor in state.items()}
    for name in storages.values():
        size = state[name].untyped_storage().nbytes()
        if size and not stored_sizes[size]:
            raise DamagedCheckpoint(
                f"{path}: {shown(name)} lies in a storage of {many(size, 'byte')}, and the file "
                f"holds no such one. {TRUNCATED}"
            )
        stored_sizes[size] -= 1


def _load(path: Path, place: Path, *, mapped: bool) -> Mapping[str, Tensor]:
    import torch  # noqa: PLC0415  (seconds; safetensors need none)

    with ForeignCode(f"{path}: torch.load cannot read it", TRUNCATED):
        try:
            state: Any = torch.load(place, map_location="cpu", mmap=mapped, weights_only=True)
        except pickle.UnpicklingError as error:
            raise _no_weights(path, error) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise DamagedCheckpoint(
            f"{path}: not a mapping of names to tensors, but {_kind(state)}. A checkpoint of a "
            "training run is the usual cause: save the model alone, with save_pretrained."
        )
    return state


def _no_weights(path: Path, error: pickle.UnpicklingError) -> DamagedCheckpoint:
    named = _GLOBAL.search(str(error))
    if named is None:
        line = " ".join(_REASON.sub("", str(error)).partition("\n")[0].split())
        return DamagedCheckpoint(f"{path}: no weights ({shown(line, 200)[1:-1]}). {TRUNCATED}")
    return DamagedCheckpoint(
        f"{path}: asks for {shown(named[1])[1:-1]}, which is not a tensor. Such a file can run "
        "code, so it is not loaded: take safetensors, or weights saved by save_pretrained."
    )


def _kind(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"a {type(state).__name__}"
    for name, value in state.items():
        if not isinstance(name, str):
            return f"the name {shown(name)}"
        if not hasattr(value, "untyped_storage"):
            return f"{shown(name)} is a {type(value).__name__}"
    return "nothing"


def _info(path: Path, name: str, tensor: Tensor) -> TensorInfo:
    import torch  # noqa: PLC0415  (seconds; safetensors need none)

    if not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise DamagedCheckpoint(f"{path}: {shown(name)} is not printable, or too long, for a name.")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise DamagedCheckpoint(
            f"{path}: {name} is sparse, quantised or without data. Weights must be plain tensors; "
            "save the model anew, with save_pretrained."
        )
    kind = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(tensor.shape)
    needed = math.prod(shape) * tensor.element_size()
    if needed > max(tensor.untyped_storage().nbytes(), _MAX_REPEATED_BYTES):
        raise DamagedCheckpoint(
            f"{path}: {name} of shape {shown(shape)} needs {many(needed, 'byte')}, the file has "
            f"{tensor.untyped_storage().nbytes()} for it. A file made by hand is the usual cause."
        )
    return TensorInfo(_CODES.get(kind, kind), shape, 0, needed)
