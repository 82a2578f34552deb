"""Perplexity of a text, and tasks of lm-evaluation-harness, for everybody beside a recipe.

Knows the entrants, who asks them, and the cache; no figures of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from dppa_core.evaluation.examiner import Examiner, threads_for
from dppa_core.evaluation.lm_eval_harness import Harness, TaskResult
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.evaluation.report import interval_json
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.models.resident import Resident
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.folder_cache import load, store
from dppa_core.tasks.intervals import Interval

_FORMAT = 2  # a new number where the same text or task would be told otherwise


def text_rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    text: str,
    *,
    window: int,
    stride: int | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Perplexity of everybody on one text, as plain values; what is known is remembered."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    asked = ["perplexity", _FORMAT, digest, window, stride]

    def ask(resident: Resident) -> dict[str, Any]:
        found = perplexity(resident, text, window=window, stride=stride, stop=stop)
        return {
            "perplexity": _figure(found.perplexity, found.windows),
            "loss": _figure(found.loss, found.windows),
            "bits_per_byte": found.bits_per_byte,
            "tokens": found.tokens,
            "window": found.window,
            "stride": found.stride,
            "windows": found.windows,
            "dtype": str(resident.model.dtype).removeprefix("torch."),
        }

    return _rows(examiner, who, asked, ask, progress, stop)


def harness_rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    harness: Harness,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Tasks of the harness for everybody, as plain values; what is known is remembered."""
    asked = ["lm_eval", _FORMAT, harness.content()]

    def ask(resident: Resident) -> dict[str, Any]:
        return {"results": [_result(one) for one in harness.ask(resident)]}

    return _rows(examiner, who, asked, ask, progress, stop)


def _figure(one: Interval, windows: int) -> dict[str, Any] | None:
    """With its interval, which the bootstrap draws from windows; of one alone there is none."""
    return interval_json(one) if windows > 1 else {"value": one.value, "ci95": None}


def _result(one: TaskResult) -> dict[str, Any]:
    values = asdict(one)
    del values["each"]
    return {**values, "ci95": None if one.ci95 is None else list(one.ci95)}


def _rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    asked: Sequence[object],
    ask: Callable[[Resident], dict[str, Any]],
    progress: Progress | None,
    stop: Stop | None,
) -> list[dict[str, Any]]:
    rows = []
    for done, one in enumerate(who):
        check(stop)
        report(progress, done, len(who), one.label)
        entry = examiner.entry(one.target, asked)
        known = None if examiner.fresh else load(entry)
        if known is None:
            with examiner.pool.lend(one.target, stop=stop) as resident, threads_for(resident):
                known = json.dumps(ask(resident)).encode()
            store(entry, known)
        rows.append({"key": one.key, "label": one.label, **json.loads(known)})
    return rows
