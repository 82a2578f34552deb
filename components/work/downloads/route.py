"""The download route: an address with the secret word of a file.

Headers make the browser save the file and never show it: a report must not run as a part of this
page.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from .files import Exports

ADDRESS = "export/"
"""Path below the page's address; the word follows. No suffix: Gradio would compress by it."""
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
    """The route that serves exported files."""

    def send(request: Request) -> Response:
        offer = exports.fetch(request.path_params["word"], count=request.method == "GET")
        if offer is None or not offer.path.is_file():  # a system may clear its temporary files
            return PlainTextResponse(GONE, 404, headers=HEADERS)
        return FileResponse(
            offer.path,
            media_type="application/octet-stream",
            filename=offer.path.name,
            headers=HEADERS,
        )

    return Route(f"/{ADDRESS}{{word}}", send, methods=["GET"])


def address_of(word: str) -> str:
    """The address of a file, relative to the page."""
    return ADDRESS + word
