"""The presets of the first screen, read from assets/data/presets.yaml, and sets of Hub models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from components.session.session import USUAL, ModelChoice, Session
from components.session.shipped import shipped
from dppa_core.merging.preflight.facts import in_bytes
from dppa_core.merging.preflight.hub_presets import HubPreset, hub_presets

FILE = shipped("assets/data/presets.yaml")


@cache
def presets() -> Mapping[str, Session]:
    """Title -> session of every preset; the first one is loaded when the page opens."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))["presets"]
    return {entry["title"]: _session(entry) for entry in entries}


def first_session() -> Session:
    """The session of the first preset."""
    return next(iter(presets().values()))


def find_hub_preset(title: object) -> HubPreset | None:
    """The set of Hub models with a title or a name; None if there is none."""
    return next((one for one in hub_presets() if title in (one.title, one.name)), None)


def hub_session(references: Sequence[str]) -> Session:
    """The session of a set of Hub models: the base, then its domain models."""
    return Session(base=references[0], models=tuple(map(ModelChoice, references[1:])))


def hub_choices(*, public: bool) -> dict[str, Any]:
    """The sets of Hub models for the page's list; a public page cannot choose them."""
    rows = [
        {"title": one.title, "size": in_bytes(sum(model.bytes for model in one.all))}
        for one in hub_presets()
    ]
    head = "Models of the Hub, in your own copy" if public else "Models of the Hub"
    return {"head": head, "off": public, "rows": rows}


def _session(entry: dict[str, Any]) -> Session:
    models = tuple(
        ModelChoice(row["model"], row.get("active", True), float(row.get("coefficient", 1.0)))
        for row in entry["models"]
    )
    own = {row["model"]: row["amplification"] for row in entry["models"] if "amplification" in row}
    return Session(
        base=entry.get("base", "zoo:base"),
        models=models,
        rate=float(entry["rate"]),
        partitions=int(entry.get("partitions", 2)),
        shares=tuple(map(float, entry.get("shares", ()))),
        strength=float(entry.get("strength", USUAL.strength)),
        linked=not own,
        factors=tuple(map(float, entry.get("amplification", (1.0, 1.0)))),
        own_factors=tuple((name, tuple(map(float, row))) for name, row in own.items()),
    )
