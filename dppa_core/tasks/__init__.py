"""Domains of shipped models, with questions, splits, scorers and examples; own ones.

Pure: the same arguments give the same items on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Any

from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.tasks import finance, law, math, news
from dppa_core.tasks.items import SPLITS, Item, Task
from dppa_core.tasks.own_items import OwnDomain, OwnItem

__all__ = [
    "DOMAIN_TITLES",
    "DOMAINS",
    "KNOWN_DOMAINS",
    "NEWS",
    "SPLITS",
    "TEST_ITEMS",
    "Item",
    "OwnDomain",
    "Task",
    "answer_reader",
    "check_domain",
    "draw_items",
    "example_items",
    "example_of",
    "example_prompts",
    "items",
    "score",
    "tasks_of",
]

NEWS = "news"
"""News articles, too long for the embedded models; the finance models of language models learn this
domain beside their own."""
DOMAIN_TITLES = MappingProxyType({NEWS: "news, articles of six sentences"})
"""Domains whose name alone does not say what they ask."""
TEST_ITEMS = 200
"""Items of each task in a full test."""
_MAX_DRAWS_IN_VAIN = 5000
"""Draws without a new item after which a split counts as exhausted."""

DOMAINS = ("math", "finance", "law")
KNOWN_DOMAINS = (*DOMAINS, NEWS)
"""Names that a domain may have beside one's own."""
_MODULES: Mapping[str, Any] = dict(zip(KNOWN_DOMAINS, (math, finance, law, news), strict=True))


def tasks_of(domain: str) -> tuple[Task, ...]:
    """Tasks of a domain; raises UnknownName for an unknown one."""
    if domain not in _MODULES:
        close = get_close_matches(domain, KNOWN_DOMAINS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(KNOWN_DOMAINS)}."
        raise UnknownName(f"No domain {domain!r}. {hint}")
    tasks: tuple[Task, ...] = _MODULES[domain].TASKS
    return tasks


def check_domain(domain: str) -> None:
    """Raise UnknownName unless it is a known domain or one's own."""
    if not isinstance(domain, OwnDomain):
        tasks_of(domain)


def draw_items(domain: str, split: str, seed: int = 0) -> Iterator[Item]:
    """An endless stream of items, tasks in turn, without regard to repeats."""
    if split not in SPLITS:
        raise InvalidValue(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    return draw_tasks(domain, tasks_of(domain), split, seed)


def draw_tasks(domain: str, tasks: tuple[Task, ...], split: str, seed: int) -> Iterator[Item]:
    """An endless stream of items of some tasks in turn."""
    streams = [random.Random(f"{domain}/{task.name}/{split}/{seed}") for task in tasks]
    while True:
        for task, rng in zip(tasks, streams, strict=True):
            prompt, answer = task.draw(rng, split)
            yield Item(domain, task.name, prompt, answer)


def items(
    domain: str, split: str = "test", n: int | None = None, seed: int = 0
) -> tuple[Item, ...]:
    """The first `n` different items of a split, tasks in turn.

    `n` defaults to `TEST_ITEMS` for each task. The same arguments always give the same items. A
    domain of one's own gives all it has, and at most `n`.
    """
    if isinstance(domain, OwnDomain):
        return domain.of_split(split, n)
    tasks = tasks_of(domain)
    count = TEST_ITEMS * len(tasks) if n is None else n
    if count < 1:
        raise InvalidValue(f"The number of items must be at least 1, got {count}.")
    quota = {
        task.name: count // len(tasks) + (place < count % len(tasks))
        for place, task in enumerate(tasks)
    }
    drawn: dict[str, Item] = {}
    in_vain = 0
    for item in draw_items(domain, split, seed):
        new = quota[item.task] > 0 and item.prompt not in drawn
        if new:
            drawn[item.prompt] = item
            quota[item.task] -= 1
        if not any(quota.values()):
            return tuple(drawn.values())
        in_vain = 0 if new else in_vain + 1
        if in_vain > _MAX_DRAWS_IN_VAIN:
            break
    short = [name for name, left in quota.items() if left]
    per_task = [sum(item.task == name for item in drawn.values()) for name in short]
    raise InvalidValue(
        f"{domain} has fewer than {count} different {split} items "
        f"(no more are known of {' and '.join(short)}). Ask for {len(tasks) * min(per_task)} at "
        "most."
    )


def score(item: Item, reply: str) -> bool:
    """Return True if `reply` answers `item` correctly, by the scorer of its task."""
    if isinstance(item, OwnItem):
        return item.right(reply)
    return _task_of(item).score(item.answer, reply)


def answer_reader(item: Item) -> str | list[str]:
    """How a script reads answers to an item: the labels, or the name of a function of `items`."""
    read = _task_of(item).read
    return list(read.keywords["labels"]) if isinstance(read, partial) else read.__name__


def _task_of(item: Item) -> Task:
    return next(task for task in tasks_of(item.domain) if task.name == item.task)


def example_items(domain: str) -> tuple[Item, ...]:
    """A few items that show what a domain's questions look like; they are in no split."""
    tasks_of(domain)
    return tuple(Item(domain, *example) for example in _MODULES[domain].EXAMPLES)


def example_prompts(domain: str) -> tuple[str, ...]:
    """Prompts of the `example_items`."""
    return tuple(item.prompt for item in example_items(domain))


def example_of(prompt: str) -> Item | None:
    """The example with this prompt, if it is one."""
    examples = (item for domain in KNOWN_DOMAINS for item in example_items(domain))
    return next((item for item in examples if item.prompt == prompt.strip()), None)
