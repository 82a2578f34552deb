"""Finished measurements on disk, so that a killed benchmark can be continued."""

import hashlib
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def source_hash() -> str:
    """Hash of all library files: changed code, new journal."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "dppa_core").rglob("*.py")):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class Journal:
    """Finished rounds, one JSON line each.

    Args:
        path: The file.
        conditions: Those of all rounds; the file is emptied if they differ.
    """

    def __init__(self, path: Path, conditions: dict[str, Any]) -> None:
        self._path = path
        self.conditions = conditions
        lines = _lines(path)
        if not lines or lines[0] != conditions:
            path.write_text(json.dumps(conditions) + "\n", "utf-8")
            lines = [conditions]
        self._rounds = lines[1:]

    def add(self, part: str, values: Any) -> None:
        """Note a finished round of one part."""
        entry = {"part": part, "values": values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._rounds.append(entry)

    def rounds(self, part: str) -> list[Any]:
        """The finished rounds of a part, in their order."""
        return [entry["values"] for entry in self._rounds if entry["part"] == part]


def _lines(path: Path) -> list[Any]:
    entries: list[Any] = []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return entries
    for line in text.splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:  # cut short by a kill
            break
    return entries
