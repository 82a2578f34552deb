"""Where a greedy search stands, as a file that is whole or not there.

Knows scores by setting, no model. A search that is begun again asks for the same settings in the
same order, so what was scored is all that there is to know.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.evaluate import DomainScore, TaskScore
from dppa_core.system.atomic_folders import replace_file
from dppa_core.system.regular_files import open_regular
from dppa_core.system.strict_json import parse_json
from dppa_core.tasks.intervals import wilson

FORMAT = 1
Key = tuple[str, tuple[float, ...]]
"""A domain model and its factors; no factors where the model itself was asked."""


class Memory:
    """Scores by setting; each is in the file as soon as it is known. Safe for several threads.

    Args:
        path: The file; None to remember in memory alone.
        made_by: What the scores depend on. A search with another one may not go on here.

    Raises:
        InvalidValue: no state of a search, or that of another one, naming what differs.
    """

    def __init__(self, path: Path | None, made_by: Mapping[str, Any]) -> None:
        self._path, self._made_by = path, dict(made_by)
        self._known = _load(path, self._made_by) if path else {}
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
            if self._path:
                self._write(self._path)

    def _write(self, path: Path) -> None:
        rows = [
            {"model": model, "factors": factors, "tasks": _tasks(one)}
            for (model, factors), one in self._known.items()
        ]
        value = {"search": FORMAT, "made_by": self._made_by, "scores": rows}
        replace_file(path, json.dumps(value, allow_nan=False) + "\n")


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


def _load(path: Path, made_by: Mapping[str, Any]) -> dict[Key, DomainScore]:
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidValue(f"{path}: cannot be read ({error.strerror or error}).") from error
    try:
        value = parse_json(data)
        known = value["search"], dict(value["made_by"])
        scores = {
            (str(row["model"]), tuple(map(float, row["factors"]))): _score(row["tasks"])
            for row in value["scores"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValue(
            f"{path}: no state of a search ({error}). Remove it, or name another file (--state)."
        ) from error
    if known != (FORMAT, json.loads(json.dumps(made_by))):
        other = [name for name in made_by if known[1].get(name) != made_by[name]]
        named = ", ".join(f"{n} {known[1].get(n)}, now {made_by[n]}" for n in other) or "its format"
        raise InvalidValue(
            f"{path}: the state of another search ({named}). To begin anew remove it, or name "
            "another file (--state)."
        )
    return scores
