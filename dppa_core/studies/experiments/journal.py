"""What every answer took, and how long each experiment was at work: kept over all runs of a folder.

One JSON object a line, so that a run that is killed loses its last line at most. Knows no question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dppa_core.studies.experiments.values import Cost
from dppa_core.system.atomic_folders import unwritable


class Journal:
    """The journal of a folder.

    Args:
        path: The file, in a folder that is there; it is begun where there is none.

    Raises:
        InvalidValue: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, tuple[str, float]] = {}
        self._walls: dict[str, float] = {}
        for line in _lines(path):
            self._take(line)

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def answered(self, experiment: str, key: str, processor: float) -> None:
        """An answer was found.

        Args:
            experiment: That asked for it first.
            key: Of the question.
            processor: Seconds.
        """
        self._write({"experiment": experiment, "answer": key, "processor": round(processor, 3)})

    def worked(self, experiment: str, wall: float) -> None:
        """An experiment was at work for some seconds more."""
        self._write({"experiment": experiment, "wall": round(wall, 3)})

    def cost(self, experiment: str, keys: Iterable[str]) -> Cost:
        """Of an experiment, in all runs.

        Args:
            keys: Of all questions that it asked. What another experiment had asked before is
                counted there alone.
        """
        asked = set(keys)
        own = [self._answers[key] for key in asked if key in self._answers]
        processor = sum(seconds for first, seconds in own if first == experiment)
        wall = self._walls.get(experiment, 0.0)
        return Cost(processor, wall, len(asked), len(asked) - len(own))

    def _write(self, line: dict[str, Any]) -> None:
        self._take(line)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _take(self, line: dict[str, Any]) -> None:
        name = str(line["experiment"])
        if "answer" in line:
            self._answers.setdefault(str(line["answer"]), (name, float(line["processor"])))
        else:
            self._walls[name] = self._walls.get(name, 0.0) + float(line["wall"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines; one that was cut short tells nothing."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "experiment" in value and {"answer", "wall"} & value.keys():
            yield value
