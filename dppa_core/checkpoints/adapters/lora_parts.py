"""The tensors of an adapter's file, grouped by the weight of the base they change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dppa_core.checkpoints.safetensors_reader import SafetensorsFile, open_file
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint, NotAllowed
from dppa_core.pruning.floats import FLOATS

WEIGHTS = "adapter_model.safetensors"
_WRAPPERS = re.compile(r"\.(?:base_layer|modules_to_save|default)(?=\.|$)")
_PART = re.compile(
    r"(?P<module>.+)\.lora_(?:(?P<side>[AB])\.weight|embedding_(?P<rows>[AB])"
    r"|(?P<magnitude>magnitude_vector)(?:\.weight)?|(?P<bias>B\.bias))"
)


@dataclass(frozen=True, slots=True)
class LoraUpdate:
    """The parts of one adapted weight, by their names in the file; an absent part is empty."""

    a: str = ""
    """rank x in; for an embedding rank x tokens."""
    b: str = ""
    """out x rank; for an embedding width x rank."""
    magnitude: str = ""
    """For DoRA, the norm that each row (out) is scaled to."""
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class AdapterParts:
    """The changes an adapter makes, by the base's names (a prefix may differ)."""

    file: SafetensorsFile
    updates: Mapping[str, LoraUpdate] = field(default_factory=dict)
    """Module, as "model.layers.0.self_attn.q_proj" -> its A and B."""
    biases: Mapping[str, str] = field(default_factory=dict)
    """Module -> the addition to its bias."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the base -> the trained tensor that replaces it."""


def read_parts(folder: Path) -> AdapterParts:
    """Sort the tensors of an adapter folder."""
    if not (folder / WEIGHTS).is_file() and (folder / "adapter_model.bin").is_file():
        raise MissingCheckpoint(
            f"{folder}: adapter_model.bin is a pickle, {WEIGHTS} is needed. "
            "Load it with peft and save it again (save_pretrained)."
        )
    file = open_file(folder / WEIGHTS)
    updates: dict[str, LoraUpdate] = {}
    biases, replaced = {}, {}
    for stored, info in file.tensors.items():
        if info.dtype not in FLOATS:
            raise DamagedCheckpoint(
                f"{file.path}: {stored} has dtype {info.dtype}; an adapter has {', '.join(FLOATS)}."
            )
        name = _WRAPPERS.sub("", stored.removeprefix("base_model.model."))
        match = _PART.fullmatch(name)
        if match is None:
            replaced[name] = stored
        elif match["bias"]:
            biases[match["module"]] = stored
        else:
            parts = updates.get(match["module"], LoraUpdate())
            updates[match["module"]] = _with(parts, match, stored)
    for module, update in updates.items():
        _check(folder, module, update)
    return AdapterParts(file, updates, biases, replaced)


def _with(update: LoraUpdate, match: re.Match[str], stored: str) -> LoraUpdate:
    if match["magnitude"]:
        return replace(update, magnitude=stored)
    side = match["side"] or match["rows"]
    embedding = match["rows"] is not None
    if side == "A":
        return replace(update, a=stored, embedding=embedding)
    return replace(update, b=stored, embedding=embedding)


def _check(folder: Path, module: str, update: LoraUpdate) -> None:
    if not update.a or not update.b:
        raise DamagedCheckpoint(
            f"{folder / WEIGHTS}: {module} has only {'B' if update.b else 'A'}, A and B belong "
            "together. A file cut short, or put together by hand, is the usual cause."
        )
    if update.embedding and update.magnitude:
        raise NotAllowed(
            f"{folder}: {module} is an embedding with DoRA, which is not computed here. Merge it "
            "with peft (merge_and_unload), save the model, and name that folder."
        )
