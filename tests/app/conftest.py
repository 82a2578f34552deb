"""The services behind a page and the page itself, on the tiny models, with and without a server."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.server.serving import start
from components.work.studio import Studio
from tests.e2e.server import free_port

Log = Callable[[], str]


@pytest.fixture
def studio(zoo_env: Path) -> Studio:
    """For a local copy: folders may be named."""
    return Studio(public=False)


@pytest.fixture(scope="module")
def page(tiny_zoo: Path) -> Iterator[gr.Blocks]:
    """Built, not served; one for all tests of a file, since no handler keeps anything on it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DPPA_ZOO", str(tiny_zoo))
        yield build_page(Studio(public=False))


@pytest.fixture(scope="module")
def served(tiny_zoo: Path) -> Iterator[gr.Blocks]:
    """A page of strangers."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DPPA_ZOO", str(tiny_zoo))
        environment.setenv("DPPA_WARM", "0")
        page = build_page(Studio(public=True))
        start(page, server_name="127.0.0.1", server_port=free_port(), quiet=True)
        yield page
        page.close()


@pytest.fixture
def port(served: gr.Blocks) -> int:
    return int(served.server_port)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """What Gradio has printed and the server has logged by now."""
    server = logging.getLogger("uvicorn.error")
    server.addHandler(caplog.handler)
    yield lambda: capfd.readouterr().err + caplog.text
    server.removeHandler(caplog.handler)
