"""Regimes of training, and the set of four models that a size, a regime and a seed make.

Settled models have met each other in training. The other regimes train each domain model alone, so
that no merge is favoured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.spec import EMBEDDED, SETTLING, STAGES, Laddered, Stage, TrainingSize, fingerprint

ALONE = (500, 700, 700)
"""Steps of math, finance and law without replay, enough for nine tenths of the own questions."""


@dataclass(frozen=True, slots=True)
class Regime:
    """How domain models are trained from the base."""

    name: str
    settling: bool = False
    """The recipe of the embedded models as it is: two stages, the second inside merges. The other
    fields are then not used."""
    replay: float = 0.0
    """Share of replay in a batch."""
    pull: float = 0.0
    """Weight of the distance to the base on the replay."""
    steps: tuple[int, int, int] = ALONE
    """Steps of math, finance and law at full size."""
    rate: float = 1.0
    """Factor on the recipe's learning rates."""
    ladder: float = 1.0
    """See `Laddered`; 1 for one rate in all layers."""
    width: float = 1.0
    """See `Laddered`; 1 to train all rows in all layers."""
    warmup: int = 100

    def stages(self, name: str) -> tuple[Stage, ...]:
        """All stages of a model at full size and seed 0, in order."""
        stage = STAGES[name]
        if name == "base":
            return (stage,)
        if self.settling:
            return stage, replace(SETTLING, name=name)
        stage = replace(
            stage,
            replay=self.replay,
            pull=self.pull,
            steps=self.steps[DOMAINS.index(name)],
            learning_rate=stage.learning_rate * self.rate,
            warmup=self.warmup,
        )
        if self.ladder == self.width == 1:
            return (stage,)
        return (Laddered(**asdict(stage), ladder=self.ladder, width=self.width),)


SETTLED, PLAIN = Regime("settled", settling=True), Regime("plain")
REGIMES = {
    regime.name: regime
    for regime in (
        SETTLED,
        PLAIN,
        *(  # less deeply trained
            Regime(f"plain-{percent}", steps=(5 * percent, 7 * percent, 7 * percent))
            for percent in (25, 50)
        ),
        *(  # of a base that knows the answers: a small change of how it answers, or a larger one
            Regime(f"near-{n}", False, 0.25, 5.0, (100, 100, 100), 0.02 * n, warmup=20)
            for n in (3, 10, 30)
        ),
        Regime("large", steps=(1500, 2100, 2100), rate=2.0, ladder=4.0, width=0.7),
        *(
            Regime(f"replay-{replay}-pull-{pull}", False, replay / 100, pull, (1000, 700, 700))
            for replay in (25, 10)
            for pull in (5, 15, 1)
        ),
    )
}
"""Between settled and plain lie replay and pull without settling; plain-25 has a quarter of plain's
steps."""


BETWEEN = "replay-25-pull-5"
"""The first regime between that meets the conditions of lab/docs/study-plan.md, its `between`."""


def regime_named(name: str) -> Regime:
    """The regime with this name; raises UnknownName with the closest one."""
    if name not in REGIMES:
        raise UnknownName(f"No regime {shown(name)}. {did_you_mean(name, tuple(REGIMES))}")
    return REGIMES[name]


@dataclass(frozen=True, slots=True)
class Training:
    """The settings of a set of four models; the default makes the embedded models."""

    size: TrainingSize = EMBEDDED
    regime: Regime = SETTLED
    seed: int = 0
    """Another one changes the weights the base begins with and every draw, not the tokenizer."""
    base: str = ""
    """Reference of a base that was trained before; empty to train one."""

    def stages(self, name: str) -> tuple[Stage, ...]:
        """All stages of a model, in order."""
        return tuple(
            # A domain model has up to two stages, numbered 0 and 1: no two seeds share a draw.
            replace(self.size.cut(stage), seed=stage.seed + 2 * self.seed)
            for stage in self.regime.stages(name)
        )

    def first_mark(self, name: str, base: str = "") -> str:
        """The fingerprint of a model after its first stage; `base` is that of its base."""
        return fingerprint(self.stages(name)[0], base, self.size.architecture)

    def mark(self, name: str, base: str) -> str:
        """The fingerprint of a finished domain model; it covers its base and all stages."""
        if not self.regime.settling:
            return self.first_mark(name, base)
        firsts = "/".join(self.first_mark(domain, base) for domain in DOMAINS)
        return fingerprint(self.stages(name)[-1], firsts, self.size.architecture)

    def record(self, name: str) -> dict[str, Any]:
        """The part of `training.json` on a model's set; nothing of the embedded models."""
        if self == Training():
            return {}
        record = {"size": self.size.name, "seed": self.seed}
        if name == "base":  # the same in every regime
            return record
        base = {"base": self.base} if self.base else {}
        return {**record, "regime": self.regime.name, **base}

    def summary(self) -> str:
        """Parameters, share of the recipe's texts, regime, seed and time, in words."""
        size, names = self.size, DOMAINS if self.base else ("base", *DOMAINS)
        steps = sum(stage.steps for name in names for stage in self.stages(name))
        whole = Training(size)
        recipe = sum(s.steps for name in ("base", *DOMAINS) for s in whole.stages(name))
        return (
            f"{size.name}, {self.regime.name}, seed {self.seed}: models of "
            f"{size.architecture.parameters / 1e6:.1f} M parameters, {100 * size.share:g} % of the "
            f"steps and {100 * size.share * size.batch / EMBEDDED.batch:g} % of the texts at full "
            f"size; about {round(size.minutes * steps / recipe)} minutes of one core"
        )
