"""Scripts and style of the lessons: fetched by the first who opens one, not with the page.

Knows the files of the lessons in assets/ and HTTP.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = (
    "js/learn/frame.js",
    "js/learn/blocks/quiz.js",
    "js/learn/charts.js",
    "js/learn/class_links.js",
    "js/learn/blocks/by_hand.js",
    "js/learn/blocks/break_it.js",
    "js/learn/blocks/deltas.js",
    "js/learn/blocks/matrices.js",
    "js/learn/blocks/pruning.js",
    "js/learn/blocks/significance.js",
    "js/learn/blocks/amplification.js",
    "js/learn/blocks/conflict.js",
    "js/learn/blocks/coefficients.js",
    "js/learn/blocks/comparison.js",
    "js/learn/blocks/open_questions.js",
)
"""In this order; the first holds what the others call."""
STYLES = ("css/learn.css", "css/learn_by_hand.css")
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
