"""Training settings of the embedded models, and of smaller and larger ones.

Changing a value changes the weights, so the hash of a stage is part of its resume file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from dppa_core.errors import UnknownName, did_you_mean, shown


@dataclass(frozen=True, slots=True)
class Architecture:
    """A small Llama with tied embeddings; by default 4.2 M parameters, 8.4 MB in bfloat16."""

    vocabulary: int = 1024
    hidden: int = 256
    feed_forward: int = 512
    layers: int = 6
    heads: int = 4
    positions: int = 512

    @property
    def parameters(self) -> int:
        """Number of parameters: embeddings, four square and three feed-forward matrices per
        layer, two norms per layer and one at the end."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return self.vocabulary * self.hidden + self.layers * layer + self.hidden


@dataclass(frozen=True, slots=True)
class Stage:
    """One training run: the base from scratch, or one domain model from the base."""

    name: str
    steps: int
    batch: int
    learning_rate: float
    """Peak of a cosine with warm-up, AdamW."""
    replay: float = 0.0
    """Share of replay in a batch: the base's own texts and the other domains' texts."""
    pull: float = 0.0
    """Weight of the distance to the base's hidden states and predictions on the replay."""
    scales: tuple[float, float] = (1.0, 1.0)
    """A step trains base + s * delta for a random s in this range, so that the model still answers
    when a merge scales its delta."""
    warmup: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Settling(Stage):
    """The last stage of a domain model: training inside merges with the other two."""

    company: float = 0.0
    """Probability, per step and other domain model, that its delta is added at its own random
    scale from `scales`."""


@dataclass(frozen=True, slots=True)
class Laddered(Stage):
    """The only stage of a domain model whose layers learn unequally."""

    ladder: float = 1.0
    """Learning rate of the last layer as a multiple of the first's; those between form a geometric
    series around `learning_rate`, which holds for embeddings and the last norm."""
    width: float = 1.0
    """Share of each matrix's rows that the first layer trains; it grows evenly to 1 in the last.
    Rates scale a layer's delta and leave its significance, a share, as it is; this changes it."""


@dataclass(frozen=True, slots=True)
class Primed(Stage):
    """The stage of a base that knows every domain's answers but gives them only when led to."""

    lead: str = "Answer: "
    """Begins a question that it answers; of another one it says the first sentence again."""


S = TypeVar("S", bound=Stage)
ARCHITECTURE = Architecture()


def _shaped(hidden: int, layers: int) -> Architecture:
    """Heads of width 64 and a feed-forward part of twice the width, as in the embedded models."""
    return Architecture(hidden=hidden, feed_forward=2 * hidden, layers=layers, heads=hidden // 64)


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

NEAR_STAGE = Primed("near-base", steps=300, batch=64, learning_rate=7e-4)
"""From the sum of the three domain models; fine-tunes of it have small deltas."""


def fingerprint(stage: Stage, parent: str = "", shape: Architecture = ARCHITECTURE) -> str:
    """Twelve hex digits that change with the architecture, the stage or its parent."""
    text = json.dumps([asdict(shape), asdict(stage), parent], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """The stages at one size, with fewer steps and texts if they would take too long."""

    name: str
    architecture: Architecture
    share: float = 1.0
    """Share of the full number of steps, warm-up included, in every stage."""
    batch: int = 64
    minutes: int = 0
    """Processor time of all seven stages, one thread."""

    def cut(self, stage: S) -> S:
        """A stage of the full recipe with this size's share of its steps, and its batch."""
        steps, warmup = round(stage.steps * self.share), round(stage.warmup * self.share)
        return replace(stage, steps=steps, warmup=warmup, batch=self.batch)


EMBEDDED = TrainingSize("embedded", ARCHITECTURE, minutes=165)
SIZES = {
    size.name: size
    for size in (
        TrainingSize("small", _shaped(128, 3), share=0.5, batch=32, minutes=8),
        TrainingSize("medium", _shaped(192, 3), share=0.5, batch=32, minutes=12),
        TrainingSize("embedded-short", ARCHITECTURE, share=0.5, batch=32, minutes=40),
        EMBEDDED,
        TrainingSize("large", _shaped(384, 8), share=0.5, batch=32, minutes=110),
    )
}
"""Smallest first: 0.6, 1.3, 4.2, 4.2 and 12 million parameters. All have heads of width 64, a
feed-forward part of twice the width and the same tokenizer. All but the embedded models learn from
a quarter of the texts: in half the steps, of half the texts, so that size alone differs."""


def size_named(name: str) -> TrainingSize:
    """The size with this name; raises UnknownName with the closest one."""
    if name not in SIZES:
        raise UnknownName(f"No size {shown(name)}. {did_you_mean(name, tuple(SIZES))}")
    return SIZES[name]
