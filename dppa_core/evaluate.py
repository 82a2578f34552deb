"""How well a model answers: exact accuracy by domain and task, with 95 % intervals.

Knows a model in memory and the tasks; no recipe, no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from dppa_core.decode import greedy_replies
from dppa_core.progress import Progress, Stop
from dppa_core.resident import Resident
from dppa_core.tasks import Item, items, score

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class TaskScore:
    """Accuracy on one task, as a fraction, over `n` items."""

    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class DomainScore:
    """Accuracy on all of a domain's items, as a fraction, with its 95 % Wilson interval."""

    accuracy: float
    ci95: tuple[float, float]
    n: int
    tasks: Mapping[str, TaskScore]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one model or merge."""

    target: str
    split: str
    domains: Mapping[str, DomainScore]

    @property
    def mean(self) -> float:
        """Unweighted mean accuracy of the domains."""
        return sum(domain.accuracy for domain in self.domains.values()) / len(self.domains)

    @property
    def ci95(self) -> tuple[float, float]:
        """Of the mean: the domains' intervals, whose distances to it add up in squares.

        The domains are independent (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).
        """
        scored = self.domains.values()
        below = sqrt(sum((one.accuracy - one.ci95[0]) ** 2 for one in scored)) / len(scored)
        above = sqrt(sum((one.ci95[1] - one.accuracy) ** 2 for one in scored)) / len(scored)
        return self.mean - below, self.mean + above

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; accuracies are fractions."""
        return {**asdict(self), "mean": self.mean}


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of `right` successes in `n` >= 1 trials, as fractions."""
    share, spread = right / n, Z95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def domain_score(asked: Sequence[Item], replies: Sequence[str]) -> DomainScore:
    """Score the replies to one domain's items."""
    right = [score(item, reply) for item, reply in zip(asked, replies, strict=True)]
    tasks: dict[str, TaskScore] = {}
    for name in dict.fromkeys(item.task for item in asked):
        of_task = [hit for item, hit in zip(asked, right, strict=True) if item.task == name]
        tasks[name] = TaskScore(sum(of_task) / len(of_task), len(of_task))
    return DomainScore(sum(right) / len(right), wilson(sum(right), len(right)), len(right), tasks)


def evaluate(
    resident: Resident,
    domains: Sequence[str],
    *,
    split: str = "test",
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Evaluation:
    """Ask the model every item of the domains, greedily, and score the replies.

    Args:
        limit: Items per domain, tasks in turn; all (200 a task) where None.
        progress: Called with (items done, items in all, domain).
        stop: Raises Cancelled once set, within one token.
    """
    asked = {domain: items(domain, split, limit) for domain in domains}
    total, done = sum(map(len, asked.values())), 0
    scores: dict[str, DomainScore] = {}
    for domain, of_domain in asked.items():

        def answered(count: int, domain: str = domain, before: int = done) -> None:
            if progress:
                progress(before + count, total, domain)

        prompts = [item.prompt for item in of_domain]
        replies = greedy_replies(resident, prompts, progress=answered, stop=stop)
        scores[domain] = domain_score(of_domain, replies)
        done += len(of_domain)
    return Evaluation(resident.key, split, scores)


def retention(merged: Evaluation, own: Mapping[str, float]) -> dict[str, float]:
    """Merged score ÷ the domain model's own score, per domain, as fractions."""
    return {
        name: scored.accuracy / own[name]
        for name, scored in merged.domains.items()
        if own.get(name)
    }
