"""Scripts and style of the lessons: fetched by the first who opens one, not with the page.

Knows the files in assets/learn/ and HTTP.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "learn"
SCRIPTS = (
    "frame.js",
    "quiz.js",
    "charts.js",
    "class.js",
    "by-hand.js",
    "break-it.js",
    "deltas.js",
    "matrices.js",
    "pruning.js",
    "significance.js",
    "amplification.js",
    "conflict.js",
    "coefficients.js",
    "comparison.js",
    "questions.js",
)
"""In this order; the first holds what the others call."""
STYLES = ("learn.css", "hands.css")
KINDS = {"learn.js": (SCRIPTS, "text/javascript"), "learn.css": (STYLES, "text/css")}
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def bundle(name: str) -> str:
    """All scripts, or all styles, as one text."""
    files, _ = KINDS[name]
    return "\n".join((FOLDER / file).read_text(encoding="utf-8") for file in files)


def learn_route() -> Route:
    """What serves them: learn/learn.js and learn/learn.css, below the page's own address."""

    def send(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in KINDS:
            return PlainTextResponse("There is no such file.", 404, headers=HEADERS)
        return Response(bundle(name), media_type=KINDS[name][1], headers=HEADERS)

    return Route("/learn/{name}", send, methods=["GET"])
