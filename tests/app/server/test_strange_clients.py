"""Requests our page never sends: refused early, without fetching an address or logging
their content."""

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle
from typing import Any

import gradio as gr
import pytest
from gradio import processing_utils
from gradio.server_messages import UnexpectedErrorMessage
from gradio.state_holder import SessionState

from components.server.guards.body_limits import MOST_BYTES
from components.server.guards.closed_routes import ClosedRoutes
from components.server.guards.value_guard import GuardedBlocks
from components.session.json_form import parsed
from components.widgets.browser_parts import pack
from components.widgets.scripts import address
from components.work.question import checked_text
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from tests.app.conftest import Log
from tests.app.server.test_raw_calls import ANYBODY

SECRET = "what only this visitor knows"
ELSEWHERE = {"path": "https://example.org/x", "meta": {"_type": "gradio.FileData"}}
HERE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
ODD = (ELSEWHERE, HERE, [ELSEWHERE], {"a": [HERE]}, [[[[[[1]]]]]])
Refused = Callable[[Any, list[Any]], gr.Error]


OPEN = """
/ /config /config/ /theme.css /manifest.json /robots.txt /favicon.ico /openapi.json /logout
/pwa_icon /pwa_icon/{size} /assets/{path:path} /static/{path:path} /svelte/{path:path}
/healthz /metrics /export/{word} /learn/learn.css /js/HASH/{name:path}
/tab/{name} /tab/counts /living/tab/{name} /living/{name:path}
app_id app_id/ info info/ openapi.json login_check login_check/ startup-events theme.css
token token/ user user/ heartbeat/{session_hash} cancel reset reset/
queue/data queue/join queue/status
call/{api_name} call/{api_name}/ call/{api_name}/{event_id}
call/v2/{api_name} call/v2/{api_name}/ call/v2/{api_name}/{event_id}
""".split()
"""What is looked at, and left open; all else that Gradio offers is closed."""


def routes(known: Any, before: str = "") -> Iterator[str]:
    """The path of every route, those of routers in it, too."""
    for one in known:
        inner = getattr(one, "original_router", None)
        if inner is None:
            yield before + one.path
        else:
            yield from routes(inner.routes, before)


def is_open(path: str) -> bool:
    """Whether a request for it gets past the checks."""
    passed = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    async def send(message: Any) -> None:
        assert message.get("status", 404) == 404

    asyncio.run(ClosedRoutes(inside)({"type": "http", "path": path}, None, send))  # type: ignore[arg-type]
    return bool(passed)


def test_every_route_is_one_of_the_page_or_closed(served: gr.Blocks) -> None:
    """A newer Gradio may bring others."""
    found = {path for path in routes(served.app.routes) if is_open(path)}
    found = {path.replace(address(), "js/HASH") for path in found}
    assert found <= {one if one[0] == "/" else f"/gradio_api/{one}" for one in OPEN}
    assert {"/", "/gradio_api/queue/join", "/gradio_api/cancel", "/export/{word}"} <= found
    assert is_open("/gradio_api/run/predict") and not is_open("/gradio_api/run/x")


@pytest.mark.parametrize("end", ["\n", "\x00", "\r\n", "\x7f"])
def test_a_path_with_a_control_character_is_none(end: str) -> None:
    """Starlette ignores a line feed at the end of a path, and so bypasses checks of paths:
    anybody's event could be cancelled."""
    for path in ("/gradio_api/cancel", "/gradio_api/run/predict", "/"):
        assert is_open(path) and not is_open(path + end)


def posted(port: int, path: str, body: Any, **headers: str) -> int:
    """The status of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", path, body, {"content-type": "application/json"} | headers)
        return connection.getresponse().status


def question(size: int) -> bytes:
    """A request of `size` bytes to a valid handler."""
    asked = {"fn_index": 1, "session_hash": "long", "data": [""]}
    short = json.dumps(asked).encode()
    return json.dumps(asked | {"data": ["x" * (size - len(short))]}).encode()


@pytest.mark.parametrize("where", ["queue/join", "run/predict", "call/plan", "cancel"])
@pytest.mark.parametrize("told", [True, False])
def test_a_body_longer_than_any_of_the_page_is_refused(port: int, where: str, told: bool) -> None:
    """With and without a declared length."""
    sent = question(MOST_BYTES + 1)
    parts = sent if told else iter([sent[: MOST_BYTES // 2], sent[MOST_BYTES // 2 :]])
    assert posted(port, f"/gradio_api/{where}", parts) == 413
    assert posted(port, "/nowhere", parts if told else iter([sent])) == 413


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_with_two_lengths_is_refused_and_ends_its_connection(
    port: int, method: str
) -> None:
    """A proxy that uses the other length takes the rest for the next visitor's request."""
    head = f"{method} /healthz HTTP/1.1\r\nHost: localhost\r\n"
    lengths = "Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    hidden = "GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{head}{lengths}\r\n\r\n0\r\n\r\n{hidden}".encode())
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 400 ") and told.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_only_json_is_read_which_no_page_of_others_sends_unasked(port: int, kind: str) -> None:
    """Any open page can make a browser send such a body to a local copy."""
    asked = json.dumps({"fn_index": 1, "session_hash": "a", "data": [""]})
    for where in ("queue/join", "run/predict", "call/plan", "cancel"):
        status = posted(port, f"/gradio_api/{where}", asked, **{"content-type": kind})
        assert status == 415, where


def test_a_body_as_long_as_it_may_be_is_read(port: int) -> None:
    assert posted(port, "/gradio_api/queue/join", question(MOST_BYTES)) == 200


def test_a_handler_that_is_none_is_no_bug(port: int, log: Log) -> None:
    for number in (-1, 10**9):
        asked = json.dumps({"fn_index": number, "session_hash": "a", "data": []})
        assert posted(port, "/gradio_api/queue/join", asked) == 404
    for path in ("run/predict", "run/nobody", "call/nobody", "call/v2/nobody"):
        assert posted(port, f"/gradio_api/{path}", '{"data": []}') == 404
    assert "Traceback" not in log()


def test_who_listens_without_having_asked_is_told_and_no_bug(port: int, log: Log) -> None:
    """As Gradio reports it, with sixty log lines for each."""
    wanted = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)
    for where, told in (
        ("queue/data?session_hash=nobody", f"data: {wanted.model_dump_json()}\n\n"),
        ("queue/data", f"data: {wanted.model_dump_json()}\n\n"),
        ("call/plan/nobody", 'event: error\ndata: "404: Not Found"\n\n'),
        ("call/v2/plan/nobody", 'event: error\ndata: "404: Not Found"\n\n'),
    ):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", f"/gradio_api/{where}")
            answer = connection.getresponse()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.read().decode() == told
    time.sleep(0.2)  # it would be logged once the answer is sent
    assert "Traceback" not in log()


def test_a_bug_of_ours_is_not_taken_for_a_handler_that_is_none(
    port: int, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setattr(Studio, "ready", property(lambda _self: {}["nothing"]))
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 500
    late = time.monotonic() + 10
    while "KeyError: 'nothing'" not in log():  # once the answer is sent
        assert time.monotonic() < late


def test_an_event_of_the_browser_alone_is_no_bug(page: gr.Blocks, port: int, log: Log) -> None:
    alone = [event._id for event in page.fns.values() if event.fn is None]
    for number in alone[:3]:
        asked = json.dumps({"fn_index": number, "session_hash": "a", "data": []})
        assert posted(port, "/gradio_api/run/predict", asked) == 500, "told as a notice"
        assert posted(port, "/gradio_api/queue/join", asked) == 200
    assert alone and "Traceback" not in log()


@pytest.fixture
def refused(page: gr.Blocks) -> Refused:
    """Sends values to a handler, and gives the reason why they are refused."""
    state = SessionState(page)

    def send(event: Any, values: list[Any]) -> gr.Error:
        asked = page.process_api(event, values, state, request=ANYBODY, session_hash="odd")
        with pytest.raises(gr.Error) as caught:
            asyncio.run(asked)
        return caught.value

    return send


def usual(event: Any) -> list[Any]:
    return [one.get_config().get("value") for one in event.inputs]


def test_no_value_has_the_server_open_or_fetch_a_file(
    page: gr.Blocks, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any input of any handler: Gradio looks for files in all."""
    asked: list[Any] = []

    async def fetched(url: str, *_args: Any, **_more: Any) -> None:
        asked.append(url)
        raise ValueError(url)

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetched)
    odd = cycle(ODD)
    for event in page.fns.values():
        for place in range(len(event.inputs) if event.fn else 0):
            values = usual(event)
            values[place] = next(odd)
            refused(event, values)
    assert not asked


def test_values_that_do_not_fit_are_not_written_down(page: gr.Blocks, refused: Refused) -> None:
    """Printed errors go to the log, and may quote a visitor's question."""
    for event in page.fns.values():
        if event.inputs:
            error = refused(event, [SECRET] * (len(event.inputs) - 1))
            assert not error.print_exception and SECRET not in str(error), event.name
        for place, one in enumerate(event.inputs if event.fn and event.preprocess else ()):
            if isinstance(one, gr.Slider | gr.Number | gr.Radio):
                values = usual(event)
                values[place] = SECRET
                assert not refused(event, values).print_exception, event.name


def test_a_token_in_a_body_is_nobodys_login() -> None:
    """Gradio passes it to handlers if nobody is signed in: a page would use it at the Hub."""
    given: list[Any] = []

    def on_push(token: gr.OAuthToken | None) -> None:
        given.append(token)

    with GuardedBlocks() as page:
        gr.Button().click(on_push)
    token = gr.OAuthToken(token=SECRET, scope="", expires_at=0)
    asked = page.process_api(page.fns[0], [], SessionState(page), ANYBODY, oauth_token=token)
    asyncio.run(asked)
    assert given == [None]


def test_a_session_keeps_no_configuration_and_nothing_it_was_sent(
    served: gr.Blocks, port: int
) -> None:
    """Gradio keeps both for deep links: 60 tabs of one address took 1 GB of memory."""
    sessions = served.state_holder
    assert not sessions["new"].config_values, "copying it takes the event loop 10 to 20 ms"
    (event,) = (one for one in served.fns.values() if one.name == "on_forget")
    asked = {"fn_index": event._id, "session_hash": "tells", "data": ['{"forget": "x"}']}
    assert posted(port, "/gradio_api/run/predict", json.dumps(asked)) == 200
    assert "tells" in sessions and not list(sessions["tells"].config_values.values())


def test_the_host_that_one_client_names_is_told_to_no_other(port: int) -> None:
    """Gradio describes its endpoints once, with the Host of the first request."""
    told = []
    for host in ("evil.example", "honest.example"):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/gradio_api/info", headers={"host": host})
            told.append(connection.getresponse().read().decode())
    assert "evil.example" in told[0], "it is repeated to who named it"
    assert "honest.example" in told[1] and "evil.example" not in told[1]


@pytest.mark.parametrize("text", ['{"a":NaN}', "[-Infinity]", "1e999", '{"a":[-1e999]}'])
def test_a_number_that_is_none_is_unreadable(text: str) -> None:
    """Answers that repeat it are not JSON."""
    with pytest.raises(InvalidValue, match="unreadable"):
        parsed(text)


def test_half_a_character_is_replaced() -> None:
    """A browser may split one; half a character cannot be tokenised or sent back."""
    assert checked_text("question", " half \ud83d ") == "half \ufffd"
    assert checked_text("question", "whole \U0001f600") == "whole \U0001f600"
    assert json.loads(pack({"of a client": "\ude00"}).encode()) == {"of a client": "?"}
