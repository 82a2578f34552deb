"""Where a greedy search stands: scores by setting, in memory and in a file.

Knows scores by setting, no model. A search that is begun again asks for the same settings in the
same order, so what was scored is all that there is to know.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_core.evaluation.scores import DomainScore, TaskScore
from dppa_core.system.state_file import StateFile
from dppa_core.tasks.intervals import wilson

Key = tuple[str, tuple[float, ...]]
"""A domain model and its factors; no factors where the model itself was asked."""


class TrialScores:
    """Scores by setting; each is in the file as soon as it is known. Safe for several threads.

    Args:
        path: The file; None to remember in memory alone.
        made_by: What the scores depend on. A search with another one may not go on here.

    Raises:
        InvalidValue: no state of a search, or that of another one, naming what differs.
    """

    def __init__(self, path: Path | None, made_by: Mapping[str, Any]) -> None:
        self._file = StateFile(path, "search", "search", made_by) if path else None
        self._known = (self._file.load(_scores) if self._file else None) or {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key) -> DomainScore | None:
        """What was scored before."""
        return self._known.get(key)

    def keep(self, key: Key, score: DomainScore) -> None:
        """Remember a score."""
        with self._lock:
            self._known[key] = score
            rows = [
                {"model": model, "factors": factors, "tasks": _tasks(one)}
                for (model, factors), one in self._known.items()
            ]
            if self._file:
                self._file.save({"scores": rows})


def _tasks(score: DomainScore) -> dict[str, list[int]]:
    """Task -> right answers and items: whole numbers, so that the very same score is read."""
    return {name: [round(one.accuracy * one.n), one.n] for name, one in score.tasks.items()}


def _score(tasks: Mapping[str, Any]) -> DomainScore:
    counts = {str(name): (int(right), int(n)) for name, (right, n) in tasks.items()}
    if not counts or any(not 0 <= right <= n or n < 1 for right, n in counts.values()):
        raise ValueError(f"counts of right answers {counts}")
    right, n = (sum(column) for column in zip(*counts.values(), strict=True))
    parts = {name: TaskScore(hits / of, of) for name, (hits, of) in counts.items()}
    return DomainScore(right / n, wilson(right, n), n, parts)


def _scores(value: Mapping[str, Any]) -> dict[Key, DomainScore]:
    return {
        (str(row["model"]), tuple(map(float, row["factors"]))): _score(row["tasks"])
        for row in value["scores"]
    }
