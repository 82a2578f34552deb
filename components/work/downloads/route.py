"""How a file that was made for a visitor leaves: one address, the word that only they know.

Knows the files on offer and HTTP. The browser is told to save and never to show: a report must not
run as a part of this page.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from components.work.downloads.files import Exports

ADDRESS = "export/"
"""Below the page's own address; the word follows. No ending: Gradio would compress by it."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
GONE = (
    "This file is not here any more: files are removed after a while, and can be fetched a few "
    "times only. Make it again on the page."
)


def download_route(exports: Exports) -> Route:
    """What serves the files on offer."""

    def send(request: Request) -> Response:
        offer = exports.fetch(request.path_params["word"], count=request.method == "GET")
        if offer is None or not offer.path.is_file():  # a system may clear its temporary files
            return PlainTextResponse(GONE, 404, headers=HEADERS)
        return FileResponse(
            offer.path,
            media_type="application/octet-stream",
            filename=offer.name,
            headers=HEADERS,
        )

    return Route(f"/{ADDRESS}{{word}}", send, methods=["GET"])


def address_of(word: str) -> str:
    """Where a file is fetched, seen from the page."""
    return ADDRESS + word
