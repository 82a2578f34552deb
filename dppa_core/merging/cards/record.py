"""The record of a merge: merge.json beside the weights. The same merge gives the same record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dppa_core.checkpoints.fingerprints import Fingerprint, one_fingerprint
from dppa_core.checkpoints.folders.small_files import read_object
from dppa_core.errors import DamagedCheckpoint, as_required
from dppa_core.preflight_checks.provenance import Parent
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.share_plot import shares_by_place

RECORD = "merge.json"
_VERSION = 2


@dataclass(frozen=True, slots=True)
class KeptModule:
    """Elements that a merge keeps of one linear module."""

    name: str
    layer: int
    kind: str
    numel: int
    kept: tuple[int, ...]
    """Elements of the delta, per domain model in the recipe's order; for random drops the expected
    number, for methods that combine deltas the number that enters the combination."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Models that the files beside merged weights come from."""

    tokenizer: str
    """A reference, or a union."""
    chat_template: str
    """A reference, and why that model."""
    generation_config: str
    """A reference."""


@dataclass(frozen=True, slots=True)
class Requantised:
    """What rounding to a format of few bits took of a merge: shares of ‖W‖."""

    format: str
    error: float
    """Of all matrices that were rounded."""
    tensors: Mapping[str, float]
    """Of each."""
    of_added: float | None = None
    """The same error as a share of ‖merge - base‖; None if nothing was added, or in the record of
    an older version."""


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """The outcome of a merge; unknown parts are empty."""

    parents: tuple[Parent, ...] = ()
    """Base, domain models and adapters."""
    modules: tuple[KeptModule, ...] = ()
    energies: tuple[float, ...] = ()
    """Share of the modules' squared delta kept, per domain model; for methods that make plans."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every weight file, by its name."""
    tensors: tuple[Fingerprint, ...] = ()
    origins: Origins | None = None
    warnings: tuple[str, ...] = ()
    """One line for each domain model that was hardly made from the base."""
    pipeline: str = "text-generation"
    """The Hub's pipeline tag; empty if the card names none."""
    requantised: Requantised | None = None
    """None if the weights are plain numbers."""

    @property
    def digest(self) -> str:
        """One hash of all tensors; empty if they are unknown."""
        return one_fingerprint(self.tensors) if self.tensors else ""

    def density(self, model: int) -> float | None:
        """Share of the modules' delta kept of one domain model; None if it is unknown."""
        total = sum(module.numel for module in self.modules)
        return sum(module.kept[model] for module in self.modules) / total if total else None

    def shares(self, model: int) -> dict[tuple[int, str], float]:
        """(layer, kind) -> share kept; experts of one kind together. Empty if all is kept."""
        if all(module.kept[model] == module.numel for module in self.modules):
            return {}
        return shares_by_place((m.layer, m.kind, m.kept[model], m.numel) for m in self.modules)


def planned_record(
    parents: Sequence[Parent],
    plans: Sequence[PruningPlan],
    origins: Origins | None = None,
    warnings: tuple[str, ...] = (),
    pipeline: str = "text-generation",
) -> MergeRecord:
    """The record before a merge: for methods that make plans, what will be kept."""
    modules = []
    for column in zip(*(plan.modules for plan in plans), strict=True):
        first, kept = column[0], tuple(module.kept for module in column)
        modules.append(KeptModule(first.name, first.layer, first.kind, first.numel, kept))
    return MergeRecord(
        tuple(parents),
        tuple(modules),
        energies=tuple(plan.energy for plan in plans),
        origins=origins,
        warnings=warnings,
        pipeline=pipeline,
    )


def write_record(record: MergeRecord, folder: Path) -> None:
    """Write a folder's merge.json."""
    values = {"version": _VERSION, "digest": record.digest, **asdict(record)}
    if record.requantised is None:
        del values["requantised"]
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", "utf-8")


def read_record(folder: Path) -> MergeRecord:
    """Read a folder's merge.json.

    Raises:
        DamagedCheckpoint: it cannot be read, is of another version, or its digest does not match
            its tensors.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  (a tenth of a second)

    values = read_object(folder / RECORD)
    version, digest = values.pop("version", None), values.pop("digest", None)
    if version != _VERSION:
        raise DamagedCheckpoint(
            f"{folder / RECORD}: has version {version!r}; only {_VERSION} can be read. A merge by "
            "another version of DPPA Studio is the usual cause; merge its recipe again."
        )
    try:
        record = TypeAdapter(MergeRecord).validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedCheckpoint(f"{folder / RECORD}: {place}: {as_required(first)}.") from error
    if record.digest != digest:
        raise DamagedCheckpoint(
            f"{folder / RECORD}: its digest does not match the tensors it lists. An edited file "
            "is the usual cause."
        )
    return record
