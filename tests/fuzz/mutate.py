"""Mutations of JSON as a tree, so that they stay JSON and get past the parser.

The same bytes and random numbers give the same result.
"""

import json
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400),
    *("", " ", "\0", "\n", "\ud800", "0", "1e5", "${x}", "../x", "a" * 300, "zoo:math", "base"),
    *([], {}, [[]], [None], [1, 2], ["a"], {"a": 1}, {"": None}, [0, 9**18]),
)


def mutated(data: bytes, chance: Random) -> bytes | None:
    """JSON with one to three of its values, keys or items changed; None if it is not JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        tree = _changed(tree, chance)
    try:
        return json.dumps(tree, ensure_ascii=chance.random() < 0.8).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def stretched(data: bytes, size: int, chance: Random) -> bytes:
    """Bytes with a piece of them repeated until they have a certain size."""
    if not data:
        return b" " * size
    start = chance.randrange(len(data))
    piece = data[start : start + chance.choice((1, 2, 3, 5, 8, 13, 21, 55))]
    times = max(0, size - len(data)) // len(piece)
    return data[:start] + piece * times + data[start:]


def _changed(tree: Any, chance: Random) -> Any:
    """A copy of a tree with one of its nodes changed."""
    if chance.random() < 0.25 or not isinstance(tree, (dict, list)) or not tree:
        return _varied(tree, chance)
    if isinstance(tree, list):
        place = chance.randrange(len(tree))
        return [*tree[:place], _changed(tree[place], chance), *tree[place + 1 :]]
    key = chance.choice(list(tree))
    return {**tree, key: _changed(tree[key], chance)}


def _nested(node: Any, chance: Random) -> Any:
    """A table or list inside copies of itself: in each of its lists, several times, up to 8 deep.

    At most a thousand copies, so that what grows is what a reader makes of them.
    """
    times = chance.choice((1, 2, 3, 10))
    for _ in range(chance.randint(1, {1: 8, 2: 8, 3: 6, 10: 3}[times])):
        if isinstance(node, list):
            node = [node] * times
        else:
            lists = [key for key, value in node.items() if isinstance(value, list)]
            node = {**node, chance.choice(lists or [*node, "a"]): [node] * times}
    return node


def _varied(node: Any, chance: Random) -> Any:
    if isinstance(node, (list, dict)) and chance.random() < 0.1:
        return _nested(node, chance)
    if isinstance(node, list) and node and chance.random() < 0.7:
        place = chance.randrange(len(node))
        return chance.choice(
            (
                node * chance.choice((2, 10, 100)),
                node[:place] + node[place + 1 :],
                [*node, node[place]],
                [*node[:place], chance.choice(ODD), *node[place:]],
                node[::-1],
            )
        )
    if isinstance(node, dict) and node and chance.random() < 0.7:
        key = chance.choice(list(node))
        rest = {name: value for name, value in node.items() if name != key}
        new = chance.choice(("", "a", "0", "model", key + key, key.upper(), "\0", "1.5"))
        return chance.choice((rest, {**rest, new: node[key]}, {**node, new: chance.choice(ODD)}))
    if isinstance(node, (int, float)) and not isinstance(node, bool) and chance.random() < 0.6:
        third = node / 3 if abs(node) < 1e15 else 0
        return chance.choice((node + 1, -node, node * 2, str(node), [node], third))
    if isinstance(node, str) and chance.random() < 0.4:
        place = chance.randrange(len(node) + 1)
        new = chance.choice(("", "\0", "é", "*", "@", "+", "(", "9"))
        return node[:place] + new + node[place + 1 :]
    return chance.choice((chance.choice(ODD), [node], {"a": node}))
