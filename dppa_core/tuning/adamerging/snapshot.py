"""Checkpoints of AdaMerging: their scores, which one is best, and whether the run collapsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ACCURACY_FALL = 0.02
"""Mean accuracy this far below the best counts as fallen, as a fraction; the standard error
replaces it if that is larger."""
PERPLEXITY_RISE = 1.05
"""Mean perplexity above this multiple of the best counts as risen."""


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """Scores of one domain on its held-out items."""

    entropy: float
    """Mean over the answer positions, in nats: the objective, on prompts never trained on."""
    perplexity: float
    """Of the reference answers."""
    accuracy: float | None
    """Share of right replies; None if replies cannot be marked."""
    n: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The merge after some steps."""

    step: int
    coefficients: tuple[tuple[float, ...], ...]
    """For each model: one number, or one per layer."""
    domains: Mapping[str, DomainFigures]
    collapsed: bool = False
    """True if entropy is below the best checkpoint's while the score is clearly worse."""

    @property
    def entropy(self) -> float:
        """Mean over the domains, in nats."""
        return _mean([figures.entropy for figures in self.domains.values()])

    @property
    def perplexity(self) -> float:
        """Geometric mean over the domains."""
        logarithms = [math.log(figures.perplexity) for figures in self.domains.values()]
        return math.exp(_mean(logarithms))

    @property
    def accuracy(self) -> float | None:
        """Mean over the domains; None if a domain has none."""
        shares = [figures.accuracy for figures in self.domains.values()]
        marked = [share for share in shares if share is not None]
        return _mean(marked) if len(marked) == len(shares) else None

    @property
    def rank(self) -> tuple[float, float]:
        """Larger is better: by accuracy if known, then by perplexity."""
        return (-1.0 if self.accuracy is None else self.accuracy, -self.perplexity)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; accuracies are fractions."""
        means = {"entropy": self.entropy, "perplexity": self.perplexity, "accuracy": self.accuracy}
        return {**asdict(self), "mean": means}


def best_of(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The best checkpoint; of equals the first."""
    return max(snapshots, key=lambda snapshot: snapshot.rank)


def has_collapsed(now: Snapshot, best: Snapshot) -> bool:
    """Return True if entropy is below the best checkpoint's, but answers are worse: confidently
    wrong."""
    if not now.entropy < best.entropy:
        return False
    if now.accuracy is None or best.accuracy is None:
        return now.perplexity > PERPLEXITY_RISE * best.perplexity
    return now.accuracy < best.accuracy - max(ACCURACY_FALL, _standard_error(best))


def collapsed_in_a_row(snapshots: Sequence[Snapshot]) -> int:
    """Number of last checkpoints in a row that show a collapse."""
    count = 0
    for snapshot in reversed(snapshots):
        if not snapshot.collapsed:
            break
        count += 1
    return count


def _standard_error(snapshot: Snapshot) -> float:
    shares = [(figures.accuracy or 0.0, figures.n) for figures in snapshot.domains.values()]
    return math.sqrt(sum(share * (1 - share) / n for share, n in shares)) / len(shares)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
