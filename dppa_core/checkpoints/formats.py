"""The formats that weights are read in: a row each. A new format is a row and its reader."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dppa_core.checkpoints.folders.quantisation import why_gguf
from dppa_core.checkpoints.folders.small_files import file_mode, file_names, read_object
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.torch_reader import open_torch_file
from dppa_core.checkpoints.weight_file import WeightFile
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints, MissingCheckpoint, shown


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """The files of a format, and its reader."""

    name: str
    """As messages say it of one file."""
    title: str
    """As preflight says it of a model."""
    suffix: str
    """End of every file's name."""
    single: str
    """Name of the file with all weights."""
    index: str
    """Name of the file that lists the tensors of several files."""
    open: Callable[[Path], WeightFile]
    """The reader: maps a file and lists its tensors."""
    has_header: bool = False
    """Its files begin as those of safetensors: the Hub sends names and shapes without weights."""
    code_carrier: str = ""
    """The thing in its files that may hold code; empty if they hold data alone."""


SAFETENSORS = WeightFormat(
    name="safetensors",
    title="safetensors",
    suffix=".safetensors",
    single="model.safetensors",
    index="model.safetensors.index.json",
    open=open_file,
    has_header=True,
)
TORCH = WeightFormat(
    name=".bin",
    title="PyTorch's .bin files",
    suffix=".bin",
    single="pytorch_model.bin",
    index="pytorch_model.bin.index.json",
    open=open_torch_file,
    code_carrier="a pickle",
)
FORMATS = (SAFETENSORS, TORCH)
"""The formats; if a model has files of several, the first one is read, as transformers does."""


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The weight files of a checkpoint, and its index."""

    format: WeightFormat
    paths: tuple[Path, ...]
    promised: Mapping[str, str]
    """Tensor -> shard, as the index lists them; empty for a single file."""


def find_format(has_file: Callable[[str], bool]) -> tuple[WeightFormat, str] | None:
    """The format of a model, and the name of its single file or else of its index.

    Args:
        has_file: Returns True if the model has a file of that name.
    """
    pairs = ((row, name) for row in FORMATS for name in (row.single, row.index))
    return next((pair for pair in pairs if has_file(pair[1])), None)


def format_of(names: Iterable[str]) -> WeightFormat | None:
    """The format of the first weight file among file names; None without one."""
    rows = (row for name in names for row in FORMATS if name.endswith(row.suffix))
    return next(rows, None)


def absent_files() -> str:
    """The file names of all formats, for a message about a model that has none of them."""
    first, *others = FORMATS
    return f"neither {first.single} nor {first.index}" + "".join(
        f", nor {o.single}" for o in others
    )


def weight_files(folder: Path) -> WeightFiles:
    """The weights of a folder: of the first format that has a single file or an index there."""
    pair = find_format(lambda name: stat.S_ISREG(file_mode(folder / name)))
    if pair is not None:
        row, name = pair
        promised = read_index(folder / name, row) if name == row.index else {}
        files = sorted(set(promised.values())) or [name]
        return WeightFiles(row, tuple(folder / file for file in files), promised)
    names = file_names(folder)
    gguf = why_gguf(names)
    if gguf is not None:
        raise IncompatibleCheckpoints(f"{folder}: {gguf}")
    weights = [n for row in reversed(FORMATS) for n in names if n.endswith(row.suffix)]
    content = f"it holds {', '.join(weights[:3])}" if weights else "it holds no weights"
    raise MissingCheckpoint(
        f"{folder}: {absent_files()}; {content}. Weights in another format "
        "(save them with save_pretrained) or an interrupted download are the usual causes."
    )


def read_index(path: Path, row: WeightFormat) -> dict[str, str]:
    """Tensor -> file of the same folder, as an index lists them."""
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DamagedCheckpoint(
            f"{path}: weight_map must list the shard of every tensor, got {shown(weight_map)}. "
            "An interrupted download is the usual cause."
        )
    for name in weight_map.values():
        beside = isinstance(name, str) and name.isprintable() and Path(name).name == name
        if not beside or not name.endswith(row.suffix):
            raise DamagedCheckpoint(
                f"{path}: shard {shown(name)} is not the name of a {row.name} file in this folder."
            )
    return weight_map
