"""Preflight findings, and the needs of a set of models, as JSON for the page. No Gradio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from components.work.figures import short_name
from dppa_core.merging.preflight.estimate import in_time
from dppa_core.merging.preflight.facts import Finding, Severity, in_bytes
from dppa_core.merging.preflight.hub_presets import HubPreset, RunsHere

_HERE = {"yes": "Runs here: yes", "merge only": "Runs here: the merge, not the chat", "no": ""}


def findings_value(findings: Iterable[Finding], head: str = "") -> dict[str, Any]:
    """A short list below `head`: the problems, the most severe first, and the number of passed
    checks."""
    every = list(findings)
    rows = [
        {
            "severity": finding.severity.value,
            "topic": finding.topic,
            "model": _who(finding.model),
            "what": finding.what,
            "why": finding.why,
            "remedy": finding.remedy,
        }
        for finding in every
        if finding.severity is not Severity.OK
    ]
    fine = len(every) - len(rows)
    passed = f"{fine} more check{'s' * (fine > 1)} passed." if fine else ""
    return {"head": head, "rows": rows, "fine": passed}


def first_blocker(blockers: Sequence[Finding]) -> str:
    """The blockers as one notice."""
    first = blockers[0]
    who = f"{_who(first.model)}: " if first.model else ""
    return " ".join(part for part in (who + first.what, first.why, first.remedy) if part)


def _who(reference: str) -> str:
    """A model's name in a list: owner/name on the Hub, else its short name."""
    if reference.startswith("hub:") and "+" not in reference:
        return reference.removeprefix("hub:").partition("@")[0]
    return short_name(reference) if reference else ""


def offer_lines(preset: HubPreset, missing: int, here: RunsHere) -> list[str]:
    """Facts about a set before its download, one a line."""
    needed = preset.estimate(missing)
    count = len(preset.all)
    fetch = (
        f"Needs a download: {in_bytes(missing)} of {count} models, "
        f"{in_time(needed.download_seconds)} at 100 Mbit/s."
        if missing
        else f"All {count} models are on this disk."
    )
    lines = [
        fetch,
        f"Licence: {', '.join(preset.licences)}.",
        f"Memory: {in_bytes(needed.merge_memory)} to merge, "
        f"{in_bytes(needed.model_memory)} to chat.",
    ]
    if preset.gated:
        lines.append(
            f"Gated: accept the terms of {', '.join(preset.gated)} on huggingface.co, then "
            "`hf auth login`."
        )
    runs = _HERE[here.word] or "Runs here: no"
    return [*lines, f"{runs}{f' ({here.reason})' if here.reason else ''}."]
