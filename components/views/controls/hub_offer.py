"""The card of a set of Hub models: its needs, its preflight, and a download on request.

Nothing is requested or downloaded before a button is pressed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from components.session.json_form import parsed_keys
from components.session.presets import find_hub_preset
from components.views.controls.models import findings_value
from components.work.progress_stream import end_of
from components.work.studio import Emit, Studio
from dppa_core.checkpoints.sources.open import open_checkpoint, pinned
from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.merging.preflight.estimate import in_time
from dppa_core.merging.preflight.facts import in_bytes
from dppa_core.merging.preflight.hub_presets import HubPreset, RunsHere, runs_here
from dppa_core.merging.preflight.run import PreflightReport, preflight_models
from dppa_core.progress import Progress, Stop
from dppa_core.system.machine import this_machine

_HERE = {"yes": "yes", "merge only": "the merge, not the chat", "no": "no"}


def offered(values: Mapping[Any, Any], card: gr.HTML, studio: Studio) -> HubPreset:
    """The set whose card is open; raises NotAllowed on a public page, InvalidValue without a
    set."""
    if studio.public:
        raise NotAllowed(
            "Models of the Hub are not offered on a public page. They work in your own copy."
        )
    name = parsed_keys(values[card]).get("name")
    preset = find_hub_preset(name)
    if preset is None:
        raise InvalidValue(f"There is no set of models {name!r:.80}.")
    return preset


def offer_value(preset: HubPreset, state: str = "offered", **more: Any) -> dict[str, Any]:
    """The value of the card in a state (offered, fetching or stopped). `more` may be findings, what
    (current step), share (of the bytes, 0 to 1), trouble."""
    from huggingface_hub import constants  # noqa: PLC0415  (a third of a second)

    missing = preset.missing()
    here = runs_here(preset.estimate(missing), this_machine(Path(constants.HF_HUB_CACHE)))
    return {
        "name": preset.name,
        "title": preset.title,
        "note": preset.note,
        "models": [model.model for model in preset.all],
        "lines": offer_lines(preset, missing, here),
        "open": "Open" if not missing else f"Fetch {in_bytes(missing)} and open",
        "state": state,
        **more,
    }


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
    why = f" ({here.reason})" if here.reason else ""
    return [*lines, f"Runs here: {_HERE[here.word]}{why}."]


def checked(preset: HubPreset) -> dict[str, Any]:
    """The card with the preflight findings; contacts the Hub, downloads no weights."""
    base, *models = preset.references
    return offer_value(preset, findings=_found(preflight_models(base, models)))


def _found(report: PreflightReport) -> dict[str, Any]:
    head = f"These {'cannot be merged as they are' if report.blockers else 'can be merged'}."
    return findings_value(report.findings, head)


def fetch_events(preset: HubPreset, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Check, download and measure a set; runs in its own thread. Emits ("now", what, share),
    ("found", Report) and, on success, ("opened", references)."""
    emit(("now", "Asking the Hub", None))
    base, *models = preset.references
    report = preflight_models(base, models, stop=stop)
    emit(("found", report))
    if report.blockers:
        return
    exact = []
    for number, reference in enumerate(preset.references, 1):
        name = preset.all[number - 1].model
        reference = pinned(reference)
        tell = _teller(f"Fetching {name} ({number} of {len(preset.all)})", emit, bytes_too=True)
        open_checkpoint(reference, progress=tell, stop=stop)
        exact.append(reference)
    for reference in exact[1:]:
        tell = _teller(f"Measuring {reference.removeprefix('hub:').partition('@')[0]}", emit)
        studio.profile(exact[0], reference, progress=tell, stop=stop)
    emit(("opened", tuple(exact)))


def _teller(what: str, emit: Emit, *, bytes_too: bool = False) -> Progress:
    def tell(done: int, total: int, _what: str) -> None:
        words = f"{what}: {in_bytes(done)} of {in_bytes(total)}" if bytes_too else what
        emit(("now", words, done / total if total else None))

    return tell


def stream_fetch(
    preset: HubPreset, studio: Studio
) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield the changing card, and at the end the references to open."""
    now: dict[str, Any] = {"what": "Asking the Hub", "share": None}
    findings: dict[str, Any] | None = None
    opened: tuple[str, ...] = ()
    card = offer_value(preset, "fetching")  # its size, as it was when the fetching began
    yield {**card, **now}, ()
    job = studio.start("fetch", lambda emit, stop: fetch_events(preset, studio, emit, stop))
    shown = time.monotonic()
    for batch in job.batches(every=0.25):
        for event in batch:
            if event[0] == "now":
                now = {"what": event[1], "share": event[2]}
            elif event[0] == "found":
                findings = _found(event[1])
            else:
                opened = event[1]
        if batch or time.monotonic() - shown > 2:
            shown = time.monotonic()
            yield {**card, **now, "findings": findings}, ()
    note = end_of(job).get("note")
    if job.error is None and opened:
        yield {}, opened
    else:
        yield offer_value(preset, findings=findings, **({"trouble": note} if note else {})), ()
