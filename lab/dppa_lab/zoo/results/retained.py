"""Retentions of merges, of the domain models' accuracy, and differences of two merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from dppa_core.evaluation.scores import DomainScore, Evaluation, retention
from dppa_core.tasks.intervals import (
    SIGNIFICANCE_LEVEL,
    Z95,
    Hits,
    Interval,
    accuracy,
    holm,
    p_of_interval,
)

DomainHits = Mapping[str, Hits]
"""Domain -> hits on its items."""


def bits(hits: Hits) -> str:
    """A character for each item, 1 for a right answer."""
    return "".join("01"[hit] for hit in hits)


def hits_of(bits: str) -> Hits:
    """The hits whose text `bits` writes."""
    return tuple(bit == "1" for bit in bits)


def scores(hits: DomainHits) -> Evaluation:
    """Domain -> accuracy with its interval."""
    shares = {domain: accuracy(answers) for domain, answers in hits.items()}
    domains = {d: DomainScore(s.value, s.ends, len(hits[d]), {}) for d, s in shares.items()}
    return Evaluation("", "", domains)


def retained(hits: DomainHits, accuracies: Mapping[str, float]) -> float:
    """Mean over the domains of the accuracy ÷ the domain model's own, where that is not 0."""
    shares = retention(scores(hits), dict(accuracies)).values()
    return sum(shares) / len(shares) if shares else 0.0


def retained_interval(hits: DomainHits, accuracies: Mapping[str, float]) -> Interval:
    """The mean retention with its interval; the domain models' own scores count as exact."""
    nothing = {domain: (False,) * len(answers) for domain, answers in hits.items()}
    return paired_gain(hits, nothing, accuracies)


def paired_gain(merged: DomainHits, rival: DomainHits, accuracies: Mapping[str, float]) -> Interval:
    """Mean retention of one merge minus another's on the same items.

    Each item gives one difference; the variance is that of a mean of independent means. The domain
    models' own scores count as exact; a domain whose own score is 0 does not count.
    """
    mean = square = 0.0
    owns = {domain: score for domain, score in accuracies.items() if score}
    for domain, score in owns.items():
        gaps = (np.array(merged[domain], float) - np.array(rival[domain], float)) / score
        mean += float(gaps.mean()) / len(owns)
        spread = float(gaps.var(ddof=1)) if gaps.size > 1 else 1 / score**2  # the largest possible
        square += spread / gaps.size / len(owns) ** 2
    half = Z95 * sqrt(square)
    return Interval(mean, mean - half, mean + half)


def sides(differences: Sequence[Interval]) -> tuple[int, ...]:
    """Of each difference 1 if it is above 0, -1 below, 0 if chance explains it: by p-values below
    0.05, corrected by Holm for the number of differences."""
    corrected = holm([p_of_interval(difference) for difference in differences])
    return tuple(
        0 if p >= SIGNIFICANCE_LEVEL else 1 if difference.value > 0 else -1
        for difference, p in zip(differences, corrected, strict=True)
    )
