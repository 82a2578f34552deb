"""A page that holds only the tab's worker and its modules, from a plain static folder."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dppa_core.tab.files import MODELS, write_files
from tests.e2e.server import ROOT
from tests.e2e.tab_memory import NOTES_MEMORY

LONGEST_MS = 60_000


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def tab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripts, compiled loops, manifest and packed weights, as a static server has them."""
    folder = tmp_path_factory.mktemp("tab")
    shutil.copytree(ROOT / "assets" / "js", folder / "js")
    worker = folder / "js" / "tab" / "worker.js"
    worker.write_text(NOTES_MEMORY + worker.read_text("utf-8"), "utf-8")
    shutil.copy(ROOT / "assets" / "tab" / "tab.wasm", folder)
    shutil.copy(Path(__file__).with_name("page.html"), folder / "index.html")
    write_files(folder, MODELS)
    return folder


@pytest.fixture(scope="session")
def tab_url(tab_folder: Path) -> Iterator[str]:
    """The address of that folder."""
    handler = partial(_Quiet, directory=str(tab_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(browser: Browser, url: str, has_touch: bool = False) -> Iterator[Page]:
    """The page as a new visitor, with nothing loaded or cached; `window.tab` asks its workers."""
    page = browser.new_context(has_touch=has_touch, is_mobile=has_touch).new_page()
    page.set_default_timeout(LONGEST_MS)
    page.goto(url)
    page.wait_for_function("() => window.tab")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def tab_page(browser: Browser, tab_url: str) -> Iterator[Page]:
    """One page for all tests of a file."""
    with opened(browser, tab_url) as page:
        yield page


@pytest.fixture
def phone_page(browser: Browser, tab_url: str) -> Iterator[Page]:
    """A page on a phone, for one test."""
    with opened(browser, tab_url, has_touch=True) as page:
        yield page


@pytest.fixture
def fresh_page(browser: Browser, tab_url: str) -> Iterator[Page]:
    """A page for one test."""
    with opened(browser, tab_url) as page:
        yield page
