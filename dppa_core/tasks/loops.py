"""Loops: replies that repeat themselves until they are cut."""

from __future__ import annotations

from collections.abc import Sequence

LOOP_TIMES, LOOP_TOKENS = 4, 8
"""A loop repeats a piece at least so often, and fills at least so many tokens."""


def is_loop(reply: Sequence[int]) -> bool:
    """Return True if the last tokens are one piece, of any length, `LOOP_TIMES` times in a row or
    more, over at least `LOOP_TOKENS` tokens.

    It is asked of replies cut at the limit of tokens: reasoning models that decode greedily often
    repeat themselves until then (arXiv:2512.12895; there any 30 tokens that come 20 times).
    """
    for piece in range(1, len(reply) // LOOP_TIMES + 1):
        tail = reply[-max(LOOP_TIMES * piece, LOOP_TOKENS) :]
        if len(tail) >= LOOP_TOKENS and tail[piece:] == tail[:-piece]:
            return True
    return False
