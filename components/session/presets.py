"""The presets of the first screen, read from assets/data/presets.yaml, and sets to be fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from dppa_core.checkpoints.sources.zoo import needs_fetch
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.preflight_checks.fetchable_sets import FetchableSet, fetchable_sets

from .fields import SLIDERS
from .session import ModelChoice, Session
from .shipped import shipped

FILE = shipped("assets/data/presets.yaml")


def presets() -> Mapping[str, Session]:
    """Title -> session of every preset whose models are here; the first one is loaded when the page
    opens."""
    return {
        title: session
        for title, session in all_presets().items()
        if not needs_fetch(session.base.removeprefix("zoo:"))
    }


@cache
def all_presets() -> Mapping[str, Session]:
    """Title -> session of every preset, also of those whose models have to be fetched."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))["presets"]
    return {entry["title"]: _session(entry) for entry in entries}


def first_session() -> Session:
    """The session of the first preset."""
    return next(iter(presets().values()))


def find_fetchable_set(title: object) -> FetchableSet | None:
    """The set of models to fetch with a title or a name; None if there is none."""
    return next(
        (models for models in fetchable_sets() if title in (models.title, models.name)), None
    )


def fetched_session(title: str, references: Sequence[str]) -> Session:
    """The session of a set that was fetched: its preset, else the base with its domain models."""
    if title in presets():
        return presets()[title]
    return Session(base=references[0], models=tuple(map(ModelChoice, references[1:])))


def fetchable_choices(*, public: bool) -> dict[str, Any]:
    """The sets to fetch for the page's list; a public page cannot choose them."""
    rows = [
        {"title": models.title, "size": in_bytes(models.download)}
        for models in fetchable_sets()
        if models.title not in presets()
    ]
    head = "To be fetched, in your own copy" if public else "To be fetched"
    return {"head": head, "off": public, "rows": rows}


def _session(entry: dict[str, Any]) -> Session:
    models = tuple(
        ModelChoice(row["model"], row.get("active", True), float(row.get("coefficient", 1.0)))
        for row in entry["models"]
    )
    factors = {
        row["model"]: row["amplification"] for row in entry["models"] if "amplification" in row
    }
    return Session(
        base=entry.get("base", "zoo:base"),
        models=models,
        **{item.name: item.from_json(entry[item.key]) for item in SLIDERS if item.key in entry},
        shares=tuple(map(float, entry.get("shares", ()))),
        linked=not factors,
        factors=tuple(map(float, entry.get("amplification", (1.0, 1.0)))),
        own_factors=tuple((name, tuple(map(float, row))) for name, row in factors.items()),
    )
