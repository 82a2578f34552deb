"""Which hosts the page answers for, and that it refuses other web pages' requests."""

import asyncio
import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.server.guards.hosts import LOOPBACK, HostCheck, is_from, own_names, split_host
from components.server.serving import start
from components.server.settings import Settings
from components.work.studio import Studio
from tests.e2e.server import free_port

EVIL = "https://evil.example"
PREFLIGHT = {"access-control-request-method": "POST", "origin": EVIL}


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("localhost:7860", "localhost", "7860"),
        ("LOCALHOST", "localhost", ""),
        ("localhost.", "localhost", ""),
        ("127.0.0.1:7860", "127.0.0.1", "7860"),
        ("[::1]:7860", "::1", "7860"),
        ("[::1]", "::1", ""),
        ("::1", "::1", ""),
        ("localhost:7860.evil.example", "localhost:7860.evil.example", ""),
        ("", "", ""),
    ],
)
def test_a_host_is_a_name_and_a_port(host: str, name: str, port: str) -> None:
    assert split_host(host) == (name, port)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:7860", "localhost:7860"),
        ("http://[::1]:7860", "[::1]:7860"),
        ("http://studio.example.org", "studio.example.org"),
        ("http://studio.example.org", "STUDIO.example.org:80"),
        ("https://studio.example.org", "studio.example.org"),
        ("https://studio.example.org", "studio.example.org:443"),
        ("https://studio.example.org:8443", "studio.example.org:8443"),
    ],
)
def test_an_origin_is_that_of_its_host(origin: str, host: str) -> None:
    assert is_from(origin, [host])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost:7860"),
        ("", ""),
        ("null", ""),
        ("file://", ""),
        ("http://localhost:3000", "localhost:7860"),
        ("http://localhost", "localhost:7860"),
        ("http://localhost:7860", "localhost"),
        ("http://127.0.0.1:7860", "localhost:7860"),
        ("http://localhost:7860.evil.example", "localhost:7860"),
        ("http://localhost:7860@evil.example", "localhost:7860"),
        ("http://evil.example/localhost:7860", "localhost:7860"),
        ("https://studio.example.org:8443", "studio.example.org"),
        ("http://studio.example.org", "studio.example.org:443"),
        ("chrome-extension://localhost:7860", "localhost:7860"),
    ],
)
def test_an_origin_of_another_host_or_port_is_foreign(origin: str, host: str) -> None:
    assert not is_from(origin, [host])


def test_a_copy_that_listens_wider_has_the_name_of_its_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "MyBox.example.org")
    assert own_names("127.0.0.1") == own_names("localhost") == own_names("[::1]") == LOOPBACK
    machine = {"mybox.example.org", "mybox.local"}
    assert own_names("0.0.0.0") == LOOPBACK | machine | {"0.0.0.0"}
    assert own_names("192.168.1.20") == LOOPBACK | machine | {"192.168.1.20"}


def passes(
    headers: dict[str, str],
    names: frozenset[str] | None = LOOPBACK,
    known_hosts: tuple[str, ...] = (),
    **scope: Any,
) -> bool:
    """Whether a request gets past the check; its host is localhost:7860 if `headers` has none."""
    passed, sent = [], []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "localhost:7860"} | headers
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    asked = {"type": "http", "method": "GET", "server": ("127.0.0.1", 7860)} | scope
    asyncio.run(HostCheck(inside, known_hosts, names)(asked | {"headers": raw}, None, send))  # type: ignore[arg-type]
    assert bool(passed) != bool(sent)
    return bool(passed)


OTHER_HOSTS = """
foo.localhost:7860 evil.example evil.example:7860 localhost.evil.example 127.0.0.1.evil.example
evil.example. [evil.example]:7860 1.2.3 [::ffff:127.0.0.1]:7860 127.0.0.2:7860 0.0.0.0:7860
192.168.1.20:7860 mybox mybox.local studio.lan
""".split()


@pytest.mark.parametrize("host", [*OTHER_HOSTS, ""])
def test_ones_own_copy_answers_for_its_own_names_alone(host: str) -> None:
    assert not passes({"host": host})
    assert not passes({"x-forwarded-host": f"localhost, {host or 'x'}"}), "a proxy saw it"
    assert passes({"host": host}, names=None)


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST."])
def test_ones_own_copy_answers_for_its_own_names(host: str) -> None:
    assert passes({"host": host}) and passes({"host": host, "origin": f"http://{host}"})


def test_a_listed_host_is_one_of_the_page() -> None:
    listed = ("studio.example.org", "other.example.org:8443")
    proxied = {"x-forwarded-host": "studio.example.org", "origin": "https://studio.example.org"}
    for headers in (
        {"host": "studio.example.org:443"},
        {"host": "other.example.org"},
        {"origin": "https://studio.example.org", "sec-fetch-site": "cross-site"},
        {"origin": "https://other.example.org:8443"},
        proxied,
    ):
        assert passes(headers, known_hosts=listed), headers
    assert not passes({"origin": "https://studio.example.org:3000"}, known_hosts=listed)
    assert not passes(proxied) and passes(proxied, names=None)


@pytest.mark.parametrize("at", ["192.168.1.20", "::ffff:192.168.1.20"])
def test_a_copy_that_listens_wider_answers_for_the_address_a_request_arrives_at(at: str) -> None:
    wide = LOOPBACK | {"mybox"}
    for host in ("192.168.1.20:7860", "mybox:7860", "localhost:7860"):
        assert passes({"host": host}, names=wide, server=(at, 7860)), host
    for host in ("192.168.1.21:7860", "evil.example:7860", ""):
        assert not passes({"host": host}, names=wide, server=(at, 7860)), host
    assert not passes({"host": ""}, names=wide, server=None)


@pytest.mark.parametrize("own", [LOOPBACK, None])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
def test_no_page_of_another_origin_sends_a_request(own: frozenset[str] | None, method: str) -> None:
    for origin in (EVIL, "null", "", "http://localhost:3000"):
        assert not passes({"origin": origin}, own, method=method), origin
        assert not passes({"origin": origin, "sec-fetch-site": "same-origin"}, own, method=method)
    assert passes({"origin": "http://localhost:7860"}, own, method=method)
    assert passes({}, own, method=method), "a program"


@pytest.mark.parametrize("own", [LOOPBACK, None])
def test_another_page_may_link_here_and_nothing_else(own: frozenset[str] | None) -> None:
    for site in ("cross-site", "same-site"):
        assert passes({"sec-fetch-site": site, "sec-fetch-mode": "navigate"}, own)
        for mode in ("no-cors", "cors", "websocket"):
            assert not passes({"sec-fetch-site": site, "sec-fetch-mode": mode}, own)
    other_scheme = {"host": "a.example", "origin": "http://a.example"}
    assert not passes({**other_scheme, "sec-fetch-site": "cross-site"}, None)
    for site in ("same-origin", "none"):
        assert passes({"sec-fetch-site": site, "sec-fetch-mode": "cors"}, own)


def test_no_websocket_is_opened_and_a_start_is_passed_on() -> None:
    assert not passes({}, type="websocket") and not passes({}, names=None, type="websocket")
    assert passes({}, type="lifespan")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("ada-studio.hf.space", "https://ada-studio.hf.space"),
        ("10.1.2.3:7860", "https://ada-studio.hf.space"),
        ("10.1.2.3:7860", "https://studio.example.org"),
    ],
)
def test_a_space_is_a_page_of_its_own_hosts(
    monkeypatch: pytest.MonkeyPatch, host: str, origin: str
) -> None:
    """Hugging Face names them in SPACE_HOST; those after the first are custom domains."""
    monkeypatch.setenv("SPACE_ID", "ada/studio")
    monkeypatch.setenv("SPACE_HOST", "ada-studio.hf.space,studio.example.org")
    known = Settings().known_hosts
    assert passes({"host": host, "origin": origin}, None, known)
    assert not passes({"host": host, "origin": "https://eve-evil.hf.space"}, None, known)


@pytest.fixture
def environment(tiny_zoo: Path) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPA_ZOO", str(tiny_zoo))
        patch.setenv("DPPA_WARM", "0")
        patch.delenv("SPACE_ID", raising=False)
        yield patch


def answers(page: gr.Blocks, *asked: tuple[str, dict[str, str]]) -> list[tuple[int, Message]]:
    """Status and headers of what a served page answers to requests, each a method and headers."""
    port, found = free_port(), []
    start(page, server_name="127.0.0.1", server_port=port, quiet=True)
    try:
        for method, headers in asked:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as asking:
                asking.request(method, "/config", headers=headers)
                answer = asking.getresponse()
                found.append((answer.status, answer.headers))
    finally:
        page.close()
    return found


def test_no_page_of_others_makes_this_computer_a_part_of_itself(
    environment: pytest.MonkeyPatch,
) -> None:
    own = build_page(Studio(public=False))
    environment.setenv("DPPA_HOSTS", "studio.example.org, other.example.org")
    hosts = ("localhost", "evil.example:7860", "studio.example.org:443", "OTHER.example.org")
    pages = ({"host": "localhost", **PREFLIGHT}, {"host": "x.localhost", "origin": EVIL})
    asked = [("GET", {"host": host}) for host in hosts] + [("OPTIONS", one) for one in pages]
    found = answers(own, *asked)
    assert [status for status, _ in found] == [200, 403, 200, 200, 403, 403]
    assert not any(headers["access-control-allow-origin"] for _, headers in found)


def test_a_public_page_and_a_space_answer_under_any_name_and_to_their_own_pages(
    environment: pytest.MonkeyPatch,
) -> None:
    def check(page: gr.Blocks, host: str) -> None:
        own = {"host": host, "origin": f"https://{host}"}
        asked = [("GET", {"host": host}), ("GET", own), ("GET", {"host": host, "origin": EVIL})]
        found = answers(page, *asked, ("OPTIONS", {"host": host, **PREFLIGHT}))
        assert [status for status, _ in found] == [200, 200, 403, 403]
        assert not any(headers["access-control-allow-origin"] for _, headers in found[2:])

    check(build_page(Studio(public=True)), "studio.example.org")
    environment.setenv("SPACE_ID", "ada/studio")
    check(build_page(Studio(public=False)), "ada-studio.hf.space")
