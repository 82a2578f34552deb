"""The card of models that are not on this computer: their size, their preflight, and a download.

It offers a set of Hub models, or the models that a person typed. Nothing is downloaded before a
button is pressed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.open import open_checkpoint, pinned
from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.preflight_checks.estimate import Estimate, in_time
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.preflight_checks.fetchable_sets import FetchableSet, runs_here
from dppa_core.preflight_checks.preflight_report import PreflightReport, preflight_models
from dppa_core.progress import Progress, Stop
from dppa_core.system.machine import this_machine

from ...session.json_form import parsed_keys, reference_text
from ...session.presets import find_fetchable_set
from ...session.session import MOST_MODELS
from ...work.kinds import FETCH
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from .models import findings_value

_RUNS_HERE = {"yes": "yes", "merge only": "the merge, not the chat", "no": "no"}
TYPED = "typed"
"""Name of the card of typed models; no set has it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Models that a card offers."""

    references: tuple[str, ...]
    """Of the base, then of the domain models."""
    preset: FetchableSet | None = None
    """The set they form; None if they were typed."""
    new_base: bool = True
    """True if the base was typed too; otherwise the models join those of the page."""

    @property
    def names(self) -> list[str]:
        """Names of the models to fetch: owner/name on the Hub."""
        return list(map(_name, self.references if self.new_base else self.references[1:]))


def _name(reference: str) -> str:
    return reference.removeprefix("hub:").partition("@")[0]


def read_offer(values: Mapping[Any, Any], card: gr.HTML, studio: Studio) -> Offer:
    """The offer of the open card; raises NotAllowed on a public page, InvalidValue without one."""
    if studio.public:
        raise NotAllowed(
            "Models of the Hub are not offered on a public page. They work in your own copy."
        )
    keys = parsed_keys(values[card])
    if keys.get("name") == TYPED:
        return _typed(keys)
    preset = find_fetchable_set(keys.get("name"))
    if preset is None:
        raise InvalidValue(f"There is no set of models {keys.get('name')!r:.80}.")
    return Offer(preset.references, preset)


def _typed(keys: Mapping[str, Any]) -> Offer:
    references = keys.get("references")
    if not isinstance(references, list) or not 2 <= len(references) <= MOST_MODELS + 1:
        raise InvalidValue(f"The page sent something unreadable: {references!r:.80}.")
    return Offer(tuple(map(reference_text, references)), new_base=keys.get("new_base") is True)


def offer_value(
    offer: Offer, state: str = "offered", report: PreflightReport | None = None, **more: Any
) -> dict[str, Any]:
    """The value of the card in a state (offered, fetching or stopped).

    Args:
        report: The preflight of these models; its findings are listed. The needs of typed models
            are unknown without it.
        more: what (the current step), share (of its bytes, 0 to 1), trouble.
    """
    about: dict[str, Any]
    needed: Estimate | None = None if report is None else report.estimate
    if offer.preset is not None:
        needed = offer.preset.estimate(offer.preset.missing())
        gated, licences = offer.preset.gated, offer.preset.licences
        about = {"name": offer.preset.name, "title": offer.preset.title, "note": offer.preset.note}
    else:
        models = () if report is None else report.facts
        gated = tuple(model.reference for model in models if model.gated and model.missing)
        licences = tuple(dict.fromkeys(model.licence or "not stated" for model in models))
        title = offer.names[0] if len(offer.names) == 1 else f"{len(offer.names)} models"
        about = {"name": TYPED, "title": title, "note": "", "new_base": offer.new_base}
        about["references"] = list(offer.references)
    return {
        **about,
        "models": offer.names,
        "lines": [] if needed is None else offer_lines(offer, needed, licences, gated),
        "open": _button("open" if offer.new_base else "add", needed),
        "state": state,
        "checks": not offer.references[0].startswith("zoo:"),
        "findings": None if report is None else _findings(report),
        **more,
    }


def _button(end: str, needed: Estimate | None) -> str:
    """The text of the button that fetches; the size of typed models is unknown before a check."""
    if needed is None:
        return f"Fetch and {end}"
    return f"Fetch {in_bytes(needed.download)} and {end}" if needed.download else end.capitalize()


def offer_lines(
    offer: Offer, needed: Estimate, licences: tuple[str, ...], gated: tuple[str, ...]
) -> list[str]:
    """Facts before a download, one a line."""
    from huggingface_hub import constants  # noqa: PLC0415  (a third of a second)

    count = len(offer.names)
    many = f"{count} models" if count > 1 else "the model"
    if offer.references[0].startswith("zoo:") and needed.download:
        many = "their base"
    fetch = (
        f"Needs a download: {in_bytes(needed.download)} of {many}, "
        f"{in_time(needed.download_seconds)} at 100 Mbit/s."
        if needed.download
        else f"On this disk: {'all ' * (count > 1)}{many}."
    )
    lines = [
        fetch,
        f"Licence: {', '.join(licences)}.",
        f"Memory: {in_bytes(needed.merge_memory)} to merge, "
        f"{in_bytes(needed.model_memory)} to chat.",
    ]
    if gated:
        lines.append(
            f"Gated: accept the terms of {', '.join(gated)} on huggingface.co, then "
            "`hf auth login`."
        )
    verdict = runs_here(needed, this_machine(Path(constants.HF_HUB_CACHE)))
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return [*lines, f"Runs here: {_RUNS_HERE[verdict.word]}{reason}."]


def checked_value(offer: Offer) -> dict[str, Any]:
    """The card with the preflight findings; contacts the Hub, downloads no weights."""
    base, *models = offer.references
    return offer_value(offer, report=preflight_models(base, models, heads="ask"))


def _findings(report: PreflightReport) -> dict[str, Any]:
    head = f"These {'cannot be merged as they are' if report.blockers else 'can be merged'}."
    return findings_value(report.findings, head)


def fetch_events(offer: Offer, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Check, download and measure models; runs in its own thread. Emits ("now", step, share done),
    ("found", Report) and, on success, ("opened", references)."""
    base, *models = offer.references
    if base.startswith("zoo:"):  # checked after its download: no server has metadata of it
        _fetch(base, "", emit, stop)
    emit(("now", "Asking the Hub" if "hub:" in "".join(offer.references) else "Checking", None))
    report = preflight_models(base, models, heads="ask", stop=stop)
    emit(("found", report))
    if report.blockers:
        return
    exact = []
    for number, reference in enumerate(offer.references, 1):
        reference = pinned(reference)
        _fetch(reference, f" ({number} of {len(offer.references)})", emit, stop)
        exact.append(reference)
    for reference in exact[1:]:
        progress = _measuring(f"Measuring {_name(reference)}", emit)
        studio.profile(exact[0], reference, progress=progress, stop=stop)
    emit(("opened", tuple(exact)))


def _fetch(reference: str, position: str, emit: Emit, stop: Stop) -> None:
    step = f"Fetching {_name(reference)}{position}"
    open_checkpoint(reference, progress=fetch_progress(step, emit), stop=stop)


def fetch_progress(step: str, emit: Emit) -> Progress:
    """Emits the bytes that have arrived, their rate, and the time left. Bytes that were on the disk
    before do not count for the rate."""
    first: list[tuple[float, int]] = []

    def progress(nbytes: int, total: int, item: str) -> None:
        if nbytes == total and item == "Converting":
            emit(("now", f"{step}: here; converting it takes half a minute", None))
            return
        now = time.monotonic()
        first.append((now, nbytes))
        seconds, arrived = now - first[0][0], nbytes - first[0][1]
        words = f"{step}: {in_bytes(nbytes)} of {in_bytes(total)}"
        if seconds >= 1 and arrived > 0:
            rate = arrived / seconds
            words += f", {in_bytes(round(rate))}/s, {in_time((total - nbytes) / rate)} left"
        emit(("now", words, nbytes / total if total else None))

    return progress


def _measuring(step: str, emit: Emit) -> Progress:
    return lambda count, total, _: emit(("now", step, count / total if total else None))


def stream_fetch(offer: Offer, studio: Studio) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """Yield the changing card, and at the end the references to open."""
    now: dict[str, Any] = {"what": "Beginning", "share": None}
    report: PreflightReport | None = None
    opened: tuple[str, ...] = ()
    card = offer_value(offer, "fetching")  # with the size before the download
    yield {**card, **now}, ()
    job = studio.start(FETCH, partial(fetch_events, offer, studio))
    sent = time.monotonic()
    for batch in job.batches(every=0.25):
        for event in batch:
            if event[0] == "now":
                now = {"what": event[1], "share": event[2]}
            elif event[0] == "found":
                report = event[1]
                checked = offer_value(offer, "fetching", report)
                card = card | {"findings": checked["findings"]} if offer.preset else checked
            else:
                opened = event[1]
        if batch or time.monotonic() - sent > 2:
            sent = time.monotonic()
            yield {**card, **now}, ()
    note = end_of(job).get("note")
    if job.error is None and opened:
        yield {}, opened
    else:
        yield offer_value(offer, report=report, **({"trouble": note} if note else {})), ()
