"""Exams, marks and scores: accuracy by domain and task. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.checkpoints.sources.zoo import is_embedded, own_base
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe, recipe_hash
from dppa_core.system.frames import frame_of
from dppa_core.tasks import Item, OwnDomain, items, score
from dppa_core.tasks.intervals import Interval, accuracy, mean_interval, wilson
from dppa_core.tasks.own_items import OwnItem

if TYPE_CHECKING:
    from dppa_core.models.drafted_answers import DraftedAnswer

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


def base_of(target: Target) -> str:
    """Reference of the base of a recipe, an embedded model, or a merge's folder with its recipe;
    empty if it is unknown."""
    if isinstance(target, MergeRecipe):
        return target.base
    if is_embedded(target):
        return own_base(target)
    merged = Path(target, "recipe.yaml")
    return load_recipe(merged).base if merged.is_file() else ""


@dataclass(frozen=True, slots=True)
class Exam:
    """Items of a domain to ask a model or merge."""

    target: Target
    domain: str
    split: str = "test"
    """train, search or test."""
    limit: int | None = None
    """Number of items, tasks in turn; all if None."""
    behaviour: bool = False
    """True if its score says how the target answers."""
    base: str = ""
    """For that: reference of the model to which its distance is measured; none if empty."""

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

    def question(self) -> list[list[str]]:
        """What decides a target's marks beside the target."""
        longest = [] if self.tokens is None else [["tokens", str(self.tokens)]]
        return [*(item.identity() for item in self.items()), *longest]


_drawn = lru_cache(64)(items)
MAX_REPLY_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Marks:
    """The results of one model, item by item."""

    hits: tuple[bool, ...]
    """True for an exactly right answer."""
    losses: tuple[float, ...]
    """Negative log-likelihood of the right answer, summed over its tokens, in nats."""
    tokens: tuple[int, ...]
    """Length of the right answer, including its end token."""
    replies: tuple[str, ...] = ()
    """Replies to the user's own questions, cut at `MAX_REPLY_CHARACTERS`; else empty."""
    lengths: tuple[int, ...] = ()
    """Tokens of each reply, its end token included; these and the next are empty unless the exam
    asks for behaviour."""
    loops: tuple[bool, ...] = ()
    """True for a reply that ended in a loop; see `is_loop`."""
    divergences: tuple[float, ...] = ()
    """KL(target || base) of the next token, summed over the right answer's tokens, in nats."""

    def to_json(self) -> list[Any]:
        """What a cache keeps of them, without divergences."""
        hits, loops = (list(map(int, flags)) for flags in (self.hits, self.loops))
        return [hits, self.losses, self.tokens, self.replies, self.lengths, loops]

    @classmethod
    def of_replies(cls, items: Sequence[Item], replies: Sequence[DraftedAnswer]) -> Marks:
        """Marks of replies to some items."""
        own = all(isinstance(item, OwnItem) for item in items)
        return cls(
            tuple(score(item, reply.reply) for item, reply in zip(items, replies, strict=True)),
            tuple(reply.loss for reply in replies),
            tuple(reply.tokens for reply in replies),
            tuple(reply.reply[:MAX_REPLY_CHARACTERS] for reply in replies) if own else (),
            tuple(reply.length for reply in replies),
            tuple(reply.loops for reply in replies),
        )

    @classmethod
    def of_json(cls, value: Sequence[Any]) -> Marks:
        """Marks of a cache; those of earlier versions have no replies, or no lengths and loops."""
        rows: list[Any] = [tuple(row) for row in (*value, (), (), ())[:6]]
        rows[0], rows[5] = tuple(map(bool, rows[0])), tuple(map(bool, rows[5]))
        return cls(*rows)


@dataclass(frozen=True, slots=True)
class TaskScore:
    """Accuracy on one task, as a fraction, over `n` items."""

    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a model answers a domain's questions, rightly or not."""

    length: Interval
    """Mean tokens of a reply, its end token included."""
    loops: Interval
    """Share of replies that ran into the limit of tokens in a loop; see `is_loop`."""
    kl: Interval | None
    """Divergence KL(target || base) of the next token along the right answers, in nats per token;
    None without a base that has the same tokens."""

    @classmethod
    def of(cls, marks: Marks) -> Behaviour | None:
        """Means of an exam's marks; None unless it asked for them."""
        if not marks.lengths:
            return None
        length = mean_interval(marks.lengths, (1,) * len(marks.lengths))
        kl = mean_interval(marks.divergences, marks.tokens) if marks.divergences else None
        return cls(length, accuracy(marks.loops), kl)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        kl = self.kl.to_json() if self.kl else None
        return {"length": self.length.to_json(), "loops": self.loops.to_json(), "kl": kl}


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
    """True for each exactly right answer; empty if only counts are known."""
    behaviour: Behaviour | None = None
    """None unless the exam asked for it."""

    def figures(self) -> dict[str, Any]:
        """Accuracy with its interval, and the number of items; JSON-ready."""
        return {"accuracy": self.accuracy, "ci95": list(self.ci95), "n": self.n}

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy without `hits`; accuracies are fractions."""
        tasks = {name: asdict(score) for name, score in self.tasks.items()}
        behaviour = {"behaviour": self.behaviour.to_json()} if self.behaviour else {}
        return {**self.figures(), "tasks": tasks, "loss": self.loss, **behaviour}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one model or merge."""

    target: str
    split: str
    domains: Mapping[str, DomainScore]

    def __repr__(self) -> str:
        scores = ", ".join(
            f"{name} {score.accuracy:.1%} ({score.ci95[0]:.1%} to {score.ci95[1]:.1%}) of {score.n}"
            for name, score in self.domains.items()
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
        scores = self.domains.values()
        below = sqrt(sum((score.accuracy - score.ci95[0]) ** 2 for score in scores)) / len(scores)
        above = sqrt(sum((score.ci95[1] - score.accuracy) ** 2 for score in scores)) / len(scores)
        return self.mean - below, self.mean + above

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; accuracies are fractions."""
        domains = {name: score.to_json() for name, score in self.domains.items()}
        return {"target": self.target, "split": self.split, "domains": domains, "mean": self.mean}

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a domain: accuracy as a share of 1 with its 95 % interval, and
        the loss. Raises InvalidValue without pandas."""
        columns = {"model": self.target, "split": self.split}
        return frame_of(
            {**columns, "domain": str(name), **score_row(score, score.loss)}
            for name, score in self.domains.items()
        )


def score_row(score: DomainScore, loss: float | None) -> dict[str, Any]:
    """The columns of a score in a data frame."""
    behaviour: dict[str, Any] = {}
    if score.behaviour:
        kl = score.behaviour.kl
        behaviour = {
            "reply_tokens": score.behaviour.length.value,
            "loop_share": score.behaviour.loops.value,
            "kl_nats_per_token": kl.value if kl else None,
        }
    return {
        "accuracy_share": score.accuracy,
        "accuracy_low": score.ci95[0],
        "accuracy_high": score.ci95[1],
        "items": score.n,
        "loss_nats_per_token": loss,
        **behaviour,
    }


def domain_score(items: Sequence[Item], replies: Sequence[str]) -> DomainScore:
    """The score of replies to one domain's items."""
    return _score(items, [score(item, reply) for item, reply in zip(items, replies, strict=True)])


def marked_score(items: Sequence[Item], marks: Marks) -> DomainScore:
    """The score of marks on one domain's items."""
    score = _score(items, marks.hits, sum(marks.losses) / sum(marks.tokens))
    return replace(score, behaviour=Behaviour.of(marks))


def _score(items: Sequence[Item], hits: Sequence[bool], loss: float | None = None) -> DomainScore:
    by_task: dict[str, list[bool]] = {}
    for item, hit in zip(items, hits, strict=True):
        by_task.setdefault(item.task, []).append(hit)
    tasks = {name: TaskScore(sum(part) / len(part), len(part)) for name, part in by_task.items()}
    share, interval = sum(hits) / len(hits), wilson(sum(hits), len(hits))
    return DomainScore(share, interval, len(hits), tasks, loss, tuple(hits))


def retention(merged: Evaluation, own_scores: Mapping[str, float]) -> dict[str, float]:
    """Merged score ÷ the domain model's own score, per domain, as fractions."""
    return {
        name: score.accuracy / own_scores[name]
        for name, score in merged.domains.items()
        if own_scores.get(name)
    }
