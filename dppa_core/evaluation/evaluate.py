"""How well a model answers: exact accuracy and the loss of right answers, by domain and task.

Knows a model in memory and the tasks; no recipe, no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dppa_core.evaluation.scores import (
    DomainScore,
    Evaluation,
    Marks,
    TaskScore,
    domain_score,
    marked_score,
    retention,
)
from dppa_core.models.answer_loss import Exchange, reference
from dppa_core.models.decode import prompt_ids
from dppa_core.models.drafted_answers import answers
from dppa_core.models.resident import Resident
from dppa_core.progress import Progress, Stop
from dppa_core.tasks import Item, items, score

__all__ = [
    "DomainScore",
    "Evaluation",
    "Marks",
    "TaskScore",
    "domain_score",
    "evaluate",
    "exchanges",
    "mark",
    "marked_score",
    "retention",
]


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
