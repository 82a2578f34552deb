"""Slow clients lose their connection, streams keep theirs, and the total is limited."""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from components.server.guards import connections
from components.server.guards.connections import Connection, Server
from tests.e2e.server import free_port

HEAD = b"GET /short HTTP/1.1\r\nHost: localhost\r\n"
STREAM = HEAD.replace(b"short", b"stream") + b"\r\n"
CHUNKS, BAD = b"Transfer-Encoding: chunked\r\n\r\n", b"no length\r\n"
MORE = {"more_body": True}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/short answers at once, /stream and /large never end."""
    if scope["type"] != "http":
        return
    path, large = scope["path"], scope["path"] == "/large"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while path in ("/stream", "/large"):
        await send({"type": "http.response.body", "body": b"x" * (10**6 if large else 1)} | MORE)
        await asyncio.sleep(0 if large else 0.02)
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    config = uvicorn.Config(app, port=free_port(), log_level="warning", lifespan="off")
    running = Server(config)
    running.run_in_thread()
    yield running
    running.force_exit = True  # /large and /stream would be waited for
    running.close()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.config.port), timeout=10)


def seconds_open(client: socket.socket) -> float:
    """How long a connection stays open while a byte is sent every 20 ms; 30 at most."""
    begun = time.monotonic()
    client.settimeout(0.02)
    while time.monotonic() - begun < 30:
        try:
            if not client.recv(1000):
                break
        except TimeoutError:
            with suppress(OSError):  # the server may close it just now: recv tells
                client.send(b"x")
        except OSError:
            break
    return time.monotonic() - begun


def wait_until_none_is_open(server: Server) -> None:
    late = time.monotonic() + 30
    while server.server_state.connections:
        assert time.monotonic() < late
        time.sleep(0.01)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "sent",
    [b"", HEAD + b"X: ", HEAD + b"\r\n" + HEAD + b"X: ", HEAD + b"Content-Length: 9999\r\n\r\n"],
    ids=["nothing", "half a head", "half a second head", "half a body after the answer"],
)
def test_a_client_that_sends_a_byte_now_and_then_loses_its_connection(
    server: Server, sent: bytes
) -> None:
    with closing(connect(server)) as client:
        client.sendall(sent)
        assert 0.15 < seconds_open(client) < 30


@pytest.mark.usefixtures("fast")
def test_a_stream_outlives_all_deadlines(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(STREAM)
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            assert client.recv(1000)


@pytest.mark.usefixtures("fast")
def test_a_client_that_does_not_read_loses_its_connection(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(STREAM.replace(b"stream", b"large"))
        assert client.recv(1)
        wait_until_none_is_open(server)


@pytest.mark.usefixtures("fast")
def test_the_end_of_an_answer_is_not_kept_for_ever() -> None:
    """uvicorn closes an idle connection, which waits until what is buffered is read."""

    class Unread(asyncio.Transport):
        aborted = False

        def get_write_buffer_size(self) -> int:
            return 1

        def abort(self) -> None:
            self.aborted = True

    async def wait() -> None:
        unread = Unread()
        protocol = Connection(uvicorn.Config(app), ServerState(), {})
        protocol.connection_made(unread)
        begun = time.monotonic()
        while not unread.aborted and time.monotonic() - begun < 20:
            await asyncio.sleep(0.01)
        assert unread.aborted
        assert time.monotonic() - begun > 0.3, "it has some more time to read"

    asyncio.run(wait())


def test_a_client_that_reads_on_keeps_its_connection() -> None:
    async def read_on() -> None:
        protocol = Connection(uvicorn.Config(app), ServerState(), {})
        protocol.connection_made(asyncio.Transport())
        protocol.pause_writing()
        timer = protocol._read_timer
        assert timer is not None and not timer.cancelled()
        protocol.resume_writing()
        assert timer.cancelled()

    asyncio.run(read_on())


def test_more_connections_than_the_bound_are_closed_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until_none_is_open(server)
    monkeypatch.setattr(connections, "most_open", lambda: 2)
    monkeypatch.setattr(connections, "most_of_one", lambda: 9)
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(closing(connect(server))) for _ in range(3))
        assert third.recv(1000) == b"", "closed"
        second.sendall(HEAD + b"\r\n")
        assert second.recv(1000).startswith(b"HTTP/1.1 200")
        first.close()
        late = time.monotonic() + 5
        while len(server.server_state.connections) > 1:
            assert time.monotonic() < late
        with closing(connect(server)) as fourth:
            fourth.sendall(HEAD + b"\r\n")
            assert fourth.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.fixture
def behind_a_proxy() -> Iterator[Server]:
    config = uvicorn.Config(app, port=free_port(), log_level="warning", lifespan="off")
    running = Server(config, proxies=("127.0.0.0/31",))
    running.run_in_thread()
    yield running
    running.force_exit = True
    running.close()


def connect_from(server: Server, address: str) -> socket.socket:
    """A connection of another address of this computer; Linux has 2^24 of them."""
    there = ("127.0.0.1", server.config.port)
    return socket.create_connection(there, timeout=10, source_address=(address, 0))


def is_served(client: socket.socket) -> bool:
    try:
        client.sendall(HEAD + b"\r\n")
        return client.recv(1000).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_one_address_never_has_all_connections(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened them anew every ten seconds, and everybody else was closed."""
    wait_until_none_is_open(server)
    monkeypatch.setattr(connections, "MOST_OF_ONE", 2)
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(closing(connect_from(server, "127.0.0.2"))) for _ in range(3)
        )
        assert not is_served(third) and is_served(second)
        assert is_served(stack.enter_context(closing(connect_from(server, "127.0.0.3"))))
        first.close()
        late = time.monotonic() + 5
        while not is_served(stack.enter_context(closing(connect_from(server, "127.0.0.2")))):
            assert time.monotonic() < late


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_a_trusted_proxy_has_the_connections_of_many(
    behind_a_proxy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 1)
    with ExitStack() as stack:
        proxied = [stack.enter_context(closing(connect(behind_a_proxy))) for _ in range(4)]
        assert all(map(is_served, proxied))
        first, second = (
            stack.enter_context(closing(connect_from(behind_a_proxy, "127.0.0.2")))
            for _ in range(2)
        )
        assert is_served(first) and not is_served(second)


def test_the_bound_leaves_half_of_the_files_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    for files, bound in ((1024, 512), (10**6, 4000), (resource.RLIM_INFINITY, 4000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert connections.most_open() == bound
        assert connections.most_of_one() == min(400, bound // 2)


@pytest.mark.parametrize(
    ("sent", "later"),
    [
        (b"no HTTP\r\n\r\n", b""),
        (HEAD + CHUNKS + BAD, b""),
        (HEAD.replace(b"GET", b"HEAD") + CHUNKS + BAD, b""),
        (HEAD + CHUNKS, BAD),
        (STREAM[:-2] + CHUNKS + BAD, b""),
        (STREAM[:-2] + CHUNKS, BAD),
    ],
    ids=[
        "head",
        "body",
        "body of HEAD",
        "body after the answer",
        "body of a stream",
        "body during a stream",
    ],
)
def test_what_is_not_http_causes_one_answer_and_no_trace(
    server: Server, sent: bytes, later: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """uvicorn would try to send a second answer, and fail."""
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)
    with closing(connect(server)) as client:
        client.sendall(sent)
        got = client.recv(10_000)
        client.sendall(later)
        while chunk := client.recv(10_000):
            got += chunk
    logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert got.count(b"HTTP/1.1 ") == 1
    assert "Invalid HTTP request received." in caplog.text
    assert "Error" not in caplog.text and "no length" not in caplog.text


def test_the_parts_of_uvicorn_that_are_used_are_there() -> None:
    """They are no public interface."""
    protocol = Connection(uvicorn.Config(app), ServerState(), {}, asyncio.Event())
    used = {"client", "cycle", "connections", "loop", "logger", "transport", "on_response_complete"}
    missing = {name for name in used if not hasattr(protocol, name)}
    assert not missing, (
        f"components/server/guards/connections.py is for uvicorn 0.54, not {uvicorn.__version__}"
    )
    config = uvicorn.Config(app)
    Server(config)
    config.load()
    assert config.http_protocol_class.func is Connection and config.ws_protocol_class is None
