"""One server, one browser and one tab for all browser tests; a new visitor for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.chromium import HELP, find_chromium
from tests.e2e.page_driver import ARGUMENTS, Studio, new_context
from tests.e2e.server import ROOT, Server
from tests.helpers.results_by_hand import write_results

Visit = Callable[..., Studio]
WITHOUT_WORKERS = """if (!document.cookie.includes("words=tab")) delete globalThis.Worker;"""
"""Has the server write: to fetch and rank the models anew would take seconds of every test that
moves a slider. Tests marked `tab` have what visitors have."""
PICTURES = ROOT / "out" / "e2e"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`python app.py` on the embedded models."""
    folder = tmp_path_factory.mktemp("server")
    environment = {
        "DPPA_EXPERIMENTS": str(write_results(folder)),
        "DPPA_TASK_FILES": "tests/harness",
    }
    running = Server.start(folder / "app.log", **environment)
    yield running
    running.stop()
    assert running.process.returncode == 0, "told to end, it ends by itself and in order"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    program = find_chromium()
    assert program, HELP
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def free_tabs() -> list[Studio]:
    """The tab of the test before, if it can be used again."""
    return []


@pytest.fixture
def visit(
    server: Server, browser: Browser, free_tabs: list[Studio], request: pytest.FixtureRequest
) -> Iterator[Visit]:
    """Open the page as a new visitor: `visit(width=390, theme="dark")`.

    After a test marked `keeps`, the next of its file on the same screen goes on with its page.
    Afterwards, no browser may have logged an error or contacted another host.
    """
    open_tabs: list[Studio] = []
    keeps = request.node.get_closest_marker("keeps")
    in_tab = request.node.get_closest_marker("tab")
    cookies = [{"name": "words", "value": "tab", "url": server.url}] if in_tab else []

    def open_page(
        width: int = 1440, height: int = 900, theme: str = "light", link: str = ""
    ) -> Studio:
        screen = f"{request.node.path}: {width} x {height}, {theme}, {link}"
        if free_tabs:
            studio = free_tabs.pop()
            open_tabs.append(studio)
            if studio.kept_for != screen:
                studio.become_new_visitor(width, height, theme, link, cookies)
        else:
            context = new_context(browser, width, height)
            context.add_init_script(WITHOUT_WORKERS)
            context.add_cookies(cookies)
            studio = Studio.visit(context, server.url, theme, link)
            open_tabs.append(studio)
        studio.kept_for = screen if keeps else ""
        return studio

    yield open_page
    failed = getattr(request.node, "failed", False)
    for studio in open_tabs:
        if not studio.page.is_closed():
            studio.page.evaluate("0")  # wait for errors logged until now
    complaints = [c for studio in open_tabs for c in studio.complaints]  # not those of closing
    for number, studio in enumerate(open_tabs):
        if failed:
            _keep_evidence(studio, f"{request.node.name}-{number}")
        if failed or free_tabs or studio.page.is_closed() or not studio.reusable:
            studio.page.context.close()
        else:
            free_tabs.append(studio)
    assert not complaints, complaints


@pytest.fixture
def studio(visit: Visit) -> Studio:
    """One visitor at a desktop screen."""
    return visit()


def _keep_evidence(studio: Studio, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    stem: Path = PICTURES / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    studio.page.screenshot(path=stem.with_suffix(".png"), full_page=True)
    stem.with_suffix(".html").write_text(studio.page.content(), encoding="utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.failed = report.failed  # read by the fixture above
    return report
