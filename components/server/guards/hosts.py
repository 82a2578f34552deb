"""Checks the host a request is for, and the web page that sends it.

A browser sends requests of any web page to this server, and gives that page the answers if CORS
allows it, or if the page's own name was made to resolve to this computer (DNS rebinding). A page of
another origin cannot set Host, X-Forwarded-Host, Origin or Sec-Fetch-Site.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from dppa_core.errors import shown

from .heads import Guard

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
USUAL_PORTS = {"http": "80", "https": "443"}


class HostCheck(Guard):
    """Answers 403 to requests for other hosts and to requests of other web pages.

    Must wrap the whole application: Gradio's own CORS answers preflights of any page. WebSocket
    connections are closed, since the page uses none. Starlette's TrustedHostMiddleware compares one
    Host header with a fixed list; here the hosts that proxies saw count too, and the address at
    which a request arrived.
    """

    def __init__(
        self, app: ASGIApp, known_hosts: Sequence[str] = (), names: frozenset[str] | None = None
    ) -> None:
        """`names` are those of this computer; None accepts every Host, as a public page does.
        `known_hosts` are further hosts of the page."""
        super().__init__(app)
        self._known_hosts, self._checks_host = known_hosts, names is not None
        self._names = (names or frozenset()) | {split_host(host)[0] for host in known_hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def refusal(self, scope: Scope) -> Response | None:
        """Why a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        accepted = self._names | _address(scope)
        for host in _hosts(headers) if self._checks_host else ():
            if split_host(host)[0] not in accepted:
                return _refused(
                    f"This copy does not answer requests for the host {shown(host)}, only for "
                    "this computer's own names (localhost, 127.0.0.1, [::1]) and hosts listed in "
                    "DPPA_HOSTS. A proxy, a container or another name of this computer is the "
                    "usual cause: list the host in DPPA_HOSTS."
                )
        if is_foreign(headers, self._known_hosts):
            return _refused(
                f"A page at {shown(headers.get('origin', 'another site'))} may not send requests "
                f"to the host {shown(headers.get('host', ''))}: only pages of that host and of "
                "hosts listed in DPPA_HOSTS may. If it is the same page, a proxy that changes the "
                "Host header is the usual cause: let it pass the first one on as "
                "X-Forwarded-Host, or list the host in DPPA_HOSTS."
            )
        return None


def _refused(text: str) -> Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return PlainTextResponse(text, 403, headers)


def is_foreign(headers: Headers, known_hosts: Iterable[str]) -> bool:
    """Return True if a browser sent this for a page of a host other than this and `known_hosts`.

    Schemes are not compared, since a server behind a TLS proxy does not see the browser's. A page
    of the same host and another scheme is recognised by Sec-Fetch-Site, which browsers send to
    every https address. Clients that are no browser send neither header and are not foreign.
    """
    origins = headers.getlist("origin")
    if origins and all(is_from(origin, known_hosts) for origin in origins):
        return False
    opened = headers.get("sec-fetch-mode") == "navigate"  # a link, or an address typed in
    if not opened and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    return not all(is_from(origin, _hosts(headers)) for origin in origins)


def is_from(origin: str, hosts: Iterable[str]) -> bool:
    """Return True if an Origin header names one of `hosts`; without a port it has the usual one."""
    scheme, _, host = origin.partition("://")
    usual = USUAL_PORTS.get(scheme)
    if usual is None:  # also "null"
        return False
    name, port = split_host(host)
    return any(
        (name, port or usual) == (other, its_port or usual)
        for other, its_port in map(split_host, hosts)
    )


def split_host(host: str) -> tuple[str, str]:
    """Name and port of a Host header; the port is empty if the header has none."""
    whole = host.strip().lower()
    name, _, port = whole.rpartition(":")
    if not port.isdigit() or (":" in name and not name.endswith("]")):
        name, port = whole, ""
    return name.removeprefix("[").removesuffix("]").removesuffix("."), port


def own_names(listens: str) -> frozenset[str]:
    """Names of one's own copy listening at `listens`: of the loopback interface or, if wider, its
    hostname too. `HostCheck` adds the address a request arrived at."""
    name, _ = split_host(listens)
    if name in LOOPBACK:
        return LOOPBACK
    machine = socket.gethostname().lower()
    return LOOPBACK | {name, machine, f"{machine.partition('.')[0]}.local"}


def _hosts(headers: Headers) -> list[str]:
    """Hosts a request is for, as seen by the server and by each proxy before it."""
    forwarded = ",".join(headers.getlist("x-forwarded-host"))
    return [*(headers.getlist("host") or [""]), *filter(None, map(str.strip, forwarded.split(",")))]


def _address(scope: Scope) -> set[str]:
    """The address of this computer at which a request arrived."""
    address, *_ = scope.get("server") or ("",)
    return {str(address).removeprefix("::ffff:")} - {""}
