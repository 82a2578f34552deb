"""Downloads from a model of the Hub only the files that merging needs, never code.

Complete files are kept, so an interrupted download continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from dppa_core.checkpoints.adapters.lora_files import CONFIG, WEIGHTS
from dppa_core.checkpoints.folders.quantisation import why_gguf, why_quantised
from dppa_core.checkpoints.folders.sentence_files import listed_encoder, sentence_names
from dppa_core.checkpoints.folders.small_files import COMPANIONS, CONFIGS, read_config
from dppa_core.checkpoints.formats import (
    FORMATS,
    WeightFormat,
    absent_files,
    find_format,
    read_index,
    weight_files,
)
from dppa_core.checkpoints.low_bit.formats import low_bit_format
from dppa_core.checkpoints.sources.hub import HubModel, cached_folder, hub_errors, look_up
from dppa_core.errors import (
    CheckpointError,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    OutOfBudget,
    Unreachable,
    shown,
)
from dppa_core.progress import RunControl, Stop, check, report
from dppa_core.system.folder_cache import cache_folder, load, store

_ADAPTER = (CONFIG, WEIGHTS)


def fetch(name: str, commit: str, *, adapter: bool = False, **control: Unpack[RunControl]) -> Path:
    """The folder of a model, downloaded unless it is on this disk.

    Args:
        name: owner/name.
        commit: 40 hex digits; see `resolve`.
        adapter: True for a LoRA adapter.
        progress: Called with bytes.
        stop: Ends the download; complete files stay.
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
    small = ("README.md", *_ADAPTER) if adapter else (*CONFIGS, "README.md", *COMPANIONS)
    files = [file for file in small if file in model.sizes]
    if adapter:
        _check_adapter(model)
    else:
        files += sentence_names(model.sizes)
        _check_weights(model)
        stop = control.get("stop")
        configs = [file for file in CONFIGS if file in model.sizes]
        config = read_config(fetch_files(model, configs, stop=stop))
        reason = None if low_bit_format(config) else why_quantised(config)
        if reason is not None:
            raise IncompatibleCheckpoints(f"{model}: {reason}")
        files += _weights(model, stop)
    folder = fetch_files(model, files, **control)
    sizes = {file: _size(folder / file) for file in files}
    store(_whole(folder), json.dumps(sizes).encode("ascii"))
    return folder


def fetch_tokenizer(name: str, commit: str) -> Path:
    """The folder of a model with its small files, the tokenizer's among them; no weights are
    fetched. Without the Hub, what is on this disk."""
    try:
        model = look_up(name, commit)
    except Unreachable:
        cached = cached_folder(name, commit)
        if cached is None:
            raise
        return cached
    return fetch_files(model, [file for file in (*CONFIGS, *COMPANIONS) if file in model.sizes])


def fetch_files(model: HubModel, files: Sequence[str], **control: Unpack[RunControl]) -> Path:
    """The folder of a model with the given files, of which those not on this disk are fetched."""
    from huggingface_hub import constants, hf_hub_download  # noqa: PLC0415  (a third of a second)

    missing = [file for file in files if not _is_good(model, file)]
    total, fetched = sum(model.sizes[file] for file in missing), 0
    _check_room(model, total, Path(constants.HF_HUB_CACHE))
    folder = cached_folder(model.name, model.commit, files[0])
    for file in missing:
        check(control.get("stop"))
        bar = _bar(partial(_report, model, file, fetched, total, control))
        damaged = cached_folder(model.name, model.commit, file) is not None
        with hub_errors(model.name, model.commit):
            path = hf_hub_download(
                model.name,
                file,
                revision=model.commit,
                force_download=damaged,
                tqdm_class=bar,
            )
        folder = Path(path).parents[file.count("/")]
        fetched += model.sizes[file]
    if folder is None:
        raise MissingCheckpoint(f"{model}: nothing was fetched.")
    return folder


def needed_weights(model: HubModel, *, adapter: bool = False) -> list[str]:
    """Names of a model's weight files and of their index; the index is fetched."""
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
    folder = fetch_files(model, [file], stop=stop)
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
    inner = listed_encoder(model.sizes) if weights is None else ""
    if inner:
        raise MissingCheckpoint(
            f"{model}: its encoder lies in {inner}, as older releases of sentence-transformers "
            f"wrote it. Fetch it with `hf download {model.name} --local-dir FOLDER`, and name "
            "FOLDER instead."
        )
    if "config.json" not in model.sizes:
        raise MissingCheckpoint(f"{model}: no config.json. {_held_weights(model)}")
    if weights is None:
        raise MissingCheckpoint(
            f"{model}: {absent_files()}. {_held_weights(model)} Another "
            "revision (many models have a pull request with safetensors: @refs/pr/N), or a copy "
            "that you save with transformers (save_pretrained), is the way."
        )
    return weights


def _held_weights(model: HubModel) -> str:
    """A sentence that names weight files of a model, in formats that are read or not."""
    suffixes = (*(row.suffix for row in FORMATS), ".gguf", ".pt", ".pth", ".h5", ".onnx")
    files = [file for file in model.sizes if file.endswith(suffixes)]
    return f"It holds {', '.join(sorted(files)[:3])}." if files else "It holds no weights."


def _is_good(model: HubModel, file: str) -> bool:
    """Return True if a file is on this disk with the size the Hub states."""
    folder = cached_folder(model.name, model.commit, file)
    return folder is not None and _size(folder / file) == model.sizes[file]


def _report(
    model: HubModel, file: str, before: int, total: int, control: RunControl, count: int
) -> None:
    """Report `count` bytes of a file, which follow `before` bytes of others."""
    check(control.get("stop"))
    label = f"bytes of {model.name}: {file}"
    report(control.get("progress"), min(before + count, total), total, label)


def _check_room(model: HubModel, nbytes: int, cache: Path) -> None:
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if nbytes > free:
        raise OutOfBudget(
            f"{model}: {nbytes / 1e9:.1f} GB are to be fetched, {place} has room for "
            f"{free / 1e9:.1f} GB. Free some, or set HF_HOME to another disk."
        )


def _bar(report_count: Callable[[int], None]) -> type[Any]:
    """A progress bar class for huggingface_hub that draws nothing and calls `report_count`."""
    from huggingface_hub.utils import tqdm  # noqa: PLC0415

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})
            self._count = int(settings.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self._count += int(n or 0)
            report_count(self._count)

    return Silent
