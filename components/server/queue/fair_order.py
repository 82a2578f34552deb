"""The order in which waiting requests are begun: parties take turns, and tabs of one party do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def fair_order(waiting: Iterable[Any], ended: Mapping[str, float]) -> list[Any]:
    """Events of one kind in the order of their turns.

    A party's turn counts from when it asked, or from when its last request ended if that was
    later. So a first request waits for at most the one that runs, and nobody starves: whoever
    comes later has a later turn. The same holds for the tabs of one party.

    Args:
        waiting: Events with a `visitor` and an `enqueue_time` in seconds, the oldest first.
        ended: Tab or party -> when its last request ended, in the same seconds.
    """
    by_tab = _round_robin(waiting, lambda one: one.visitor.tab, ended)
    return _round_robin(by_tab, lambda one: one.visitor.party, ended)


def _round_robin(
    events: Iterable[Any], name: Callable[[Any], str], ended: Mapping[str, float]
) -> list[Any]:
    """The first event of every group, then the second of every group, and so on."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for one in events:
        groups[name(one)].append(one)
    turns = {
        group: max(min(one.enqueue_time for one in own), ended.get(group, 0.0))
        for group, own in groups.items()
    }
    order = [
        (place, turns[group], one) for group, own in groups.items() for place, one in enumerate(own)
    ]
    return [one for _, _, one in sorted(order, key=lambda row: row[:2])]
