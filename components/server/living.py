"""Living figures: one page of plots and answers that needs no server. assets/js/living/ draws it.

`make living` writes it into a folder, and this server has it below living/. Its weights are those
of tab_files.py.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.tab.files import FOLDER, manifest_text, write_files
from dppa_core.tab.wishes import METHODS
from dppa_core.teaching.by_hand.grid import FILES, grid_address, opening, walks
from dppa_core.teaching.by_hand.tiny_merge import STARTS

from ..session.method_choice import catalogue
from ..session.presets import first_session, presets
from ..session.shipped import glossary
from ..session.state import schema, state_of
from ..views.see.pinned import examples, opening_answers
from ..views.see.see import plots_payload
from ..widgets.scripts import address, data_tag, needed, sources
from ..widgets.theme import CSS, palette_css
from ..work.studio import Studio
from .guards.heads import Guard
from .settings import Settings
from .tab_files import LOOPS, hash_of, loops, send_tab_file, tab_files

ENTRY, WORKER = "living/living.js", "tab/worker.js"
PAGE, STYLE = "index.html", "style.css"
STYLES = ("style", "see", "learn", "learn_by_hand", "strip", "living")
STRENGTHS = (0.08, 0.0, 0.01682)
"""Strengths that the plots have tables for: the usual one, none, and that of a preset."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
NEEDS_A_SERVER = (
    "A living figure moves where a web server gives it out. On this computer: run "
    "`python3 -m http.server` in this folder, then open http://localhost:8000."
)
_one = threading.Lock()


OPENINGS = (
    "Embedded: math + finance + law",
    "Too much: all three, 95 % pruned",
    "95 % pruned, then amplified",
)
"""Presets whose answers come with the page."""


def text_files(studio: Studio) -> Mapping[str, bytes]:
    """Path below living/ -> content, of all but what a tab fetches; the same for every call."""
    scripts = {name: sources()[name].encode() for name in dict.fromkeys(_modules())}
    style = style_sheet()
    files = {f"{address()}/{name}": text for name, text in scripts.items()}
    return {PAGE: _page(studio, files, style).encode(), STYLE: style, **files}


def _modules() -> list[str]:
    return [*needed(ENTRY), *needed(WORKER)]


@cache
def style_sheet() -> bytes:
    """The page's own styles, and those of figures."""
    parts = ((CSS / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    return (palette_css() + "".join(parts)).encode()


def _page(studio: Studio, scripts: Mapping[str, bytes], style: bytes) -> str:
    """The document: policy, data, and the addresses of scripts with their hashes."""
    early = "".join(
        f'<link rel="modulepreload" href="{address()}/{name}" '
        f'integrity="{hash_of(scripts[f"{address()}/{name}"])}">\n'
        for name in needed(ENTRY)
    )
    tags = {
        "glossary-words": dict(glossary()),
        "session-schema": schema(),
        "tab-files": tab_files(manifest_text()),
        "living-data": figure_data(studio),
    }
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>DPPA Studio: a living figure</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}" integrity="{hash_of(style)}">
{"".join(data_tag(name, value) for name, value in tags.items())}
{early}<script type="module" src="{address()}/{ENTRY}"></script>
</head>
<body class="live">
<main class="gradio-container html-container" id="figure"><p>{escape(NEEDS_A_SERVER)}</p></main>
</body>
</html>
"""


def figure_data(studio: Studio) -> dict[str, Any]:
    """What a figure draws from: methods, tables, questions, opening answers, a usual session."""
    usual = first_session()
    payloads = {s: plots_payload(replace(usual, strength=s), studio) for s in STRENGTHS}
    first = payloads[STRENGTHS[0]]
    answers = opening_answers()
    return {
        "methods": [row for row in catalogue() if row["name"] in METHODS],
        "tables": {f"{s:g}": payload["tables"] for s, payload in payloads.items()},
        **{key: first[key] for key in ("names", "outliers", "settings")},
        "usual": state_of(usual),
        "examples": examples(),
        "alone": answers["alone"],
        "merged": [
            {"state": state_of(presets()[title]), "answers": written}
            for title, written in answers["merged"].items()
        ],
        "byHand": {"first": opening(), "grids": {s: grid_address(s) for s in STARTS}},
    }


def write_living(folder: Path, studio: Studio) -> None:
    """Write all files into a folder, for any server of files."""
    packs = {f"{FOLDER}/{name}": walks(start) for name, start in FILES.items()}
    files = {**text_files(studio), **packs, f"{FOLDER}/{LOOPS}": loops()}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_files(folder / FOLDER, [model.reference for model in first_session().models])


def living_value(settings: Settings) -> dict[str, Any]:
    """What Share needs for a figure to embed: where figures are, and what they can show. Without an
    address they are this server's, which other sites show only if `frames` are allowed."""
    return {
        "address": settings.living,
        "framed": bool(settings.living or settings.frame_sites),
        "strengths": list(STRENGTHS),
        "models": [model.reference.removeprefix("zoo:") for model in first_session().models],
        "methods": list(METHODS),
    }


class FigureLinks(Guard):
    """Redirects `/?figure=heatmap&rate=0.9` to the living figure, in 16:9 unless `ratio` differs;
    the figure itself says what it cannot show."""

    def refusal(self, scope: Scope) -> Response | None:
        """The redirect to a figure; None for all other addresses."""
        words = QueryParams(scope["query_string"])
        if scope["path"] != "/" or "figure" not in words:
            return None
        theme = {"theme": words["__theme"]} if "__theme" in words else {}
        shown = {key: text for key, text in words.items() if not key.startswith("__")}
        text = urlencode({"ratio": "16:9"} | theme | shown, safe=":,")
        return RedirectResponse(f"living/{PAGE}#{text}")


def living_routes(studio: Studio) -> list[BaseRoute]:
    """The routes that serve them, below the page's address."""
    packed: dict[str, bytes] = {}

    def find(name: str) -> bytes | None:
        with _one:
            if not packed:
                packed.update({n: gzip.compress(text) for n, text in text_files(studio).items()})
            return packed.get(name)

    def send(request: Request) -> Response:
        name = request.path_params["name"] or PAGE
        try:
            content = find(name)
        except IncompatibleCheckpoints as error:  # other models than those embedded: DPPA_ZOO
            return PlainTextResponse(str(error), 404)
        if content is None:
            return PlainTextResponse("There is no such file.", 404)
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        media = TYPES.get(Path(name).suffix, "application/json")
        return Response(content, media_type=media, headers=headers)

    return [
        Route(f"/living/{FOLDER}/{{name}}", send_tab_file, methods=["GET"]),
        Route("/living/{name:path}", send, methods=["GET"]),
    ]
