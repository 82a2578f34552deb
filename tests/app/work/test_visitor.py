"""Identifying visitors: what a client can forge, and what not."""

import asyncio
import logging
from typing import Any

import gradio as gr
import pytest
from starlette.requests import Request

from components.work.visitor import CALLER, CallerAddresses, Visitor, asker, visitor_of


def request(address: str, headers: dict[str, str] | None = None, **more: Any) -> Request:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "path": "/", "headers": pairs, "client": (address, 1)}
    return Request(scope | more)


def passed(asked: Request, callers: CallerAddresses | None = None) -> Request:
    """A request as it is behind the middleware."""
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope)

    middleware = callers or CallerAddresses(app)
    middleware._app = app
    asyncio.run(middleware(asked.scope, None, None))  # type: ignore[arg-type]
    return Request(seen[0])


def test_tabs_of_one_address_are_one_party() -> None:
    one, other = (visitor_of(request("203.0.113.7"), name) for name in ("a", "b"))
    assert one.party == other.party == "address 203.0.113.7" and one.tab != other.tab
    assert visitor_of(request("203.0.113.7")).tab == "calls of address 203.0.113.7"


def test_a_handler_without_a_queue_knows_who_asks() -> None:
    """Gradio passes its own request type, which has no scope."""
    cookie = {"oauth_info": {"userinfo": {"preferred_username": "ada"}}}
    asked = request("203.0.113.7", {"host": "localhost"}, session=cookie)
    assert asker(gr.Request(asked, session_hash="a")) == Visitor("a", "203.0.113.7", "ada")
    assert asker(gr.Request(session_hash="a")) == Visitor("a")


def test_who_is_signed_in_is_a_party_wherever_they_are() -> None:
    cookie = {"oauth_info": {"userinfo": {"preferred_username": "ada"}}}
    found = visitor_of(request("203.0.113.7", session=cookie), "a")
    assert found.party == "login ada" and found.tab == "tab a"


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("not an address", "not an address"),
        ("", ""),
    ],
)
def test_all_addresses_of_one_customer_are_one(address: str, known: str) -> None:
    assert visitor_of(request(address), "a").address == known


@pytest.mark.parametrize(
    ("peer", "forwarded", "warns"),
    [
        ("172.17.0.1", "198.51.100.9", True),
        ("198.51.100.9", "forged, 198.51.100.9", False),  # as a trusted proxy leaves it
        ("93.184.216.34", "forged", False),
        ("172.17.0.1", "", False),
    ],
)
def test_a_proxy_that_is_not_trusted_is_told_once(
    peer: str, forwarded: str, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    callers = CallerAddresses(None)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "dppa.page"):
        logging.getLogger("dppa.page").addHandler(caplog.handler)
        for _ in range(2):
            passed(request(peer, {"x-forwarded-for": forwarded} if forwarded else {}), callers)
        logging.getLogger("dppa.page").removeHandler(caplog.handler)
    told = {record.getMessage() for record in caplog.records}
    assert bool(told) == warns and peer not in str(told) and callers._warned == warns


def test_the_bridge_names_its_callers_and_nobody_else_does() -> None:
    forged = passed(request("203.0.113.7", {CALLER: "1", "x-gradio-user": "mcp"}))
    assert visitor_of(forged, "a") == Visitor("a", "203.0.113.7")
    guessed = passed(request("203.0.113.7", {CALLER: "0" * 32 + " 198.51.100.9"}))
    assert visitor_of(guessed, "a") == Visitor("a", "203.0.113.7")

    callers = CallerAddresses(None)  # type: ignore[arg-type]
    asked = passed(request("198.51.100.9", path="/gradio_api/mcp/"), callers)
    own = passed(request("127.0.0.1", dict(asked.headers)), callers)
    assert visitor_of(own, "shared by all callers") == Visitor("", "198.51.100.9")
    assert asked.headers[CALLER] not in own.headers.values(), "handlers do not see the secret"
