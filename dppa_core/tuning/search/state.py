"""The state of a greedy search: scores by setting, in memory and in a file.

A resumed search tries the same settings in the same order, so the scores are its whole state.
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
"""A domain model and its factors; no factors for the model itself."""


class TrialScores:
    """Scores by setting, written to the file as soon as they are known. Thread-safe.

    Args:
        path: The file; None keeps scores in memory only.
        made_by: What the scores depend on; a file with other values is refused.

    Raises:
        InvalidValue: the file is no state of a search, or one of another search.
    """

    def __init__(self, path: Path | None, made_by: Mapping[str, Any]) -> None:
        self._file = StateFile(path, "search", "search", made_by) if path else None
        self._known = (self._file.load(_scores) if self._file else None) or {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key) -> DomainScore | None:
        """The known score of a setting, or None."""
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
    """Task -> right answers and items: whole numbers restore the exact score."""
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
