"""The export pane: files of the merge, made on request and downloaded one by one.
assets/js/panes/export.js draws it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from dppa_core.errors import DppaError
from dppa_core.merging.lora.report import MOST_RANK
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

from ...session.fields import whole_number
from ...session.json_form import parsed_keys
from ...widgets.browser_parts import live, pack, static
from ...widgets.controls import PRIVATE, Controls, queued
from ...work.downloads.files import ExportedFile, Exports
from ...work.downloads.route import address_of
from ...work.error_notices import show_errors
from ...work.kinds import EXPORT, EXPORTS, LOOKS
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from ...work.visitor import Visitor, asker
from .export_values import export_value, kept_shares, read_facts
from .export_work import ExportWork, find_maker, make_file


def files_value(offers: tuple[ExportedFile, ...], state: str, **more: Any) -> dict[str, Any]:
    """The file being made, and a visitor's files. The state is idle, working, done, stopped or
    failed; `more` may be id, kind, recipe, what (current step), share (0 to 1, or None), note."""
    now = time.monotonic()
    rows = [
        {
            "word": file.word,
            "kind": _kind(file.path.name),
            "address": address_of(file.word),
            "name": file.path.name,
            "size": in_bytes(file.nbytes),
            "sha256": file.sha256,
            "seconds": max(0, round(file.until - now)),
            "downloads": file.downloads,
        }
        for file in offers
    ]
    return {"state": state, "rows": rows, **more}


def _kind(name: str) -> str:
    """The kind of a file by its name; its link appears in the row of that kind."""
    endings = {"-packs.zip": "packs", "-adapter.zip": "adapter", "-report.html": "report"}
    return next((kind for end, kind in endings.items() if name.endswith(end)), "checkpoint")


def stream_making(
    recipe: MergeRecipe,
    kind: str,
    visitor: Visitor,
    exports: Exports,
    studio: Studio,
    rank: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the pane's value while a file is made, a few times a second; `rank` is an adapter's."""
    about = {"kind": kind, "recipe": recipe_hash(recipe), "id": secrets.token_hex(4)}
    step: tuple[str, float | None] = "Starting", None

    def working() -> dict[str, Any]:
        words, share = step
        offers = exports.offers(visitor)
        return files_value(offers, "working", **about, what=words, share=share)

    yield working()

    def work(emit: Emit, stop: Stop) -> None:
        context = ExportWork(studio.public, lambda *progress: emit(progress), stop, rank)
        make_file(recipe, kind, visitor, exports, context)

    job = studio.start(EXPORT, work)
    for batch in job.batches(every=0.2):
        if batch:
            step = batch[-1]
            yield working()
    yield files_value(exports.offers(visitor), **about, **end_of(job))


def card_preview(card: str) -> str:
    """A model card for display as sanitised Markdown: front matter as a block, no images (those of
    a parent's card would be loaded from elsewhere), no foreign markup."""
    _, front, body = card.split("---\n", 2)
    lines = [line for line in body.splitlines() if not line.startswith("![")]
    text = "\n".join(lines).replace("![", "!\\[").replace("<", "\\<")
    return f"```yaml\n{front}```\n{text}"


def add_export(controls: Controls, studio: Studio, exports: Exports) -> None:
    """Add the available files (sizes, times, texts), the one being made, and the model card."""
    offer = live("export", None, events=("look",))
    files = live("made", files_value((), "idle"), events=("make", "stop", "forget"))
    with gr.Accordion("The model card, as it would be", open=False, elem_id="card-box"):
        static(
            '<p class="how">The README.md of the merged folder, without its plots. The hashes '
            "of the weights are added when they are made.</p>",
            "card-hint",
        )
        card = gr.Markdown("", elem_id="card", sanitize_html=True, latex_delimiters=[])

    @show_errors
    def on_look(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            recipe = controls.session(values).recipe()
            facts = read_facts(recipe, public=studio.public)
            kept = kept_shares(facts, public=studio.public)
            value = export_value(facts, recipe, public=studio.public, kept=kept)
        except DppaError as error:
            return {offer: pack({"problem": str(error)}), card: ""}
        return {offer: pack(value), card: card_preview(value["texts"]["card"]["text"])}

    offer.look(
        on_look,
        inputs=controls.inputs,
        outputs=[offer, card],
        trigger_mode="always_last",
        **LOOKS.turns,
        **PRIVATE,
    )
    _wire_making(files, controls, studio, exports)


def _wire_making(files: gr.HTML, controls: Controls, studio: Studio, exports: Exports) -> None:
    place = static("", "export-place")

    @show_errors
    def on_make(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        wish = parsed_keys(values[files])
        kind = str(wish.get("make", ""))
        find_maker(kind)
        rank = whole_number("rank", wish.get("rank", 0), 0, MOST_RANK) or None
        recipe = controls.session(values).recipe()
        for value in stream_making(recipe, kind, asker(request), exports, studio, rank):
            yield {files: pack(value)}

    @show_errors
    def on_stop_making(request: gr.Request) -> dict[Any, Any]:
        return {files: pack(files_value(exports.offers(asker(request)), "stopped"))}

    @show_errors
    def on_forget(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        visitor = asker(request)
        exports.forget(visitor, str(parsed_keys(values[files]).get("forget", "")))
        return {files: pack(files_value(exports.offers(visitor), "idle"))}

    making = files.make(
        on_make,
        inputs=controls.inputs | {files},
        outputs=[files],
        **EXPORTS.turns,
        trigger_mode="once",
        **queued(place),
    )
    making.failure(None, js="() => { window.dppa.makingRests(); return []; }", **PRIVATE)
    files.stop(on_stop_making, None, [files], cancels=[making], queue=False, **PRIVATE)
    files.forget(on_forget, inputs={files}, outputs=[files], queue=False, **PRIVATE)
