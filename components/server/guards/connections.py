"""Timeouts and maximum numbers of connections: a slow client cannot hold one for ever, and one
address cannot hold them all.

The only module that uses internals of uvicorn: `H11Protocol` and its attributes `client`,
`cycle`, `connections`, `loop`, `logger` and `transport`. Written for uvicorn 0.54.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from ...work.gradio_inside import HttpServer
from ...work.visitor import customer_of

HEAD_SECONDS = 10.0
"""From the start of a connection, or from the end of an answer, to the end of the next head."""
READ_SECONDS = 120.0
"""For a client to read what is buffered for it: 64 kB, or an answer that was built in memory."""
MOST_OPEN = 4000
"""Open connections; fewer if the process may open fewer than twice as many files."""
MOST_OF_ONE = 400
"""Open connections of one address, and requests of one party; a class behind one address has 40
browsers with at most six each. Proxies hold those of many."""
BACKLOG = 128
"""Connections that the event loop accepts in a row before counting them."""


class Connection(H11Protocol):
    """An HTTP connection that is closed when its client sends or reads too slowly. uvicorn's timer
    for idle connections stops at the first byte. An answer may take any time, as streams of events
    do."""

    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _open: ClassVar[Counter[str]] = Counter()
    """Address, or network of one customer -> its open connections."""

    def __init__(
        self, *arguments: Any, proxies: Sequence[IPv4Network | IPv6Network] = (), **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._proxies, self._address = proxies, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._address = self._bounded_address()
        self._open[self._address] += 1
        of_address = self._open[self._address] if self._address else 0
        if len(self.connections) > most_open() or of_address > most_of_one():
            self.logger.warning("Too many open connections: further ones are closed.")
            self.transport.abort()
            return
        self._time_head()

    def _bounded_address(self) -> str:
        """The address that opened the connection; empty for a trusted proxy, or if unknown."""
        host = self.client[0] if self.client else ""
        try:
            address = ip_address(host)
        except ValueError:
            return ""
        address = getattr(address, "ipv4_mapped", None) or address
        return "" if any(address in network for network in self._proxies) else customer_of(host)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open[self._address] -= 1
        if not self._open[self._address]:
            del self._open[self._address]
        for timer in (self._head_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._time_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP. uvicorn fails here with a trace if an answer has begun
        or has no body, as for HEAD."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # or it would send a second answer
            self.cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()

    def _time_head(self) -> None:
        cycle = self.cycle
        if cycle is not None and not (cycle.response_complete or cycle.disconnected):
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_late)

    def _end_late(self) -> None:
        """End the connection; the client gets more time only for the end of an answer."""
        if self.transport.get_write_buffer_size():
            self._head_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)
        else:
            self.transport.abort()


class Server(HttpServer):
    """Gradio's server with these connections, and without WebSockets, which the page never uses;
    addresses and networks in `proxies` may open any number of connections."""

    def __init__(
        self, config: Config, *arguments: Any, proxies: Sequence[str] = (), **options: Any
    ) -> None:
        config.http = partial(Connection, proxies=tuple(map(ip_network, proxies)))  # type: ignore[assignment]
        config.ws, config.backlog = "none", BACKLOG
        super().__init__(config, *arguments, **options)


def most_open() -> int:
    """Maximum number of open connections: at most half of the files this process may open."""
    if sys.platform == "win32":
        return MOST_OPEN
    import resource  # noqa: PLC0415  (not on Windows)

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN if files == resource.RLIM_INFINITY else min(MOST_OPEN, files // 2)


def most_of_one() -> int:
    """Maximum number of open connections of one address: at most half of all."""
    return min(MOST_OF_ONE, most_open() // 2)
