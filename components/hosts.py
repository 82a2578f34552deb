"""Under which names one's own copy answers.

Knows names. A page of somebody else may have its own name lead to this computer (DNS rebinding):
to a browser that has it open, this server then is a part of that page, which may ask everything of
it. A name that nobody outside can give to an address, or the address itself, is no such name.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

AT_HOME = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


class Hosts:
    """Answers 403 where a request is for another name."""

    def __init__(self, app: ASGIApp, known: str) -> None:
        """
        Args:
            known: Further names, with `,` between them.
        """
        self._app = app
        self._known = {name.strip().lower() for name in known.split(",")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = name_of(Headers(scope=scope).get("host", "")) if scope["type"] == "http" else ""
        if is_at_home(name) or name in self._known:
            await self._app(scope, receive, send)
            return
        told = "This copy is not known by that name. To use it under one, set DPPA_HOSTS."
        await PlainTextResponse(told, 403)(scope, receive, send)


def name_of(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.strip().lower().rpartition(":")
    whole = name if colon and port.isdigit() and (":" not in name or "]" in name) else host
    return whole.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")


def is_at_home(name: str) -> bool:
    """Whether no name server of somebody else decides where the name leads to."""
    if "." not in name or name.endswith(AT_HOME):
        return True
    try:
        return bool(ip_address(name))
    except ValueError:
        return False
