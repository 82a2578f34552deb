"""Nothing that a stranger sends reaches the log, standard output or standard error."""

import http.client
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import gradio as gr
import pytest
from gradio import oauth, queueing

from components.server.logs import ROOT, start_log
from tests.app.server.test_heads import refused
from tests.app.server.test_strange_clients import routes

MARK = "zqmark"
HOSTILE = f"{MARK}\x1b[31m\n2026-01-01 CRITICAL {MARK} \r\u202e"
Output = Callable[[], str]


@pytest.fixture
def output(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    """What a public page has written since the last look, by any way."""
    yield from writing(capfd, monkeypatch, public=True)


@pytest.fixture
def output_of_copy(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Output]:
    """The same of one's own copy."""
    yield from writing(capfd, monkeypatch, public=False)


def writing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, public: bool
) -> Iterator[Output]:
    own, whole = logging.getLogger(ROOT), logging.getLogger()
    monkeypatch.setattr(whole, "handlers", [])
    monkeypatch.setattr(own, "handlers", [])
    monkeypatch.setattr(own, "propagate", True)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    with open(2, "w", encoding="utf-8", closefd=False) as errors:
        monkeypatch.setattr(sys, "stderr", errors)  # as in a process of its own
        start_log("text", public=public)
        yield lambda: "".join(capfd.readouterr())


def answer_to(port: int, method: str, path: str, body: str = "", **headers: str) -> bytes:
    """The answer to a request, or nothing where none came."""
    kind = {"content-type": "application/json"} if body else {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request(method, path, body or None, kind | headers)
            return connection.getresponse().read(10_000)
        except (OSError, http.client.HTTPException):
            return b""


def assert_quiet(output: Output) -> None:
    """The log is written, and has neither a request nor a trace."""
    logging.getLogger("dppa.page").info("the end")
    written = output()
    assert "the end" in written
    assert MARK not in written and "Traceback" not in written and "  File " not in written


STREAMS = ("heartbeat", "queue/data")


def test_no_route_writes_what_it_was_sent(served: gr.Blocks, port: int, output: Output) -> None:
    """In its path, its query, its headers or its body, by any method."""
    text = quote(HOSTILE)
    body = json.dumps({"data": [HOSTILE], "fn_index": 0, "session_hash": "a", HOSTILE: HOSTILE})
    headers = {"cookie": f"session={MARK}", "user-agent": MARK, "range": MARK, "referer": MARK}
    for path in {re.sub(r"\{[^}]*\}", MARK, one) for one in routes(served.app.routes)}:
        for end in (f"?_target_url={text}&{text}={text}&deep_link={text}", f"/{text}"):
            for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
                sent = body if method == "POST" else ""
                answer_to(port, method, quote(path, "/") + end, sent, **headers)
            if not any(one in path for one in STREAMS):
                answer_to(port, "GET", quote(path, "/") + end, **headers)
    assert_quiet(output)


def test_no_event_writes_what_it_was_sent(served: gr.Blocks, port: int, output: Output) -> None:
    """As the page and as endpoints ask, with text in the place of every value."""
    for number, event in served.fns.items():
        data = [HOSTILE] * len(event.inputs)
        body = {"fn_index": number, "session_hash": f"s{number}", "data": data}
        answer_to(port, "POST", "/gradio_api/run/predict", json.dumps(body))
        if answer_to(port, "POST", "/gradio_api/queue/join", json.dumps(body)).startswith(
            b'{"event'
        ):
            answer_to(port, "GET", f"/gradio_api/queue/data?session_hash=s{number}")
        if event.api_visibility == "public":
            answer = answer_to(port, "POST", f"/gradio_api/call/{event.api_name}", json.dumps(body))
            answer_to(
                port, "POST", f"/gradio_api/call/v2/{event.api_name}", json.dumps({HOSTILE: 1})
            )
            name = json.loads(answer or b"{}").get("event_id", "none")
            answer_to(port, "GET", f"/gradio_api/call/{event.api_name}/{name}")
    assert_quiet(output)


@pytest.mark.parametrize(
    "query",
    [
        {"error": MARK},
        {"error": "access_denied", "state": "a"},
        {"code": HOSTILE, "state": "a"},
        {"code": "a", "state": HOSTILE},
        {"_nb_redirects": MARK},
        {"_target_url": HOSTILE},
        {"_target_url": f"//{MARK}\u2100/"},
        {"_target_url": f"http://[{MARK}"},
    ],
)
def test_a_sign_in_that_is_none_is_refused_before_it_is_read(query: dict[str, str]) -> None:
    """authlib and Gradio fail on it, with a trace that repeats it."""
    sent = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    for path in ("/login/callback", "/login/huggingface", "/logout", "//login//callback/"):
        assert refused(path, query=sent) == 400
    assert refused("/", query=sent) == 0, "of others it is no concern"


def test_a_sign_in_of_the_hub_is_read() -> None:
    assert refused("/login/callback", query="code=aB-1_2&state=q0.W~&_target_url=%2F%3Fc%3Da") == 0
    assert refused("/login/huggingface", query="_target_url=/&c=abc") == 0
    assert refused("/logout", query="_target_url=/") == 0


def test_what_gradio_prints_is_dropped_and_its_traces_are_logged(
    served: gr.Blocks, output: Output
) -> None:
    vars(oauth)["print"](f"Redirect URI: {HOSTILE}")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        queueing.traceback.print_exc()
    written = output()
    assert MARK not in written and "builtins.ValueError" in written and "test_log_of_st" in written


def complain(name: str) -> None:
    """What libraries do with the text of a client."""
    logging.getLogger(name).warning(f"Tool '{HOSTILE}' not listed")  # noqa: G004
    logging.getLogger(name).warning("Tool %s", HOSTILE, extra={"sent": HOSTILE})
    try:
        try:
            raise KeyError(HOSTILE)
        except KeyError as error:
            raise ExceptionGroup(HOSTILE, [error, ValueError(HOSTILE)]) from error
    except ExceptionGroup:
        logging.getLogger(name).exception(f"Error {HOSTILE}")  # noqa: G004
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(HOSTILE, stacklevel=1)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["mcp.server.lowlevel.server", "asyncio", "root"])
def test_what_libraries_log_is_told_by_its_place_alone(
    form: Any, name: str, output: Output
) -> None:
    start_log(form, public=True)
    complain(name)
    written = output()
    assert MARK not in written
    assert written.count(f"of {__file__.rpartition('/')[2]}") == 4, "each has a line"
    assert "ValueError" in written and "ExceptionGroup" in written


def test_a_thread_and_an_error_that_nobody_takes_are_told_by_their_places(output: Output) -> None:
    def fail() -> None:
        raise ValueError(HOSTILE)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    sys.unraisablehook(unraised(ValueError(HOSTILE)))
    written = output()
    assert MARK not in written and written.count("builtins.ValueError") == 2


def unraised(error: Exception) -> Any:
    class Caught:
        exc_value = error

    return Caught


def test_ones_own_copy_logs_texts_without_control_characters(output_of_copy: Output) -> None:
    complain("mcp.server.lowlevel.server")
    own = logging.getLogger("dppa.page")
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        own.error("a handler failed", exc_info=error)
    own.warning("The page opens without %s", HOSTILE)
    written = output_of_copy()
    assert MARK in written and not set("\x1b\r\u202e") & set(written)
    assert "ValueError: zqmark\\x1b[31m" in written


def test_a_library_writes_a_line_of_one_place_once_a_minute(output: Output) -> None:
    for number in range(1000):
        logging.getLogger("mcp").warning("%d", number)
    assert output().count("\n") == 1
