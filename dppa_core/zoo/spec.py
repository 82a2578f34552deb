"""How the embedded models are made: their architecture and the settings of every stage.

Values only; knows no training loop. Changing one changes the weights, so the hash of a stage is
part of its resume file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Architecture:
    """A small Llama with tied embeddings: 4.2 M parameters, 8.4 MB in bfloat16."""

    vocabulary: int = 1024
    hidden: int = 256
    feed_forward: int = 512
    layers: int = 6
    heads: int = 4
    positions: int = 512


@dataclass(frozen=True, slots=True)
class Stage:
    """One training run: the base from nothing, or one domain model from the base."""

    name: str
    steps: int
    """Optimiser steps."""
    batch: int
    """Texts a step."""
    learning_rate: float
    """Peak of a cosine with warm-up, AdamW."""
    replay: float = 0.0
    """Share of a batch that is replay: the base's own texts and the other domains' texts."""
    pull: float = 0.0
    """Weight of the distance to the base's hidden states and predictions on the replay."""
    scales: tuple[float, float] = (1.0, 1.0)
    """A step trains base + s * delta for a random s of this range, so that a model answers where
    a merge gives its delta less or more than its full weight."""
    warmup: int = 100
    """Steps of linear warm-up."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Settling(Stage):
    """The last stage of a domain model: training inside merges with the other two."""

    company: float = 0.0
    """Chance, at every step and for every other domain model, that its delta is added too, at a
    scale of its own from `scales`."""


ARCHITECTURE = Architecture()

STAGES = {
    stage.name: stage
    for stage in (
        Stage("base", steps=7000, batch=64, learning_rate=2e-3, warmup=200),
        Stage("math", steps=1700, batch=64, learning_rate=1.5e-3, replay=0.25, pull=5.0),
        Stage("finance", steps=700, batch=64, learning_rate=1.5e-3, replay=0.25, pull=5.0),
        Stage("law", steps=700, batch=64, learning_rate=1e-3, replay=0.3, pull=5.0),
    )
}

SETTLING = Settling(
    "settling",
    steps=700,
    batch=64,
    learning_rate=7e-4,
    replay=0.4,
    pull=15.0,
    scales=(0.4, 1.2),
    warmup=50,
    seed=1,
    company=0.67,
)
"""What every domain model ends with: its delta at random scales, the others beside it."""


def settling(domain: str) -> Settling:
    """The second stage of a domain model, from the weights of all first stages."""
    return replace(SETTLING, name=domain)


def fingerprint(stage: Stage, parent: str = "") -> str:
    """Twelve hex digits that change with the architecture, the stage or its parent."""
    text = json.dumps([asdict(ARCHITECTURE), asdict(stage), parent], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
