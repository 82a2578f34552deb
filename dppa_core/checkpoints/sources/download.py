"""Downloads from a model of the Hub only the files that merging needs, never code.

Complete files are kept, so an interrupted download continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.adapters.lora_config import CONFIG
from dppa_core.checkpoints.adapters.lora_parts import WEIGHTS
from dppa_core.checkpoints.folders.quantisation import why_gguf, why_quantised
from dppa_core.checkpoints.folders.small_files import COMPANIONS, read_config
from dppa_core.checkpoints.formats import (
    FORMATS,
    WeightFormat,
    absent_files,
    find_format,
    read_index,
    weight_files,
)
from dppa_core.checkpoints.sources.hub import HubModel, cached_folder, hub_errors, look_up
from dppa_core.errors import (
    CheckpointError,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    OutOfBudget,
    Unreachable,
    shown,
)
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.folder_cache import cache_folder, load, store

_ADAPTER = (CONFIG, WEIGHTS)


def fetch(
    name: str,
    commit: str,
    *,
    adapter: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Path:
    """The folder of a model, downloaded unless it is on this disk.

    Args:
        name: owner/name.
        commit: 40 hex digits; see `resolve`.
        adapter: Whether it is a LoRA adapter.
        progress: Called with bytes.
        stop: Ends the download; complete files stay.

    Raises:
        MissingCheckpoint: no such model, or it has no readable weights.
        IncompatibleCheckpoints: quantised weights.
        NotAllowed: gated.
        OutOfBudget: more bytes than the disk can hold.
        Unreachable: not on this disk, and the Hub cannot be reached.
    """
    cached = _complete(name, commit, adapter)
    # A download by another program may lack the card or the chat template.
    if cached is not None and _is_whole(cached):
        return cached
    try:
        model = look_up(name, commit)
    except Unreachable:
        if cached is not None:
            return cached
        raise
    small = ("README.md", *_ADAPTER) if adapter else ("config.json", "README.md", *COMPANIONS)
    files = [file for file in small if file in model.sizes]
    if adapter:
        _check_adapter(model)
    else:
        _check_weights(model)
        _check_quantised(model, _Downloads(model, None, stop).get(["config.json"]))
        files += _weights(model, stop)
    folder = _Downloads(model, progress, stop).get(files)
    sizes = {file: _size(folder / file) for file in files}
    store(_whole(folder), json.dumps(sizes).encode("ascii"))
    return folder


def fetch_small(model: HubModel, files: Iterable[str]) -> Path:
    """The folder of a model with the given files, fetched unless they are on this disk.

    Raises:
        NotAllowed: gated.
        OutOfBudget, Unreachable: see `fetch`.
    """
    return _Downloads(model, None, None).get(files)


def needed_weights(model: HubModel, *, adapter: bool = False) -> list[str]:
    """Names of a model's weight files and of their index; the index is fetched.

    Raises:
        MissingCheckpoint: no weights that a merge can read.
        NotAllowed, Unreachable: see `fetch`.
    """
    if adapter:
        _check_adapter(model)
        return [_ADAPTER[1]]
    return _weights(model, None)


def _whole(folder: Path) -> Path:
    """The marker file of a complete download."""
    return cache_folder("fetched") / hashlib.sha256(str(folder).encode()).hexdigest()


def _is_whole(folder: Path) -> bool:
    """Return True if all fetched files exist, with the sizes they had."""
    try:
        sizes = json.loads(load(_whole(folder)) or b"")
        return all(_size(folder / file) == size for file, size in sizes.items())
    except (ValueError, AttributeError):  # no marker, or an earlier version's
        return False


def _size(path: Path) -> int:
    """Bytes of a file; -1 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def is_here(name: str, commit: str, *, adapter: bool = False) -> bool:
    """Return True if all weights of a model are on this disk."""
    return _complete(name, commit, adapter) is not None


def opens_offline(name: str, commit: str, *, adapter: bool = False) -> bool:
    """Return True if `fetch` asks the Hub for nothing: this program fetched all files."""
    folder = _complete(name, commit, adapter)
    return folder is not None and _is_whole(folder)


def _weights(model: HubModel, stop: Stop | None) -> list[str]:
    """The single weight file, or the index, which is fetched, and the files it lists."""
    row, file = _check_weights(model)
    if file == row.single:
        return [file]
    folder = _Downloads(model, None, stop).get([file])
    shards = list(dict.fromkeys(read_index(folder / file, row).values()))
    absent = [shard for shard in shards if shard not in model.sizes]
    if absent:
        raise MissingCheckpoint(
            f"{model}: its index lists {shown(absent[0])}, which the model does not hold "
            f"({len(absent)} of {len(shards)} files). An upload that broke off is the usual cause."
        )
    return [file, *shards]


def _complete(name: str, commit: str, adapter: bool) -> Path | None:
    folder = cached_folder(name, commit, _ADAPTER[0] if adapter else "config.json")
    if folder is None:
        return None
    try:
        files = (folder / _ADAPTER[1],) if adapter else weight_files(folder).paths
    except CheckpointError:
        return None
    return folder if all(path.exists() for path in files) else None


def _check_adapter(model: HubModel) -> None:
    missing = [file for file in _ADAPTER if file not in model.sizes]
    if missing:
        raise MissingCheckpoint(
            f"{model}: no {missing[0]}, so it is not a LoRA adapter in safetensors. "
            + _held_weights(model)
        )


def _check_weights(model: HubModel) -> tuple[WeightFormat, str]:
    """Return the format and the first file of a model's weights, or say why none can be read."""
    if _ADAPTER[0] in model.sizes and "config.json" not in model.sizes:
        raise MissingCheckpoint(
            f"{model}: an adapter, not a model. Name its base before it: BASE+hub:{model.name}."
        )
    weights = find_format(model.sizes.__contains__)
    gguf = why_gguf(model.sizes)
    if gguf is not None and weights is None:
        raise IncompatibleCheckpoints(f"{model}: {gguf}")
    if "config.json" not in model.sizes:
        raise MissingCheckpoint(f"{model}: no config.json. {_held_weights(model)}")
    if weights is None:
        raise MissingCheckpoint(
            f"{model}: {absent_files()}. {_held_weights(model)} Another "
            "revision (many models have a pull request with safetensors: @refs/pr/N), or a copy "
            "that you save with transformers (save_pretrained), is the way."
        )
    return weights


def _check_quantised(model: HubModel, folder: Path) -> None:
    reason = why_quantised(read_config(folder))
    if reason is not None:
        raise IncompatibleCheckpoints(f"{model}: {reason}")


def _held_weights(model: HubModel) -> str:
    """A sentence that names weight files of a model, in formats that are read or not."""
    suffixes = (*(row.suffix for row in FORMATS), ".gguf", ".pt", ".pth", ".h5", ".onnx")
    files = [file for file in model.sizes if file.endswith(suffixes)]
    return f"It holds {', '.join(sorted(files)[:3])}." if files else "It holds no weights."


class _Downloads:
    """Files of one model, one after another, with their bytes counted together."""

    def __init__(self, model: HubModel, progress: Progress | None, stop: Stop | None) -> None:
        self._model, self._progress, self._stop = model, progress, stop

    def get(self, files: Iterable[str]) -> Path:
        """Fetch missing files; returns their folder."""
        from huggingface_hub import constants, hf_hub_download  # noqa: PLC0415

        name, commit = self._model.name, self._model.commit
        files = list(files)
        missing = [file for file in files if not self._is_good(file)]
        total = sum(self._model.sizes[file] for file in missing)
        _check_room(self._model, total, Path(constants.HF_HUB_CACHE))
        fetched, folder = 0, cached_folder(name, commit, files[0])
        for file in missing:
            check(self._stop)
            bar = _bar(self._reporter(fetched, total, file))
            damaged = cached_folder(name, commit, file) is not None
            with hub_errors(name, commit):
                path = hf_hub_download(
                    name, file, revision=commit, force_download=damaged, tqdm_class=bar
                )
            folder = Path(path).parent
            fetched += self._model.sizes[file]
        if folder is None:
            raise MissingCheckpoint(f"{self._model}: nothing was fetched.")
        return folder

    def _is_good(self, file: str) -> bool:
        """Return True if a file is on this disk with the size the Hub states."""
        folder = cached_folder(self._model.name, self._model.commit, file)
        return folder is not None and _size(folder / file) == self._model.sizes[file]

    def _reporter(self, before: int, total: int, file: str) -> Callable[[int], None]:
        def report_count(count: int) -> None:
            check(self._stop)
            fetched = min(before + count, total)
            report(self._progress, fetched, total, f"bytes of {self._model.name}: {file}")

        return report_count


def _check_room(model: HubModel, nbytes: int, cache: Path) -> None:
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if nbytes > free:
        raise OutOfBudget(
            f"{model}: {nbytes / 1e9:.1f} GB are to be fetched, {place} has room for "
            f"{free / 1e9:.1f} GB. Free some, or set HF_HOME to another disk."
        )


def _bar(report_count: Callable[[int], None]) -> type[Any]:
    """A progress bar class for huggingface_hub that draws nothing and calls `heard`."""
    from huggingface_hub.utils import tqdm  # noqa: PLC0415

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})
            self._count = int(settings.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self._count += int(n or 0)
            report_count(self._count)

    return Silent
