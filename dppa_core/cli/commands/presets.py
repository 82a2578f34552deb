"""The command `presets`: sets of models of the Hub, and whether they run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit
from dppa_core.preflight_checks.facts import counted, in_bytes
from dppa_core.preflight_checks.fetchable_sets import fetchable_sets, preset_json
from dppa_core.system.machine import this_machine


def presets(as_json: JsonFlag = False) -> None:
    """List sets of models of the Hub: size, licence, hardware, and whether they run here."""
    from huggingface_hub import constants  # noqa: PLC0415  (a third of a second)

    machine = this_machine(Path(constants.HF_HUB_CACHE))
    sets = [preset_json(preset, machine) for preset in fetchable_sets()]
    value = {"memory": machine.memory, "disk": machine.disk, "presets": sets}
    emit(value, presets_text(sets), as_json=as_json)


def presets_text(sets: list[dict[str, Any]]) -> str:
    """A table, then the models and the remarks set by set."""
    rows = [
        [
            entry["name"],
            counted(entry["parameters"]),
            str(1 + len(entry["models"])),
            in_bytes(entry["missing_bytes"]) if entry["missing_bytes"] else "here",
            in_bytes(entry["estimate"]["merge_memory"]),
            in_bytes(entry["estimate"]["model_memory"]),
            _runs_here(entry),
        ]
        for entry in sets
    ]
    head = ["preset", "parameters", "models", "to fetch", "to merge", "to chat", "runs here"]
    lines = [text_table(head, rows), ""]
    for entry in sets:
        details = (f"  {line}" for line in _details(entry))
        lines += [f"{entry['name']}: {entry['title']}", *details, ""]
    lines.append("`dppa preflight --preset NAME` asks the Hub, before anything is fetched.")
    return "\n".join(lines)


def _runs_here(entry: dict[str, Any]) -> str:
    word = str(entry["runs_here"])
    return f"{word}, with a login" if entry["gated"] and word != "no" else word


def _details(entry: dict[str, Any]) -> list[str]:
    lines = [entry["base"], *entry["models"], f"licence: {', '.join(entry['licences'])}"]
    if entry["gated"]:
        lines.append(f"gated: {', '.join(entry['gated'])}")
    if entry["reason"]:
        lines.append(f"lacking here: {entry['reason']}")
    if entry["note"]:
        lines.append(entry["note"])
    return lines
