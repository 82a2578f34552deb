"""Where a run of AdaMerging stands, as a file that is whole or not there.

Knows figures, no model. Numbers are written so that the very same ones are read back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.system.atomic_folders import replace_file
from dppa_core.system.regular_files import open_regular
from dppa_core.system.strict_json import parse_json
from dppa_core.tuning.adamerging.snapshot import Snapshot

FORMAT = 1
Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything that the next step depends on."""

    step: int
    """Steps done."""
    coefficients: Rows
    mean: Rows
    """Of the gradients, as Adam keeps it."""
    mean_square: Rows
    """Of the gradients, as Adam keeps it."""
    objectives: tuple[float, ...] = ()
    """What was minimised, at every step done, in nats."""
    snapshots: tuple[Snapshot, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return {
            "step": self.step,
            "coefficients": self.coefficients,
            "mean": self.mean,
            "mean_square": self.mean_square,
            "objectives": self.objectives,
            "snapshots": [one.to_json() for one in self.snapshots],
        }


def save_state(path: Path, state: RunState, made_by: Mapping[str, Any]) -> None:
    """Write the file in one step.

    Args:
        path: The file.
        state: What to keep.
        made_by: What the run depends on; a run with another one may not go on here.

    Raises:
        InvalidValue: it cannot be written.
    """
    value = {"adamerging": FORMAT, "made_by": made_by, "state": state.to_json()}
    replace_file(path, json.dumps(value, allow_nan=False) + "\n")


def load_state(path: Path, made_by: Mapping[str, Any]) -> RunState | None:
    """What was saved; None where there is no file.

    Raises:
        InvalidValue: no state of a run, or one of a run with other settings, naming the first.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidValue(f"{path}: cannot be read ({error.strerror or error}).") from error
    try:
        value = parse_json(data)
        known = value["adamerging"], dict(value["made_by"])
        state = _state(value["state"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidValue(
            f"{path}: no state of a run ({error}). Remove it, or name another file (--state)."
        ) from error
    if known != (FORMAT, dict(made_by)):
        other = [name for name in made_by if known[1].get(name) != made_by[name]]
        named = ", ".join(f"{n} {known[1].get(n)}, now {made_by[n]}" for n in other) or "its format"
        raise InvalidValue(
            f"{path}: the state of another run ({named}). To begin anew remove it, or name another "
            "file (--state)."
        )
    return state


def _state(value: Mapping[str, Any]) -> RunState:
    return RunState(
        int(value["step"]),
        _rows(value["coefficients"]),
        _rows(value["mean"]),
        _rows(value["mean_square"]),
        tuple(map(float, value["objectives"])),
        tuple(map(Snapshot.from_json, value["snapshots"])),
    )


def _rows(value: Any) -> Rows:
    return tuple(tuple(map(float, row)) for row in value)
