"""Health check and metrics for operators of the page, without data of visitors."""

from __future__ import annotations

import time
from collections.abc import Callable

import gradio as gr
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, Histogram, generate_latest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dppa_core import __version__
from dppa_core.system.folder_cache import all_bytes

from ..work.downloads.files import Exports
from ..work.gradio_inside import API, waiting_events
from ..work.studio import Studio

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
ROUTES = ((f"{API}run/", "answer"), (f"{API}queue/join", "join"), ("/export/", "export"))
"""Prefix of a path, and the label of its times in the metrics; the page itself is `page`."""


class Timed:
    """Measures the response times of the page, of answers outside the queue, and of joining it."""

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _route(scope)
        if not name:
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            self._seconds.labels(name).observe(time.perf_counter() - begun)


def _route(scope: Scope) -> str:
    if scope["type"] != "http":
        return ""
    path = scope["path"]
    if path == "/":
        return "page"
    return next((name for begin, name in ROUTES if path.startswith(begin)), "")


def health_route(studio: Studio) -> Route:
    """GET /healthz: 200 as long as the server answers, and whether the first models are loaded."""

    def health(_request: Request) -> Response:
        report = {"status": "ok", "version": __version__, "ready": studio.ready}
        return JSONResponse(report, headers={"Cache-Control": "no-store"})

    return Route("/healthz", health, methods=["GET"])


def metrics_route(studio: Studio) -> Route:
    """GET /metrics: all counts, as Prometheus reads them."""

    def metrics(_request: Request) -> Response:
        data = generate_latest(studio.works.registry)
        return Response(data, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Route("/metrics", metrics, methods=["GET"])


def measured(page: gr.Blocks, studio: Studio, exports: Exports) -> Middleware:
    """Register the metrics of requests, queue, models and caches."""
    registry = studio.works.registry
    seconds = Histogram(
        "dppa_request_seconds",
        "Time to a whole response.",
        ("route",),
        buckets=_SECONDS,
        registry=registry,
    )
    gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
        ("dppa_queue_waiting", "Events that wait for their turn.", lambda: waiting_events(page)),
        ("dppa_models", "Models and merges in memory.", lambda: len(studio.in_memory()[0])),
        ("dppa_models_bytes", "Bytes of models in memory.", lambda: studio.in_memory()[1]),
        ("dppa_cache_bytes", "Bytes of the caches on disk.", all_bytes),
        ("dppa_exports_bytes", "Bytes of files on offer, and being made.", lambda: exports.nbytes),
    )
    for name, about, function in gauges:
        Gauge(name, about, registry=registry).set_function(function)
    return Middleware(Timed, seconds=seconds)
