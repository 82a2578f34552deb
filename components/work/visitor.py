"""The sender of a request: a tab or a program, its address and its login.

Limits on the queue, files, tokens and rates use two names of a visitor: the tab, which its browser
invents and can change, and the party, which it cannot change.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .gradio_inside import API, login_of

CALLER = "x-dppa-caller"
"""Header in which the MCP bridge of this process names the address of its caller."""
BRIDGE = f"{API}mcp"

_log = logging.getLogger("dppa.page")


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request."""

    session: str = ""
    """Gradio's name of one open tab, invented by its browser; empty for a call without one."""
    address: str = ""
    """IP address behind the trusted proxies, for IPv6 its network; empty if unknown."""
    login: str = ""
    """Hub user name of the signed-in visitor; empty if nobody is signed in."""

    @property
    def party(self) -> str:
        """Name for all tabs of one login, else of one address, else for the tab alone."""
        if self.login:
            return f"login {self.login}"
        return f"address {self.address}" if self.address else f"tab {self.session}"

    @property
    def tab(self) -> str:
        """Name of one tab, or of all the party's calls without a tab."""
        return f"tab {self.session}" if self.session else f"calls of {self.party}"


_asking: ContextVar[Visitor | None] = ContextVar("asking", default=None)


def handled_for(visitor: Visitor) -> None:
    """Set the visitor of the current task, and of the threads it starts."""
    _asking.set(visitor)


def visitor_of(request: Any, session: str | None = None) -> Visitor:
    """The sender of a request of Starlette or Gradio. In an event of the queue, `session` is
    ignored: Gradio gives an event without a session its own number as a name."""
    visitor = _asking.get()
    if visitor is not None:
        return visitor
    client = getattr(request, "client", None)
    address = customer_of(str(getattr(client, "host", None) or ""))
    headers = getattr(request, "headers", None) or {}
    # All callers of the bridge share its one session.
    named = "" if CALLER in headers else session or ""
    return Visitor(named, address, login_of(getattr(request, "scope", None) or {}))


def asker(request: Any) -> Visitor:
    """The sender of a request that a handler got as `gr.Request`. Uses Starlette's request inside
    it: Gradio's turns every mapping into JSON, and a scope holds bytes."""
    sent = getattr(request, "request", None)
    return visitor_of(sent or request, request.session_hash)


def customer_of(address: str) -> str:
    """An IPv4 address unchanged; of IPv6 the /64 network, which belongs to one customer."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((int(parsed) >> 64 << 64, 64)))


class CallerAddresses:
    """Gives requests of the MCP bridge, which connects to this server itself, the address of its
    caller: a header with a secret of this process carries it; the same header from outside is
    removed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._secret = secrets.token_hex(16)
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._named(scope)
        await self._app(scope, receive, send)

    def _named(self, scope: Scope) -> Scope:
        secret, _, caller = Headers(scope=scope).get(CALLER, "").partition(" ")
        name = CALLER.encode()
        kept = [pair for pair in scope["headers"] if pair[0] != name]
        address = (scope.get("client") or ("", 0))[0]
        self._look_for_proxy(address, Headers(scope=scope).get("x-forwarded-for", ""))
        if secrets.compare_digest(secret.encode(), self._secret.encode()):
            return {**scope, "headers": [*kept, (name, b"1")], "client": (caller, 0)}
        if scope["path"].startswith(BRIDGE):
            kept.append((name, f"{self._secret} {address}".encode()))
        return {**scope, "headers": kept}

    def _look_for_proxy(self, address: str, forwarded: str) -> None:
        """Warn once about an untrusted proxy: all visitors behind it count as one."""
        if self._warned or not forwarded or address in forwarded or not _is_private(address):
            return
        self._warned = True
        _log.warning(
            "a proxy that DPPA_PROXIES does not name forwards requests: all visitors behind it "
            "share the bounds of one address"
        )


def _is_private(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return False
