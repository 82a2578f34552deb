"""The presets of the first screen, read from assets/presets.yaml.

Knows no gradio: a preset is a title and a Session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from components.session import ModelChoice, Session

FILE = Path(__file__).resolve().parents[1] / "assets" / "presets.yaml"


@dataclass(frozen=True, slots=True)
class Preset:
    """A starting point with a name."""

    title: str
    session: Session


@cache
def presets() -> tuple[Preset, ...]:
    """All presets; the first one is loaded when the page opens."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))["presets"]
    return tuple(Preset(entry["title"], _session(entry)) for entry in entries)


def first_session() -> Session:
    """What the page opens with."""
    return presets()[0].session


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
        strength=float(entry.get("strength", 0.08)),
        linked=not own,
        factors=tuple(map(float, entry.get("amplification", (1.0, 1.0)))),
        own_factors=tuple((name, tuple(map(float, row))) for name, row in own.items()),
    )
