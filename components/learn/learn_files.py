"""Serves the styles of lessons, which load when a lesson is opened."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.session.shipped import shipped

FOLDER = shipped("assets")
STYLES = ("css/learn.css", "css/learn_by_hand.css")
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def learn_route() -> Route:
    """The route that serves it: learn/learn.css, below the page's address."""

    def send(request: Request) -> Response:
        text = "\n".join((FOLDER / file).read_text(encoding="utf-8") for file in STYLES)
        return Response(text, media_type="text/css", headers=HEADERS)

    return Route("/learn/learn.css", send, methods=["GET"])
