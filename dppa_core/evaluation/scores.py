"""Exams, marks and scores: accuracy by domain and task. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from math import sqrt
from typing import Any

from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.frames import frame_of
from dppa_core.tasks import Item, OwnDomain, items, score
from dppa_core.tasks.intervals import wilson

Target = str | MergeRecipe
"""A model's reference, or the recipe of a merge."""


def target_name(target: Target) -> str:
    """A model's reference, or the hash of a recipe."""
    return recipe_hash(target) if isinstance(target, MergeRecipe) else target


def references_of(target: Target) -> list[str]:
    """References of all models a target is made of: itself, or base and domain models."""
    if not isinstance(target, MergeRecipe):
        return [target]
    return [target.base, *(model.model for model in target.models)]


@dataclass(frozen=True, slots=True)
class Exam:
    """Items of a domain to ask a model or merge."""

    target: Target
    domain: str
    split: str = "test"
    """train, search or test."""
    limit: int | None = None
    """Number of items, tasks in turn; all if None."""

    def items(self) -> tuple[Item, ...]:
        """The items of this exam.
        Raises:
            UnknownName: no such domain.
            InvalidValue: no such split, or more items than an embedded one has.
        """
        if isinstance(self.domain, OwnDomain):  # equal to others of its name
            return self.domain.of_split(self.split, self.limit)
        return _drawn(self.domain, self.split, self.limit)

    @property
    def tokens(self) -> int | None:
        """Most tokens of a reply, if the domain says so."""
        return self.domain.tokens if isinstance(self.domain, OwnDomain) else None


_drawn = lru_cache(64)(items)


LONGEST_REPLY = 300


@dataclass(frozen=True, slots=True)
class Marks:
    """The results of one model, item by item."""

    hits: tuple[bool, ...]
    """Whether the answer was exactly right."""
    losses: tuple[float, ...]
    """Negative log-likelihood of the right answer, summed over its tokens, in nats."""
    tokens: tuple[int, ...]
    """Length of the right answer, including its end token."""
    replies: tuple[str, ...] = ()
    """What was written, to questions of one's own alone; cut at `LONGEST_REPLY` characters."""


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
    """Mean negative log-likelihood of the right answers, in nats per token."""
    hits: tuple[bool, ...] = field(default=(), compare=False, repr=False)
    """Whether each answer was exactly right; empty if only counts are known."""

    def figures(self) -> dict[str, Any]:
        """Accuracy with its interval, and the number of items; JSON-ready."""
        return {"accuracy": self.accuracy, "ci95": list(self.ci95), "n": self.n}

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy without `hits`; accuracies are fractions."""
        tasks = {name: asdict(one) for name, one in self.tasks.items()}
        return {**self.figures(), "tasks": tasks, "loss": self.loss}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one model or merge."""

    target: str
    split: str
    domains: Mapping[str, DomainScore]

    def __repr__(self) -> str:
        scores = ", ".join(
            f"{name} {one.accuracy:.1%} ({one.ci95[0]:.1%} to {one.ci95[1]:.1%}) of {one.n}"
            for name, one in self.domains.items()
        )
        return f"Evaluation({self.target}, {self.split} split: {scores})"

    @property
    def mean(self) -> float:
        """Unweighted mean accuracy of the domains."""
        return sum(domain.accuracy for domain in self.domains.values()) / len(self.domains)

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of the mean, for independent domains.

        MOVER (Zou and Donner, Statistics in Medicine 27, 2008): squared distances add up.
        """
        scored = self.domains.values()
        below = sqrt(sum((one.accuracy - one.ci95[0]) ** 2 for one in scored)) / len(scored)
        above = sqrt(sum((one.ci95[1] - one.accuracy) ** 2 for one in scored)) / len(scored)
        return self.mean - below, self.mean + above

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; accuracies are fractions."""
        domains = {name: one.to_json() for name, one in self.domains.items()}
        return {"target": self.target, "split": self.split, "domains": domains, "mean": self.mean}

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a domain: accuracy as a share of 1 with its 95 % interval, and
        the loss. Raises InvalidValue without pandas."""
        named = {"model": self.target, "split": self.split}
        return frame_of(
            {**named, "domain": str(name), **score_row(one, one.loss)}
            for name, one in self.domains.items()
        )


def score_row(score: DomainScore, loss: float | None) -> dict[str, Any]:
    """The columns of a score in a data frame."""
    return {
        "accuracy_share": score.accuracy,
        "accuracy_low": score.ci95[0],
        "accuracy_high": score.ci95[1],
        "items": score.n,
        "loss_nats_per_token": loss,
    }


def domain_score(asked: Sequence[Item], replies: Sequence[str]) -> DomainScore:
    """The score of replies to one domain's items."""
    return _score(asked, [score(item, reply) for item, reply in zip(asked, replies, strict=True)])


def marked_score(asked: Sequence[Item], marks: Marks) -> DomainScore:
    """The score of marks on one domain's items."""
    return _score(asked, marks.hits, sum(marks.losses) / sum(marks.tokens))


def _score(asked: Sequence[Item], right: Sequence[bool], loss: float | None = None) -> DomainScore:
    tasks: dict[str, TaskScore] = {}
    for name in dict.fromkeys(item.task for item in asked):
        of_task = [hit for item, hit in zip(asked, right, strict=True) if item.task == name]
        tasks[name] = TaskScore(sum(of_task) / len(of_task), len(of_task))
    share, interval = sum(right) / len(right), wilson(sum(right), len(right))
    return DomainScore(share, interval, len(right), tasks, loss, tuple(right))


def retention(merged: Evaluation, own: Mapping[str, float]) -> dict[str, float]:
    """Merged score ÷ the domain model's own score, per domain, as fractions."""
    return {
        name: scored.accuracy / own[name]
        for name, scored in merged.domains.items()
        if own.get(name)
    }
