"""An answer as it grows: changes of its fields after each token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dppa_core.answering.answerer import ReplyEvent
from dppa_core.models.reply import ReplyToken

Changes = dict[str, Any]
"""New values of an answer's fields; see `ModelAnswer`."""


def growing(events: Iterator[ReplyEvent]) -> Iterator[Changes]:
    """The answer after each of its `ReplyToken`s, and the seconds of computing them."""
    ends, entropy = list[int](), list[float]()
    loss = seconds = 0.0
    while True:
        begun = time.perf_counter()
        token = next(events, None)
        seconds += time.perf_counter() - begun
        if token is None:
            return
        if not isinstance(token, ReplyToken):
            continue
        ends.append(token.end)
        entropy.append(round(token.entropy, 3))
        loss += token.loss
        yield {
            "text": token.text,
            "tokens": len(ends),
            "seconds": round(seconds, 4),
            "loss": loss / len(ends),
            "ends": tuple(ends),
            "entropy": tuple(entropy),
        }
