"""Who asks: a tab or a program, from which address, under which login.

Bounds on the queue, files, tokens and rates count two names of a visitor: that of the tab, which
its browser makes up and can change, and that of the party, which it cannot.
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

from components.work.gradio_inside import API, login_of

CALLER = "x-dppa-caller"
"""Header in which the MCP bridge of this process names the address of its caller."""
BRIDGE = f"{API}mcp"

_log = logging.getLogger("dppa.page")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request."""

    session: str = ""
    """Gradio's name of one open tab, made up by its browser; empty for a call without one."""
    address: str = ""
    """IP address behind the trusted proxies, of version 6 its network; empty where unknown."""
    login: str = ""
    """Name at the Hub of who is signed in; empty where nobody is."""

    @property
    def party(self) -> str:
        """All tabs of one login, or else of one address; the tab where neither is known."""
        if self.login:
            return f"login {self.login}"
        return f"address {self.address}" if self.address else f"tab {self.session}"

    @property
    def tab(self) -> str:
        """One tab; all calls of the party that belong to none."""
        return f"tab {self.session}" if self.session else f"calls of {self.party}"


_asking: ContextVar[Visitor | None] = ContextVar("asking", default=None)


def handled_for(visitor: Visitor) -> None:
    """Say whose event the current task handles; threads that it starts know it, too."""
    _asking.set(visitor)


def visitor_of(request: Any, session: str | None = None) -> Visitor:
    """Who sent a request.

    Args:
        request: Starlette's, or Gradio's own.
        session: What the request says its session is. An event of the queue knows better:
            Gradio names one that came without a session by a number of its own.
    """
    known = _asking.get()
    if known is not None:
        return known
    client = getattr(request, "client", None)
    address = _one_customers(str(getattr(client, "host", None) or ""))
    headers = getattr(request, "headers", None) or {}
    # All callers of the bridge share its one session.
    named = "" if CALLER in headers else session or ""
    return Visitor(named, address, login_of(getattr(request, "scope", None) or {}))


def asker(request: Any) -> Visitor:
    """Who sent a request that a handler got as `gr.Request`.

    Starlette's request is taken out of it: Gradio's own turns every mapping into JSON, and a scope
    holds bytes.
    """
    sent = getattr(request, "request", None)  # Starlette's, which alone has a scope
    return visitor_of(sent or request, request.session_hash)


def _one_customers(address: str) -> str:
    """An address as it is, of version 6 the 64 bits of its network: one customer has all others."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ip_network((int(found) >> 64 << 64, 64)))


class CallerAddresses:
    """Gives requests of the MCP bridge the address of the caller that it works for.

    The bridge connects to this server itself, with the caller's headers. A header with a secret
    of this process marks them; one from outside is removed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._secret = secrets.token_hex(16)
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = self._named(scope)
        await self._app(scope, receive, send)

    def _named(self, scope: Scope) -> Scope:
        secret, _, told = Headers(scope=scope).get(CALLER, "").partition(" ")
        name = CALLER.encode()
        kept = [pair for pair in scope["headers"] if pair[0] != name]
        address = (scope.get("client") or ("", 0))[0]
        self._look_for_proxy(address, Headers(scope=scope).get("x-forwarded-for", ""))
        if secrets.compare_digest(secret.encode(), self._secret.encode()):
            return {**scope, "headers": [*kept, (name, b"1")], "client": (told, 0)}
        if scope["path"].startswith(BRIDGE):
            kept.append((name, f"{self._secret} {address}".encode()))
        return {**scope, "headers": kept}

    def _look_for_proxy(self, address: str, forwarded: str) -> None:
        """Warn once of a proxy that is not trusted: all visitors behind it are taken for one."""
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
