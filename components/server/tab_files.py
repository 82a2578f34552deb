"""Serves what a tab needs to merge and to answer by itself: compiled loops, manifest, weights, kept
counts of plans that it does not make; and the walks of *one matrix by hand*.

A file is made once a machine: when it is asked for, or, of models, ahead on a public page.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dppa_core.errors import CheckpointError, DppaError, InvalidRecipe
from dppa_core.recipes.yaml_text import Pruning, parse_recipe
from dppa_core.tab.files import BASE, FOLDER, MANIFEST, MODELS, file_name, manifest_text, packed
from dppa_core.tab.wishes import COUNTED, METHODS, RANKING, SETTINGS, is_counted, kept_counts
from dppa_core.teaching.by_hand.grid import FILES, walks

from ..session.shipped import shipped
from ..work.studio import Studio

LOOPS, COUNTS = "tab.wasm", "counts"
NAMES = {file_name(model): model for model in (BASE, *MODELS)}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-cache"}
PIECE_BYTES = 1 << 16
"""Sent at once: a slow reader holds no more than this."""
MOST_LETTERS = 10_000
"""Of a recipe whose counts are asked for; every matrix may have a rate of its own."""
_log = logging.getLogger("dppa.page")
_one = threading.Lock()
"""One pack is made at a time, and kept: many readers share its bytes."""
_kept: dict[str, bytes] = {}


@cache
def loops() -> bytes:
    """The compiled loops of assets/tab/."""
    return shipped(f"assets/tab/{LOOPS}").read_bytes()


def hash_of(content: bytes) -> str:
    """SHA-256 as browsers check it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"


def tab_files(manifest: bytes | None = None) -> dict[str, Any]:
    """What the page's scripts ask a tab for, and addresses relative to the page.

    Args:
        manifest: To be checked by the browser. A server has none at its start: it takes seconds.
            With it, no server counts.
    """
    hashes = {"loops": hash_of(loops())}
    if manifest:
        hashes["manifest"] = hash_of(manifest)
    counts = {"address": f"{FOLDER}/{COUNTS}", "methods": RANKING, "settings": COUNTED}
    return {
        "base": BASE,
        "models": list(MODELS),
        "methods": list(METHODS),
        "settings": list(SETTINGS),
        "counts": None if manifest else counts,
        "loops": f"{FOLDER}/{LOOPS}?{hashlib.sha256(loops()).hexdigest()[:16]}",
        "manifest": f"{FOLDER}/{MANIFEST}",
        "integrity": hashes,
        "weights": {model: f"{FOLDER}/{name}" for name, model in NAMES.items()},
    }


def send_tab_file(request: Request) -> Response:
    """One of them, by the `name` in its path; 404 where the embedded models are not whole."""
    name = request.path_params["name"]
    headers = FOR_EVER if request.url.query else FRESH
    if name == LOOPS:
        return Response(loops(), media_type="application/wasm", headers=headers)
    try:
        if name == MANIFEST:
            return Response(manifest_text(), media_type="application/json", headers=FRESH)
        data = _pack(name) if name in NAMES or name in FILES else None
    except CheckpointError as error:
        _log.warning("a tab cannot merge: %s", error)
        data = None
    if data is None:
        return PlainTextResponse("There is no such file.", 404)
    headers = {**headers, "Content-Length": str(len(data))}
    kind = "application/octet-stream"
    return StreamingResponse(_pieces(data), media_type=kind, headers=headers)


def _pack(name: str) -> bytes:
    with _one:
        if name not in _kept:
            _kept[name] = packed(NAMES[name]) if name in NAMES else walks(FILES[name])
        return _kept[name]


def pack_ahead(studio: Studio, models: Iterable[str]) -> None:
    """Pack the base and some models once the warm-up is over, for the first visitor's tab."""
    while not studio.ready:
        if studio.ending.wait(1.0):
            return
    for model in (BASE, *models):
        _pack(file_name(model))


def counts_of(text: str, studio: Studio) -> dict[str, list[list[int]]]:
    """Model -> kept counts by level and module of a recipe as text. Raises DppaError."""
    recipe = parse_recipe(text) if len(text) <= MOST_LETTERS else None
    if recipe is None or not is_counted(recipe):
        raise InvalidRecipe("Counts are for recipes that rank the embedded models by |d|.")
    pruning, counts = Pruning(recipe.method, recipe.parameters), {}
    for part in recipe.models:
        arguments = BASE, part.model, part.levels, pruning, recipe.overrides
        counts[part.model] = studio.shown_plan(*arguments, kept_counts) or []
    return counts


def tab_routes(studio: Studio) -> list[Route]:
    """What serves them: `tab/NAME`, below the page's address, and the counts of a posted recipe."""

    async def send_counts(request: Request) -> Response:
        text = (await request.body()).decode(errors="replace")
        try:
            return JSONResponse(await run_in_threadpool(counts_of, text, studio))
        except DppaError as error:
            return PlainTextResponse(str(error), 422)

    return [
        Route(f"/{FOLDER}/{COUNTS}", send_counts, methods=["POST"]),
        Route(f"/{FOLDER}/{{name}}", send_tab_file, methods=["GET"]),
    ]


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
