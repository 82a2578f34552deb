"""Sets of models that are fetched on request, with their sizes, and whether they run here.

Reads assets/data/presets.yaml; asks the Hub for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from dppa_core.checkpoints.sources.download import is_here
from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.checkpoints.sources.hub import cached_folder, is_commit
from dppa_core.checkpoints.sources.zoo import needs_fetch, zoo_base
from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.preflight_checks.estimate import WIDTHS, Estimate, Sizes, estimate
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.system.machine import Machine


@dataclass(frozen=True, slots=True)
class PresetModel:
    """One model of a set."""

    model: str
    """owner/name on the Hub, or zoo:NAME."""
    parameters: int
    revision: str = ""
    """Commit; empty if none could be verified, for the main branch."""
    dtype: str = "bfloat16"
    """Of the stored weights."""
    licence: str | None = None
    """Identifier of the Hub; None if its card was not seen."""
    gated: bool = False
    """True if its authors want their terms accepted first."""
    download: int | None = None
    """Bytes to fetch; None for those of its weights."""

    @property
    def reference(self) -> str:
        """Its reference in recipes."""
        if self.shipped:
            return self.model
        return f"hub:{self.model}@{self.revision}" if self.revision else f"hub:{self.model}"

    @property
    def shipped(self) -> bool:
        """True if the program knows it by name, and no Hub is asked."""
        return self.model.startswith("zoo:")

    @property
    def bytes(self) -> int:
        """Bytes of its weights."""
        return self.parameters * WIDTHS[self.dtype]

    @property
    def fetched_bytes(self) -> int:
        """Bytes to fetch where nothing is here."""
        return self.bytes if self.download is None else self.download

    @property
    def is_fetched(self) -> bool:
        """True if its weights are on this disk, as far as known without the Hub."""
        if self.shipped:
            return not needs_fetch(self.model[4:])
        commit = self.revision
        if not is_commit(commit):
            folder = cached_folder(self.model)
            commit = folder.name if folder else ""
        return bool(commit) and is_here(self.model, commit)


@dataclass(frozen=True, slots=True)
class FetchableSet:
    """A base and the domain models made from it."""

    name: str
    """Name on the command line."""
    title: str
    base: PresetModel
    models: tuple[PresetModel, ...]
    note: str = ""
    """Remark to read before merging them; empty if there is none."""

    @property
    def all(self) -> tuple[PresetModel, ...]:
        """The base, then the others."""
        return (self.base, *self.models)

    @property
    def references(self) -> tuple[str, ...]:
        """References of the base, then of the others."""
        return tuple(model.reference for model in self.all)

    @property
    def gated(self) -> tuple[str, ...]:
        """Models whose terms have to be accepted."""
        return tuple(model.model for model in self.all if model.gated)

    @property
    def licences(self) -> tuple[str, ...]:
        """Licences that the cards state, each once; "not stated here" if one was not seen."""
        return tuple(dict.fromkeys(model.licence or "not stated here" for model in self.all))

    @property
    def download(self) -> int:
        """Bytes to fetch where nothing is here."""
        return sum(model.fetched_bytes for model in self.all)

    def missing(self) -> int:
        """Bytes of weights that are not on this disk."""
        return sum(model.fetched_bytes for model in self.all if not model.is_fetched)

    def estimate(self, missing: int) -> Estimate:
        """Cost of merging all of them, by the formulas of preflight."""
        stored = tuple(model.bytes for model in self.all)
        return estimate(Sizes(self.base.parameters, stored, missing))


@dataclass(frozen=True, slots=True)
class RunsHere:
    """Answer to whether a machine can merge a set, and chat with the merge."""

    merge: bool
    chat: bool
    reason: str
    """The lacking resources; empty if none is."""

    @property
    def word(self) -> str:
        """yes, merge only, or no."""
        return "yes" if self.merge and self.chat else "merge only" if self.merge else "no"


def runs_here(needed: Estimate, machine: Machine) -> RunsHere:
    """Compare a merge's cost with a machine's free resources; unknown memory counts as enough."""
    memory, reasons = machine.memory, []
    disk = needed.download + needed.written
    if disk > machine.disk:
        reasons.append(f"{in_bytes(disk)} of disk, {in_bytes(machine.disk)} are left")
    merge = not reasons and (memory is None or needed.merge_memory <= memory)
    chat = memory is None or needed.model_memory <= memory
    if memory is not None and not (chat and needed.merge_memory <= memory):
        largest = max(needed.model_memory, needed.merge_memory)
        reasons.append(f"{in_bytes(largest)} of memory, {in_bytes(memory)} are left")
    return RunsHere(merge, merge and chat, "; ".join(reasons))


def preset_json(preset: FetchableSet, machine: Machine) -> dict[str, Any]:
    """A set as JSON values, with what it takes and whether it runs here."""
    missing = preset.missing()
    needed = preset.estimate(missing)
    verdict = runs_here(needed, machine)
    return {
        "name": preset.name,
        "title": preset.title,
        "note": preset.note,
        "base": preset.base.reference,
        "models": [model.reference for model in preset.models],
        "parameters": preset.base.parameters,
        "bytes": sum(model.bytes for model in preset.all),
        "missing_bytes": missing,
        "licences": list(preset.licences),
        "gated": list(preset.gated),
        "estimate": asdict(needed),
        "runs_here": verdict.word,
        "reason": verdict.reason,
    }


@cache
def fetchable_sets() -> tuple[FetchableSet, ...]:
    """All sets, the smallest first."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_presets.yaml"
    in_checkout = package.parent / "assets" / "data" / "presets.yaml"
    text = (packaged if packaged.is_file() else in_checkout).read_text("utf-8")
    entries: list[dict[str, Any]] = yaml.safe_load(text)["hub"]
    return tuple(_preset(entry) for entry in entries)


def fetchable_set(name: str) -> FetchableSet:
    """The set of that name; UnknownName names the closest one."""
    presets = {preset.name: preset for preset in fetchable_sets()}
    if name not in presets:
        raise UnknownName(f"No preset {shown(name)}. {did_you_mean(name, presets)}")
    return presets[name]


def _model(entry: Mapping[str, Any]) -> PresetModel:
    """A model of a set; what is known of one that the program fetches stands with it."""
    name = str(entry["model"]).removeprefix("zoo:")
    model = FETCHABLE.get(zoo_base(name) or name)
    if model is None:
        return PresetModel(**entry)
    download = 0 if zoo_base(name) else model.download
    return PresetModel(entry["model"], model.parameters, licence=model.licence, download=download)


def _preset(entry: Mapping[str, Any]) -> FetchableSet:
    models = tuple(map(_model, entry["models"]))
    return FetchableSet(
        entry["name"],
        entry["title"],
        _model(entry["base"]),
        models,
        " ".join(str(entry.get("note", "")).split()),
    )
