"""Perplexity of a text, and tasks of lm-evaluation-harness, for everybody beside a recipe.

Knows the entrants and the pool; no figures of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dppa_core.evaluate_report import interval_json
from dppa_core.evaluate_rows import Entrant
from dppa_core.examiner import threads_for
from dppa_core.harness import Harness, TaskResult
from dppa_core.perplexity import perplexity
from dppa_core.pool import ModelPool
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.resident import Resident


def text_rows(
    pool: ModelPool,
    who: Sequence[Entrant],
    text: str,
    *,
    window: int,
    stride: int | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Perplexity of everybody on one text, as plain values."""
    rows = []
    for one, resident in _each(pool, who, progress, stop):
        found = perplexity(resident, text, window=window, stride=stride, stop=stop)
        rows.append(
            {
                "key": one.key,
                "label": one.label,
                "perplexity": interval_json(found.perplexity),
                "loss": interval_json(found.loss),
                "bits_per_byte": found.bits_per_byte,
                "tokens": found.tokens,
                "window": found.window,
                "stride": found.stride,
                "dtype": str(resident.model.dtype).removeprefix("torch."),
            }
        )
    return rows


def harness_rows(
    pool: ModelPool,
    who: Sequence[Entrant],
    harness: Harness,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Tasks of the harness for everybody, as plain values."""
    return [
        {
            "key": one.key,
            "label": one.label,
            "results": [_result(result) for result in harness.ask(resident)],
        }
        for one, resident in _each(pool, who, progress, stop)
    ]


def _result(one: TaskResult) -> dict[str, Any]:
    values = asdict(one)
    del values["each"]
    return {**values, "ci95": None if one.ci95 is None else list(one.ci95)}


def _each(
    pool: ModelPool, who: Sequence[Entrant], progress: Progress | None, stop: Stop | None
) -> Iterator[tuple[Entrant, Resident]]:
    for done, one in enumerate(who):
        check(stop)
        report(progress, done, len(who), one.label)
        with pool.lend(one.target, stop=stop) as resident:
            with threads_for(resident):
                yield one, resident
