"""Malformed requests are refused before Gradio reads them, and not echoed or logged."""

import asyncio
import json
import select
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from typing import Any

import gradio as gr
import pytest

from components.server.guards import body_limits as bodies
from components.server.guards.connections import MOST_OF_ONE, Connection
from components.server.guards.heads import HeaderLimits
from tests.app.conftest import Log

SECRET = "zqmark"
JOIN = "/gradio_api/queue/join"
NO_NAMES = ["", "a b", "a/b", "é", "x" * 65, "a\n", f"{SECRET}\x1b[31m", "\x00", "../x"]


def exchange(port: int, sent: bytes) -> bytes:
    """The server's answer until it closes, or is silent for half a second after its first byte, for
    five before."""
    got = b""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as client:
        client.sendall(sent)
        try:
            while chunk := client.recv(100_000):
                got += chunk
                client.settimeout(0.5)
        except TimeoutError:
            pass
    return got


def status(port: int, path: str, *headers: str, body: Any = None) -> int:
    """The status of a raw request; the answer must not echo it."""
    content = json.dumps(body).encode() if body is not None else b""
    method = "GET" if body is None else "POST"
    named = () if any(one.startswith("Host") for one in headers) else ("Host: localhost",)
    lines = [f"{method} {path} HTTP/1.1", *named, *headers, f"Content-Length: {len(content)}"]
    lines += ["Content-Type: application/json", "Connection: close", "", ""]
    got = exchange(port, "\r\n".join(lines).encode("latin-1") + content)
    assert SECRET.encode() not in got
    return int(got[9:12])


def assert_quiet(log: Log) -> None:
    """The log has neither the request nor a trace."""
    said = log()
    assert SECRET not in said and "Traceback" not in said


def refused(path: str = "/", query: str = "", **headers: str) -> int:
    """The status of `HeaderLimits`' answer; 0 if the request passes."""
    sent = []

    async def send(message: Any) -> None:
        sent.append(message.get("status"))

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        sent.append(0)

    given = {name.replace("_", "-"): one for name, one in headers.items()}
    pairs = [(name.encode(), one.encode("latin-1")) for name, one in given.items()]
    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": pairs}
    asyncio.run(HeaderLimits(inside)(scope, None, send))  # type: ignore[arg-type]
    return int(sent[0])


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:7860", "a-b.example.org", "my_box", "127.0.0.1:80", "[::1]:80", "a."],
)
def test_hosts_that_can_be_are_served(host: str) -> None:
    assert refused(host=host) == refused(x_forwarded_host=f"{host}, b") == 0


@pytest.mark.parametrize(
    "host",
    ["a b", "a:b", "a:1:2", "[::", "[]", "[1.2.3.4]", "999.1.1.1", "u@a", "a/b", "é", "http://a"],
)
def test_hosts_that_cannot_be_are_refused(host: str) -> None:
    """Gradio builds a URL of them, and fails with a trace."""
    assert refused(host=host) == refused(x_forwarded_host=host) == 400


def test_a_host_may_be_missing_where_no_page_asks() -> None:
    """Probes of HTTP/1.0 name none; with an Origin, Gradio's CORS fails."""
    assert refused() == 0
    assert refused(origin="http://a") == refused(host="") == refused(x_gradio_server="a") == 400


@pytest.mark.parametrize("path", ["/a\n", "/a\x00", "/\x1b[31m", "/é", "/\ufffd", "a", "*"])
def test_paths_that_no_page_has_are_not_found(path: str) -> None:
    assert refused(path) == 404
    assert refused("/" + "x" * 255) == 404 and refused("/" + "x" * 254) == 0


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_of_a_session_is_a_word(name: str, port: int, log: Log) -> None:
    """In every body, query and path that may have one."""
    said = {"session_hash": name, "fn_index": 0, "event_id": "a", "data": []}
    for path in ("queue/join", "run/predict", "call/plan", "cancel", "reset"):
        assert status(port, f"/gradio_api/{path}", body=said) == 422, path
    swapped = {"session_hash": "a", "fn_index": 0, "event_id": name}
    assert status(port, "/gradio_api/cancel", body=swapped) == 422
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    assert status(port, f"/gradio_api/queue/data?session_hash={quoted}&session_hash=a") == 422
    assert status(port, f"/gradio_api/queue/data?session%5Fhash={quoted}") == 422
    assert status(port, f"/gradio_api/heartbeat/{quoted}") in (422, 404)
    assert_quiet(log)


@pytest.mark.parametrize("name", [1, True, [], {}, ["a"], "\ud800"])
def test_a_name_of_a_session_is_text(name: Any, port: int) -> None:
    assert status(port, JOIN, body={"session_hash": name, "fn_index": 0, "data": []}) == 422


@pytest.mark.parametrize(
    "body",
    [
        {SECRET: 1},
        {"recipe": "", f"{SECRET}\x1b[31m\n": 1},
        {"session_hash": "a"},
        {},
        [],
        [SECRET],
        SECRET,
        5,
    ],
)
def test_a_body_that_does_not_fit_an_endpoint_is_refused(body: Any, port: int, log: Log) -> None:
    """Unknown keys, or required ones missing; Gradio logs a trace with the key in it."""
    assert status(port, "/gradio_api/call/v2/plan", body=body) == 422
    time.sleep(0.05)  # it would be logged once the answer is sent
    assert_quiet(log)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"data":[' + b"1" * 5000])
def test_a_body_that_is_no_json_is_refused(body: bytes, port: int, log: Log) -> None:
    head = f"POST {JOIN} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert exchange(port, head.encode() + body).startswith(b"HTTP/1.1 422")
    assert_quiet(log)


def test_the_short_way_of_sliders_has_no_other_spelling(port: int) -> None:
    """Another path would bypass the limit."""
    for path in ("run/predict%0a", "run/predict%00", "run/predict/"):
        body = {"fn_index": 0, "session_hash": "a", "data": []}
        assert status(port, f"/gradio_api/{path}", body=body) == 404, path


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.0\r\nOrigin: http://a",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET / HTTP/1.1\r\nHost: a\x1b[31m",
        f"GET / HTTP/1.1\r\nHost: {SECRET} b",
        f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: [{SECRET}",
        f"GET http://{SECRET}/ HTTP/1.1\r\nHost: a",
        f"GET /static/{'x' * 300}{SECRET} HTTP/1.1\r\nHost: a",
        f"GET /gradio_api/app_id%0a{SECRET} HTTP/1.1\r\nHost: a",
        f"GET /config%0d%0a?{SECRET} HTTP/1.1\r\nHost: a",
        f"GET /static/img/logo.svg HTTP/1.1\r\nHost: a\r\nRange: bytes={SECRET}",
        f"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {SECRET}",
        f"{SECRET} / HTTP/1.1\r\nHost: a",
        f"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {SECRET}",
        f"GET / HTTP/1.1\r\nHost: a\r\n{SECRET}\x00: b",
    ],
)
def test_no_head_writes_into_the_log(port: int, head: str, log: Log) -> None:
    got = exchange(port, head.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
    assert got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")) and SECRET.encode() not in got
    time.sleep(0.05)  # it would be logged once the answer is sent
    assert_quiet(log)


def test_two_who_listen_to_one_session_may_both_leave(
    served: gr.Blocks, port: int, log: Log
) -> None:
    """The first to leave ends the session, on which Gradio's second stream fails."""
    waiting = served._queue.pending_messages_per_session
    waiting[SECRET] = asyncio.Queue()  # type: ignore[assignment]
    listen = f"GET /gradio_api/queue/data?session_hash={SECRET} HTTP/1.1\r\nHost: a\r\n\r\n"
    with (
        closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as first,
        closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as second,
    ):
        for client in (first, second):
            client.sendall(listen.encode())
            assert client.recv(20).startswith(b"HTTP/1.1 200")
    late = time.monotonic() + 5
    while SECRET in waiting:
        assert time.monotonic() < late
        time.sleep(0.02)
    time.sleep(0.1)  # it would be logged once both streams have ended
    assert_quiet(log)


def test_half_a_body_is_waited_for_as_long_as_it_may_take(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    head = f"POST {JOIN} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    begun = time.monotonic()
    got = exchange(port, f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert got.startswith(b"HTTP/1.1 408") and b"connection: close" in got
    assert 0.2 <= time.monotonic() - begun < 3


SLOW = (
    f"POST {JOIN} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    "Content-Length: 400000\r\nX-Forwarded-For: "
)
"""The head of a body that is not finished."""


def held(stack: ExitStack, port: int, party: str, size: int) -> socket.socket:
    """A connection with a part of a body."""
    client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=20)))
    client.sendall(f"{SLOW}{party}\r\n\r\n".encode() + b"[" * size)
    return client


def answered(clients: Iterable[socket.socket], seconds: float = 10) -> list[bytes]:
    """The first line of every answer, once none has come for half a second after the first."""
    waiting, lines = list(clients), list[bytes]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ready = select.select(waiting, (), (), 0.5 if lines else end - time.monotonic())[0]
        if not ready:
            break
        waiting = [one for one in waiting if one not in ready]
        lines += [one.recv(12) for one in ready]
    return lines


def test_bodies_of_one_party_take_a_share_of_the_memory(served: gr.Blocks, port: int) -> None:
    """500 that were never finished held 250 MB."""
    with ExitStack() as stack:
        listen = "GET /gradio_api/heartbeat/stays HTTP/1.1\r\nHost: a\r\n"
        stream = stack.enter_context(
            closing(socket.create_connection(("127.0.0.1", port), timeout=20))
        )
        stream.sendall(f"{listen}X-Forwarded-For: 203.0.113.7\r\n\r\n".encode())
        assert stream.recv(12) == b"HTTP/1.1 200"
        first = [held(stack, port, "203.0.113.7", 390_000) for _ in range(60)]
        answers = answered(first)
        assert set(answers) == {b"HTTP/1.1 429"}
        assert (60 - len(answers)) * 390_000 <= bodies.BYTES_OF_A_PARTY < 70 * 390_000
        assert 60 - len(answers) > 30, "each has a share"
        others = [held(stack, port, f"203.0.113.{n}", 390_000) for n in range(8, 13)]
        assert not answered(others, 1), "they have their own"
        assert select.select((stream,), (), (), 0)[0] == [] or stream.recv(1), "it goes on"
    late = time.monotonic() + 10
    asked = {"data": [], "fn_index": -1}
    while status(port, JOIN, "X-Forwarded-For: 203.0.113.7", body=asked) == 429:
        assert time.monotonic() < late


def test_bodies_of_all_together_have_a_bound(port: int) -> None:
    with ExitStack() as stack:
        many = [held(stack, port, f"203.0.{n}.7", 399_000) for n in range(200)]
        answers = answered(many)
        kept = (200 - len(answers)) * 399_000
        assert set(answers) == {b"HTTP/1.1 429"} and kept <= bodies.BYTES_OF_ALL


def test_requests_of_one_party_have_a_bound_and_those_of_others_go_on(port: int) -> None:
    """Behind a proxy the connections are the proxy's."""
    with ExitStack() as stack:
        many = [held(stack, port, "203.0.113.7", 1) for _ in range(MOST_OF_ONE + 5)]
        assert answered(many) == 5 * [b"HTTP/1.1 429"]
        assert not answered([held(stack, port, "203.0.113.8", 1)], 1)


def test_the_page_is_served_with_deadlines(served: gr.Blocks) -> None:
    config = served.server.config  # type: ignore[union-attr]
    protocol = config.http_protocol_class
    assert protocol.func is Connection and config.ws_protocol_class is None
