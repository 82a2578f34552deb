"""One's own copy answers under its own names alone; strangers' pages have others."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gradio as gr
import pytest

from components.hosts import is_at_home, name_of
from components.serving import start
from components.studio import Studio
from components.workbench import build_page
from tests.e2e.server import free_port


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:7860", "localhost"),
        ("LOCALHOST", "localhost"),
        ("127.0.0.1:7860", "127.0.0.1"),
        ("[::1]:7860", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("192.168.1.20:80", "192.168.1.20"),
        ("mybox:7860", "mybox"),
        ("mybox.local", "mybox.local"),
        ("studio.localhost:1", "studio.localhost"),
        ("", ""),
    ],
)
def test_names_of_this_computer(host: str, name: str) -> None:
    assert name_of(host) == name and is_at_home(name)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("evil.example.", "localhost:7860.evil.example", "[evil.example]:7860", "1.2.3"),
    ],
)
def test_names_that_others_may_give(host: str) -> None:
    assert not is_at_home(name_of(host))


@pytest.fixture
def environment(tiny_zoo: Path) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPA_ZOO", str(tiny_zoo))
        patch.setenv("DPPA_WARM", "0")
        patch.delenv("SPACE_ID", raising=False)
        yield patch


def statuses(page: gr.Blocks, *hosts: str) -> list[int]:
    """What a page answers to a browser that knows it by each of these names."""
    port, found = free_port(), []
    start(page, server_name="127.0.0.1", server_port=port, quiet=True)
    try:
        for host in hosts:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as asking:
                asking.request("GET", "/healthz", headers={"host": host})
                found.append(asking.getresponse().status)
    finally:
        page.close()
    return found


def test_no_page_of_others_makes_this_computer_a_part_of_itself(
    environment: pytest.MonkeyPatch,
) -> None:
    own = build_page(Studio(public=False))
    environment.setenv("DPPA_HOSTS", "studio.example.org, other.example.org")
    names = ("localhost", "evil.example:7860", "studio.example.org:443", "OTHER.example.org")
    assert statuses(own, *names) == [200, 403, 200, 200]


def test_a_public_page_and_a_space_answer_under_any_name(environment: pytest.MonkeyPatch) -> None:
    assert statuses(build_page(Studio(public=True)), "studio.example.org") == [200]
    environment.setenv("SPACE_ID", "ada/studio")
    assert statuses(build_page(Studio(public=False)), "ada-studio.hf.space") == [200]
