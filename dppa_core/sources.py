"""Where a checkpoint comes from: the embedded models, a folder, an adapter on either.

Knows names and places, not what is done with the weights.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dppa_core.checkpoint import Checkpoint, SafetensorsCheckpoint
from dppa_core.errors import (
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    UnknownName,
    did_you_mean,
    shown,
)
from dppa_core.lora import LoraCheckpoint
from dppa_core.references import checked_reference

ZOO_DOMAINS = ("math", "finance", "law")
"""The embedded domain models; their base is `zoo:base`."""

_ZOO_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_MOST_ADAPTERS = 8
_HUB = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A name for a checkpoint: "zoo:math", a folder, or "zoo:base+FOLDER" with an adapter."""

    source: Literal["zoo", "local", "lora"]
    location: str
    """Name in the zoo, or path of a folder; of the adapter's where there is one."""
    base: ModelRef | None = None
    """What an adapter is put on."""

    @staticmethod
    def parse(text: str) -> ModelRef:
        """Read a reference as people write it.

        Raises:
            InvalidValue: empty or endless text, or characters that cannot be printed.
            UnknownName: no embedded model can have that name.
            NotAllowed: a model of the Hub, which this version does not fetch.
        """
        text = checked_reference(text)
        # os.path, not Path: it answers False, or leaves text as it is, where a path cannot be.
        if "+" in text and not os.path.exists(os.path.expanduser(text)):
            return _on_adapter(text)
        if text.startswith("zoo:"):
            return ModelRef("zoo", _checked_zoo_name(text[4:]))
        if text.startswith("hub:") or _looks_like_hub(text):
            raise NotAllowed(
                f"{text}: no such folder here, and models of the Hugging Face Hub are not "
                "supported yet. Allowed are zoo:NAME and folders: download it and name its folder."
            )
        return ModelRef("local", text)

    def __str__(self) -> str:
        if self.base is not None:
            return f"{self.base}+{self.location}"
        return f"zoo:{self.location}" if self.source == "zoo" else self.location


def open_checkpoint(ref: ModelRef | str, *, public: bool = False) -> Checkpoint:
    """Map the weights a reference names; nothing is read yet but headers.

    Args:
        ref: The model.
        public: Whether strangers choose the reference: local folders are then refused.

    Raises:
        InvalidValue: no reference at all, or the home of a user there is not.
        NotAllowed: a local folder on a public page, or a model of the Hub.
        CheckpointError: no readable checkpoint there.
    """
    parsed = ModelRef.parse(ref) if isinstance(ref, str) else ref
    if parsed.source == "zoo":
        folder = zoo_root() / _checked_zoo_name(parsed.location)
        if not folder.is_dir():
            raise MissingCheckpoint(
                f"{parsed}: no folder {folder}. The embedded models are trained by "
                "`dppa zoo train`, or found through the variable DPPA_ZOO."
            )
        return SafetensorsCheckpoint(folder)
    if public:
        raise NotAllowed(
            "Folders of this computer are not offered on a public page; allowed are "
            f"{', '.join('zoo:' + name for name in zoo_names())}. Others work in your own copy."
        )
    folder = _folder(parsed.location)
    if parsed.base is not None:
        return LoraCheckpoint(open_checkpoint(parsed.base), folder)
    return SafetensorsCheckpoint(folder)


def zoo_root() -> Path:
    """Folder of the embedded models: `DPPA_ZOO`, else the package's own, else the repository's."""
    chosen = os.environ.get("DPPA_ZOO")
    if chosen:
        return Path(chosen)
    package = Path(__file__).resolve().parent
    packaged = package / "_zoo"
    return packaged if packaged.is_dir() else package.parent / "assets" / "zoo"


def zoo_names() -> tuple[str, ...]:
    """Names of the embedded models, base first."""
    return ("base", *ZOO_DOMAINS)


def _checked_zoo_name(name: str) -> str:
    if not _ZOO_NAME.fullmatch(name) or (
        name not in zoo_names() and not (zoo_root() / name / "config.json").is_file()
    ):
        hint = did_you_mean(name, zoo_names())
        raise UnknownName(f"{shown('zoo:' + name)}: no embedded model of that name. {hint}")
    return name


def _on_adapter(text: str) -> ModelRef:
    base, _, adapter = (part.strip() for part in text.rpartition("+"))
    if not base or not adapter:
        raise InvalidValue(
            f"{text}: a + stands between a model and its adapter, as zoo:base+FOLDER."
        )
    if base.count("+") >= _MOST_ADAPTERS:
        raise InvalidValue(f"{shown(text)}: more than {_MOST_ADAPTERS} adapters on one model.")
    return ModelRef("lora", adapter, ModelRef.parse(base))


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InvalidValue(
            f"{text}: no user of that name, so no home folder. Write the whole path."
        ) from None


def _looks_like_hub(text: str) -> bool:
    if text.startswith(("/", ".", "~")) or not _HUB.fullmatch(text):
        return False
    return not os.path.exists(text)
