"""A base with its three domain models, as `dppa zoo train` leaves them in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.adapters.lora_files import CONFIG
from dppa_core.errors import MissingCheckpoint
from dppa_core.merging.convert import convert_to_folder
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.manners import MANNERS
from dppa_lab.zoo.regimes import BETWEEN

RECORD = "training.json"


@dataclass(frozen=True, slots=True)
class TrainedSet:
    """The references of a set's models, and how they were trained."""

    name: str
    references: Mapping[str, str]
    """base and every domain that is there -> its reference."""
    record: Mapping[str, Any]
    """Size, regime and seed."""
    adapted: bool
    """True if the domain models are adapters, which leave embeddings and norms as they are."""
    folder: Path

    def complete(self) -> Mapping[str, str]:
        """`references`; raises MissingCheckpoint unless all three domains are there."""
        for name in DOMAINS:
            if name not in self.references:
                raise MissingCheckpoint(
                    f"{self.folder}: no model {name}. `dppa zoo train` makes it."
                )
        return self.references

    def written(self, place: Path) -> Path:
        """A folder with all models as whole checkpoints: its own, or one that is written."""
        if (self.folder / "base").is_dir() and not self.adapted:
            return self.folder
        for name, reference in self.references.items():
            convert_to_folder(reference, place / name, sync=False)
        return place


def trained_set(folder: Path) -> TrainedSet:
    """The set in a folder: base and models of domains or manners; the base may lie elsewhere.

    Raises:
        MissingCheckpoint: no domain model is there, or no base.
    """
    names = [name for name in (*DOMAINS, *MANNERS) if (folder / name).is_dir()]
    if not names:
        raise MissingCheckpoint(
            f"{folder}: none of {', '.join((*DOMAINS, *MANNERS))}. `dppa zoo train` makes them."
        )
    training = record_of(folder / names[0])
    base = str(folder / "base") if (folder / "base").is_dir() else str(training.get("base", ""))
    if not base:
        raise MissingCheckpoint(
            f"{folder}: no model base. `dppa zoo train` makes a set of four models."
        )
    adapters = {name for name in names if (folder / name / CONFIG).is_file()}
    references = {
        name: f"{base}+{folder / name}" if name in adapters else str(folder / name)
        for name in names
    }
    size = training.get("size") or (
        "embedded" if "rank" not in training else base.removeprefix("zoo:")
    )
    record = {
        "size": size,
        "regime": training.get("regime", "settled"),
        "seed": training.get("seed", training.get("stage", {}).get("seed", 0)),
    }
    return TrainedSet(folder.name, {"base": base, **references}, record, bool(adapters), folder)


def set_title(record: Mapping[str, Any]) -> str:
    """Size, regime and seed of a set."""
    return f"{kind_title(record)}, seed {record['seed']}"


def kind_title(record: Mapping[str, Any]) -> str:
    """Size and regime of a set; `between` as in the study plan, `large` told apart from a size."""
    regime = {BETWEEN: "between", "large": "large deltas"}.get(record["regime"], record["regime"])
    return f"{record['size']}, {regime}"


def record_of(folder: Path) -> dict[str, Any]:
    """The record of training in the folder of a model; empty if there is none."""
    file = folder / RECORD
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}
