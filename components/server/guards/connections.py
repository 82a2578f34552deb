"""Timeouts and a maximum number of connections: a slow client cannot hold one for ever.

The only module that uses internals of uvicorn: `H11Protocol` and its attributes `cycle`,
`connections`, `loop`, `logger` and `transport`. Written for uvicorn 0.54.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from ...work.gradio_inside import HttpServer

HEAD_SECONDS = 10.0
"""From the start of a connection, or from the end of an answer, to the end of the next head."""
READ_SECONDS = 120.0
"""For a client to read what is buffered for it: 64 kB, or an answer that was built in memory."""
MOST_OPEN = 4000
"""Open connections; fewer if the process may open fewer than twice as many files."""
BACKLOG = 128
"""Connections that the event loop accepts in a row before counting them."""


class Connection(H11Protocol):
    """An HTTP connection that is closed when its client sends or reads too slowly. uvicorn's timer
    for idle connections stops at the first byte. An answer may take any time, as streams of events
    do."""

    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > most_open():
            self.logger.warning("Too many open connections: further ones are closed.")
            self.transport.abort()
            return
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
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
    """Gradio's server with these connections, and without WebSockets, which the page never uses."""

    def __init__(self, config: Config, *given: Any, **options: Any) -> None:
        config.http, config.ws, config.backlog = Connection, "none", BACKLOG
        super().__init__(config, *given, **options)


def most_open() -> int:
    """Maximum number of open connections: at most half of the files this process may open."""
    if sys.platform == "win32":
        return MOST_OPEN
    import resource  # noqa: PLC0415  (not on Windows)

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN if files == resource.RLIM_INFINITY else min(MOST_OPEN, files // 2)
