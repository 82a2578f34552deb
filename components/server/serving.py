"""Start and end of the server: launch options, additional routes, middleware, warm-up, signals."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dppa_core.errors import InvalidValue
from dppa_core.system.temporary import remove_dead

from ..learn.learn import learn_route
from ..session.presets import first_session
from ..widgets.scripts import data_tag, script_route, script_tags
from ..widgets.theme import page_head, page_theme
from ..work.downloads.route import download_route
from ..work.gradio_inside import (
    API,
    LOGIN_ERRORS,
    NO_HANDLER,
    describe_anew,
    is_misfit,
    is_of_no_handler,
    print_nothing,
    serve_with,
)
from ..work.visitor import CallerAddresses
from .guards.body_limits import BodyLimits
from .guards.closed_routes import ClosedRoutes, EventOwner
from .guards.connections import Server
from .guards.heads import BAD_LOGIN, HeaderLimits
from .guards.hosts import HostCheck, own_names
from .guards.value_guard import GuardedBlocks
from .health import health_route, measured, metrics_route
from .living import FigureLinks, living_routes
from .logs import hear_server
from .queue.fast_answers import FastAnswers
from .queue.visitors_present import VisitorsPresent
from .settings import Settings, on_space, read_settings
from .tab_files import pack_ahead, tab_files, tab_routes

LATE = 10.0
"""Seconds to wait at the end for work that does not stop, such as an import."""
SWITCH = 0.001
"""Seconds after which a computing thread releases the interpreter lock: an answer to a slider needs
it a few times, and waits that long each time."""

_log = logging.getLogger("dppa.page")


def launch_options() -> dict[str, Any]:
    """Gradio's launch options: no history, no monitoring, no external resources."""
    return {
        "theme": page_theme(),
        "head": page_head(),
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        "ssr_mode": False,
        "state_session_capacity": 300,
        "max_threads": 96,  # more than all queues use together: sliders never wait for a thread
        "max_file_size": "1kb",
        "show_error": False,
        "mcp_server": find_spec("mcp") is not None,  # comes with the extra `mcp`
    }


class CompressedPage:
    """Compresses the page, half a megabyte, to a quarter; Gradio compresses only its files."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain, self._packed = app, GZipMiddleware(app, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = scope["type"] == "http" and scope["path"] in ("/", "/config")
        await (self._packed if whole else self._plain)(scope, receive, send)


class EarlyScripts:
    """Inserts the script tags at the end of the page's `<head>`, for browsers to fetch at once:
    Gradio adds the content of `head=` only once its own scripts run, a second later on a slow
    network."""

    def __init__(self, app: ASGIApp, tags: str) -> None:
        self._app, self._tags = app, tags.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        begun: list[Message] = []
        body = bytearray()

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body).replace(b"</head>", self._tags + b"</head>", 1)
            MutableHeaders(raw=begun[0]["headers"])["content-length"] = str(len(whole))
            await send(begun[0])
            await send({**message, "body": whole})

        await self._app(scope, receive, send_page)


class OwnInfo:
    """Describes the endpoints under the host of the request; Gradio caches the first host."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{API}info"):
            describe_anew(self._page)
        await self._app(scope, receive, send)


def start(page: GuardedBlocks, settings: Settings | None = None, **options: Any) -> str:
    """Serve the page, load its models once it is open, and return its local address. Raises
    InvalidValue if the port is taken."""
    settings = settings or read_settings()
    studio = page.studio
    application = _application(page, settings)
    if settings.warm:
        studio.warm_up(first_session().recipe())
    if settings.warm and studio.public:
        models = [model.reference for model in first_session().models]
        threading.Thread(
            target=pack_ahead, args=(studio, models), name="dppa-packs", daemon=True
        ).start()
    arguments = {**launch_options(), "app_kwargs": application, "server_port": settings.port}
    arguments |= options
    listens = arguments.get("server_name") or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    names = None if studio.public or on_space() else own_names(listens)
    application["lifespan"] = _checked(settings.known_hosts, names)
    if settings.port:
        _check_port(listens, settings.port)
    sys.setswitchinterval(SWITCH)
    serve_with(partial(Server, proxies=settings.trusted_proxies))
    _, url, _ = page.launch(prevent_thread_lock=True, **arguments)
    hear_server()
    print_nothing()
    # In the background: this may remove gigabytes.
    threading.Thread(target=remove_dead, name="dppa-sweep", daemon=True).start()
    return url.rstrip("/")


def _application(page: GuardedBlocks, settings: Settings) -> dict[str, Any]:
    """Routes, middleware and answers to errors beside Gradio's own."""
    studio = page.studio
    parts: dict[str, Any] = {
        "routes": [
            download_route(page.exports),
            health_route(studio),
            learn_route(),
            script_route(),
            *tab_routes(studio),
            *living_routes(studio),
        ],
        "middleware": [
            Middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies),
            Middleware(CallerAddresses),
            Middleware(ClosedRoutes, frames=settings.frame_sites),
            Middleware(BodyLimits),
            Middleware(EventOwner, page=page),
            Middleware(VisitorsPresent, page=page),
            Middleware(FigureLinks),
            Middleware(CompressedPage),
            Middleware(EarlyScripts, tags=data_tag("tab-files", tab_files()) + script_tags()),
            Middleware(OwnInfo, page=page),
            Middleware(FastAnswers, page=page),
        ],
        "exception_handlers": {
            RequestValidationError: _refused,
            **dict.fromkeys(NO_HANDLER, _unknown),
            **dict.fromkeys(LOGIN_ERRORS, _signed_out),
            TypeError: _misfit,
        },
    }
    if settings.metrics:
        parts["routes"].append(metrics_route(studio))
        parts["middleware"].insert(0, measured(page, studio, page.exports))
    return parts


def _checked(known_hosts: Sequence[str], names: frozenset[str] | None) -> Lifespan[Starlette]:
    """Wrap the finished application in `HeaderLimits` and `HostCheck` before it serves. Gradio adds
    its CORS around the middleware of `app_kwargs`, where both would come too late."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.middleware_stack = HeaderLimits(HostCheck(app.middleware_stack, known_hosts, names))  # type: ignore[arg-type]
        yield

    return lifespan


def _refused(request: Request, error: Exception) -> Response:
    """Answers 422 without repeating what was sent; FastAPI would repeat and log it."""
    return PlainTextResponse("Not a request of this page", 422)


def _signed_out(request: Request, error: Exception) -> Response:
    """Answers 400 to a sign-in that the Hub does not confirm; Gradio would log a trace."""
    return PlainTextResponse(BAD_LOGIN, 400)


def _unknown(request: Request, error: Exception) -> Response:
    """Answers 404 to an unknown handler, for which Gradio would log a trace; other errors are
    bugs."""
    if not is_of_no_handler(error):
        raise error
    return PlainTextResponse("Not found", 404)


def _misfit(request: Request, error: Exception) -> Response:
    """Answers 422 to a body of call/v2 whose keys are not the endpoint's; Gradio would repeat the
    key."""
    if not is_misfit(error):
        raise error
    return _refused(request, error)


def _check_port(name: str, port: int) -> None:
    """Refuse a port that is taken; Gradio would choose another one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except OSError as error:
            raise InvalidValue(
                f"The page cannot listen at port {port} of {name} ({error.strerror or error}). "
                "Another program that listens there is the usual cause: name another port "
                "(GRADIO_SERVER_PORT), or none for the first that is free."
            ) from error


def until_told(page: GuardedBlocks) -> None:
    """Wait for SIGTERM or Ctrl-C, then stop; running work ends within a token or a tensor."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    ending.wait()
    _log.info("ending")
    page.studio.close()
    page.close(verbose=False)
    page.exports.close()
    late = threading.Timer(LATE, os._exit, (0,))
    late.daemon = True
    late.start()  # the interpreter waits for all other threads
