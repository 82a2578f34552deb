"""Checks the head of a request before anything else reads it: path, host, session names.

Gradio and Starlette fail on some malformed values with a trace that repeats them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...work.gradio_inside import HEARTBEAT, LOGIN

SESSION_FIELD = "session_hash"
BAD_SESSION = (
    "session_hash is 1 to 64 ASCII letters, digits, - or _. A client that makes such names itself "
    "is the usual cause."
)
BAD_HOST = (
    "The host (Host, or X-Forwarded-Host of a proxy) is missing or is not of the form name or "
    "name:port, or X-Gradio-Server names another. A proxy that changes headers is the usual cause."
)
BAD_LOGIN = (
    "This sign-in was not completed, or its address was changed on the way. A sign-in that was "
    "cancelled is the usual cause: go back to the page and sign in again."
)
_LOGIN_FORMS = {
    "code": re.compile(r"[\w.~+/=-]{1,2000}", re.ASCII),
    "state": re.compile(r"[\w.~-]{1,200}", re.ASCII),
    "_nb_redirects": re.compile(r"\d{1,2}", re.ASCII),
    "_target_url": re.compile(r"[ -~]{1,8200}"),
}
"""Parameter of a sign-in -> its form; others are not read."""
_PATH = re.compile(r"/[ -~]{0,254}")
_SESSION = re.compile(r"[\w-]{1,64}", re.ASCII)
_HOST = re.compile(
    r"(?:(?P<four>\d+(?:\.\d+){3})|[\w.-]{1,253}|\[(?P<six>[^\]]+)\])(?::\d{1,5})?", re.ASCII
)


class Guard(ABC):
    """Answers an HTTP request with its `refusal`, if it has one, else with the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    @abstractmethod
    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a refused request; None for others."""


class HeaderLimits(Guard):
    """Answers 404 to malformed paths, 400 to malformed hosts and sign-ins, 422 to malformed session
    names. Must wrap the whole application: Gradio's CORS fails on an Origin header without a Host
    header."""

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to a malformed head; None if it is well formed."""
        headers = {"X-Content-Type-Options": "nosniff"}
        if not _PATH.fullmatch(scope["path"]):
            return PlainTextResponse("Not found", 404, headers)
        if not _are_hosts(Headers(scope=scope)):
            return PlainTextResponse(BAD_HOST, 400, headers)
        alive, query = HEARTBEAT.fullmatch(scope["path"]), QueryParams(scope["query_string"])
        if LOGIN.fullmatch(scope["path"]) and not _is_sign_in(query):
            return PlainTextResponse(BAD_LOGIN, 400, headers)
        names = [*query.getlist(SESSION_FIELD), *(alive.groups() if alive else ())]
        if not all(map(is_session_name, names)):
            return PlainTextResponse(BAD_SESSION, 422, headers)
        return None


def is_session_name(value: object) -> bool:
    """Return True if a value has the form of a session or event name."""
    return isinstance(value, str) and _SESSION.fullmatch(value) is not None


def _is_sign_in(query: QueryParams) -> bool:
    """Return True if Gradio and authlib can read the query of a sign-in; they fail on others with a
    trace that repeats it, as on the error of a sign-in that was cancelled."""
    if "error" in query:
        return False
    try:
        urlsplit(query.get("_target_url", ""))
    except ValueError:
        return False
    return all(
        form.fullmatch(value)
        for name, form in _LOGIN_FORMS.items()
        for value in query.getlist(name)
    )


def _are_hosts(headers: Headers) -> bool:
    """Return True if Gradio can read the host in the headers; probes by HTTP/1.0 name none."""
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    nameless = "host" not in headers and "origin" not in headers
    named = [*(() if nameless else [headers.get("host", "")]), *filter(None, [forwarded])]
    return all(map(_is_host, named)) and "x-gradio-server" not in headers


def _is_host(text: str) -> bool:
    """Return True if a host is a name or an address, with or without a port."""
    match = _HOST.fullmatch(text)
    if match is None:
        return False
    try:
        for address, form in ((match["four"], IPv4Address), (match["six"], IPv6Address)):
            if address is not None:
                form(address)
    except ValueError:
        return False
    return True
