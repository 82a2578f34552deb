"""Named weights on disk, mapped and read one tensor at a time.

Knows folders and files, not where models come from and nothing of deltas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.cache import cache_folder, store
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint
from dppa_core.floats import from_float32, to_float32
from dppa_core.safetensors_io import SafetensorsFile, TensorInfo, open_file

__all__ = [
    "Checkpoint",
    "SafetensorsCheckpoint",
    "file_hash",
    "from_float32",
    "to_float32",
]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


@runtime_checkable
class Checkpoint(Protocol):
    """Named weights, read one at a time."""

    @property
    def config(self) -> Mapping[str, Any]:
        """What its config.json says."""
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


class SafetensorsCheckpoint:
    """A checkpoint folder as transformers writes it: config.json and safetensors, in shards or not.

    Raises:
        MissingCheckpoint: the folder, its config.json or its weights are not there.
        DamagedCheckpoint: a file that cannot be read as what its name says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = _read_config(self.folder)
        self._files = tuple(open_file(path) for path in _weight_files(self.folder))
        self._place: dict[str, SafetensorsFile] = {}
        for file in self._files:
            for name in file.tensors:
                if name in self._place:
                    raise DamagedCheckpoint(
                        f"{self.folder}: {name} lies in {self._place[name].path.name} and in "
                        f"{file.path.name}. Shards of two different models are the usual cause."
                    )
                self._place[name] = file

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

    def content_hash(self) -> str:
        """SHA-256 over all weight files: the same for the same weights in the same files."""
        digest = hashlib.sha256()
        for file in self._files:
            digest.update(f"{file.path.name}:{file_hash(file.path)}\n".encode())
        return digest.hexdigest()

    def _info(self, name: str) -> TensorInfo:
        if name not in self._place:
            raise MissingCheckpoint(
                f"{self.folder}: no tensor {name!r} among its {len(self._place)}. "
                "A model of another architecture is the usual cause."
            )
        return self._place[name].tensors[name]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, remembered as long as its size and modification time stay."""
    status = path.stat()
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    entry = cache_folder("hashes") / hashlib.sha256(key.encode()).hexdigest()
    # An entry that is missing or damaged is made again.
    with suppress(OSError, UnicodeDecodeError):
        known = entry.read_text("ascii")
        if len(known) == 64:
            return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    store(entry, lambda file: file.write(digest.encode("ascii")))
    return digest


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise MissingCheckpoint(
            f"{folder}: no such folder. A model is named zoo:NAME or by a folder that holds "
            "config.json and safetensors; a typing error is the usual cause."
        )
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        raise MissingCheckpoint(
            f"{folder}: no config.json, so this is no checkpoint folder. "
            "Pointing at a parent folder, or at an adapter, is the usual cause."
        ) from None
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{folder / 'config.json'}: cannot be read ({error}).") from error
    if not isinstance(config, dict):
        raise DamagedCheckpoint(f"{folder / 'config.json'}: not a JSON object.")
    return config


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        return [folder / name for name in _shards(index)]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    other = sorted(path.name for path in folder.glob("*.bin")) + sorted(
        path.name for path in folder.glob("*.safetensors")
    )
    found = f"it holds {', '.join(other[:3])}" if other else "it holds no weights"
    raise MissingCheckpoint(
        f"{folder}: neither {_SINGLE} nor {_INDEX}; {found}. Weights in another format (save them "
        "with safe_serialization) or an interrupted download are the usual causes."
    )


def _shards(index: Path) -> list[str]:
    try:
        weight_map = json.loads(index.read_text("utf-8"))["weight_map"]
        names = sorted({str(name) for name in weight_map.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{index}: no readable index of shards ({error!r}).") from error
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise DamagedCheckpoint(
                f"{index}: shard {name!r} is not the name of a safetensors file in this folder."
            )
    return names
