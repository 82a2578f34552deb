"""Serves the page's scripts: the ES modules of assets/js/, under an address with a hash.

A change of any module changes the address of all: no browser mixes two versions, and each may cache
them for ever.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..session.shipped import glossary, shipped
from ..session.state import schema

FOLDER = shipped("assets/js")
ENTRY = "entry.js"
_IMPORT = re.compile(r'^(?:import|export)\b(?:[^;"]*\bfrom)?\s*"(\.[^"]+)";', re.MULTILINE)
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


@cache
def sources() -> dict[str, str]:
    """Every module by its path below assets/js/ -> its text."""
    files = sorted(path for path in FOLDER.rglob("*.js"))
    named = {path.relative_to(FOLDER).as_posix(): path for path in files}
    return {name: path.read_text(encoding="utf-8") for name, path in named.items()}


def imported(name: str) -> list[str]:
    """The modules that a module imports statically, as paths below assets/js/."""
    folder = posixpath.dirname(name)
    paths = _IMPORT.findall(sources()[name])
    return [posixpath.normpath(posixpath.join(folder, path)) for path in paths]


def needed(start: str) -> list[str]:
    """A module and all that it imports statically, by itself or by others; imported ones first."""
    names: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in names:
            for dependency in imported(name):
                visit(dependency)
            names[name] = None

    visit(start)
    return list(names)


@cache
def address() -> str:
    """Their address relative to the page: js/ and a hash of all modules."""
    text = json.dumps(sources(), sort_keys=True)
    return f"js/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def data_tag(element: str, value: Any) -> str:
    """A value as JSON in the page's head, for scripts."""
    text = json.dumps(value, ensure_ascii=False).replace("</", "<\\/")
    return f'<script type="application/json" id="{element}">{text}</script>'


def script_tags() -> str:
    """The tags for the page's head: the glossary and the controls as data, and the modules. Those
    of the first plot are preloaded, or a browser would find them one by one; Gradio's own have
    priority."""
    early = "".join(
        f'<link rel="modulepreload" fetchpriority="low" href="{address()}/{name}">'
        for name in needed(ENTRY)
    )
    return (
        f"{data_tag('glossary-words', dict(glossary()))}{data_tag('session-schema', schema())}"
        f'{early}<script type="module" src="{address()}/{ENTRY}"></script>'
    )


def script_route() -> Route:
    """The route that serves them: `js/HASH/PATH`, below the page's address."""
    packed = {name: gzip.compress(text.encode()) for name, text in sources().items()}

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in packed:
            return PlainTextResponse("There is no such script.", 404)
        headers, body = dict(HEADERS), packed[name]
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            body = sources()[name].encode()
        return Response(body, media_type="text/javascript", headers=headers)

    return Route(f"/{address()}/{{name:path}}", send, methods=["GET"])
