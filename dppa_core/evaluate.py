"""How well a model answers: exact accuracy and the loss of right answers, by domain and task.

Knows a model in memory and the tasks; no recipe, no page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from dppa_core.adamerging_entropy import Exchange
from dppa_core.adamerging_replies import reference
from dppa_core.answers import answers
from dppa_core.decode import prompt_ids
from dppa_core.intervals import wilson
from dppa_core.progress import Progress, Stop
from dppa_core.resident import Resident
from dppa_core.tasks import Item, items, score


@dataclass(frozen=True, slots=True)
class Marks:
    """What one model made of some items, item by item, in their order."""

    hits: tuple[bool, ...]
    """Answered exactly right."""
    losses: tuple[float, ...]
    """Negative log-likelihood of the right answer, summed over its tokens, in nats."""
    tokens: tuple[int, ...]
    """Of the right answer, the one that ends it included."""


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
    loss: float | None = None
    """Mean negative log-likelihood of the right answers, a token, in nats."""


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


def mark(
    resident: Resident,
    asked: Sequence[Item],
    read: Sequence[Exchange] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> Marks:
    """Ask a model some items, greedily, and mark its replies.

    Args:
        read: The items as `exchanges` gives them, where that was done before.
        progress: Called with the number of items answered so far.
        stop: Raises Cancelled once set, within one token.
    """
    read = exchanges(resident, asked) if read is None else read
    given = answers(resident, read, progress=progress, stop=stop)
    return Marks(
        tuple(score(item, one.reply) for item, one in zip(asked, given, strict=True)),
        tuple(one.loss for one in given),
        tuple(one.tokens for one in given),
    )


def exchanges(resident: Resident, asked: Sequence[Item]) -> tuple[Exchange, ...]:
    """Items with their right answers as token ids: the same for every model of one tokenizer."""
    return tuple(
        reference(resident, tuple(prompt_ids(resident, item.prompt)), item.answer) for item in asked
    )


def domain_score(asked: Sequence[Item], replies: Sequence[str]) -> DomainScore:
    """Score the replies to one domain's items."""
    return _score(asked, [score(item, reply) for item, reply in zip(asked, replies, strict=True)])


def marked_score(asked: Sequence[Item], marks: Marks) -> DomainScore:
    """The score of one domain's items."""
    return _score(asked, marks.hits, sum(marks.losses) / sum(marks.tokens))


def _score(asked: Sequence[Item], right: Sequence[bool], loss: float | None = None) -> DomainScore:
    tasks: dict[str, TaskScore] = {}
    for name in dict.fromkeys(item.task for item in asked):
        of_task = [hit for item, hit in zip(asked, right, strict=True) if item.task == name]
        tasks[name] = TaskScore(sum(of_task) / len(of_task), len(of_task))
    share, interval = sum(right) / len(right), wilson(sum(right), len(right))
    return DomainScore(share, interval, len(right), tasks, loss)


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

        marks = mark(resident, of_domain, progress=answered, stop=stop)
        scores[domain] = marked_score(of_domain, marks)
        done += len(of_domain)
    return Evaluation(resident.key, split, scores)


def retention(merged: Evaluation, own: Mapping[str, float]) -> dict[str, float]:
    """Merged score ÷ the domain model's own score, per domain, as fractions."""
    return {
        name: scored.accuracy / own[name]
        for name, scored in merged.domains.items()
        if own.get(name)
    }
