"""The state of a run in an atomically written file, so that the run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dppa_core.errors import InvalidValue
from dppa_core.system.atomic_folders import replace_file
from dppa_core.system.regular_files import open_regular
from dppa_core.system.strict_json import parse_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StateFile:
    """The file of one kind of run."""

    path: Path
    kind: str
    """Key of the format's version in the file."""
    run: str
    """Its name in messages: run, search."""
    made_by: Mapping[str, Any]
    """The settings the state depends on; a run with others cannot resume from it."""
    format: int = 1

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the file in one step.

        Raises:
            InvalidValue: it cannot be written.
        """
        value = {self.kind: self.format, "made_by": self.made_by, **state}
        replace_file(self.path, json.dumps(value, allow_nan=False) + "\n")

    def load(self, read: Callable[[Mapping[str, Any]], T]) -> T | None:
        """The saved state; None if there is no file.

        Raises:
            InvalidValue: not a state of such a run, or that of another run; names what differs.
        """
        try:
            with open_regular(self.path) as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidValue(
                f"{self.path}: cannot be read ({error.strerror or error})."
            ) from error
        try:
            value = parse_json(data)
            number, saved = value[self.kind], dict(value["made_by"])
            state = read(value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidValue(
                f"{self.path}: not a state of a {self.run} ({error}). Remove it, or name another "
                "file (--state)."
            ) from error
        change = differences(saved, self.made_by)
        if change or number != self.format:
            raise InvalidValue(
                f"{self.path}: the state of another {self.run} ({change or 'its format'}). To "
                "start again, remove it, or name another file (--state)."
            )
        return state


def differences(saved: Mapping[str, Any], made_by: Mapping[str, Any]) -> str:
    """The settings that differ from the saved ones, in words; empty if none do."""
    now = json.loads(json.dumps(dict(made_by)))
    names = [name for name in {**now, **saved} if saved.get(name) != now.get(name)]
    changes = [(name, _text(saved.get(name)), _text(now.get(name))) for name in names]
    return ", ".join(f"{name} {before}, now {after}" for name, before, after in changes)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
