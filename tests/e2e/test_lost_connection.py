"""A page that is reloaded, or loses its connection, during long work; two tabs at once.

The work ends on the server; the page comes back with its settings and works.
"""

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.cuttable_network import Cable
from tests.e2e.page_driver import Studio, new_context
from tests.e2e.panes.test_chat import ask_at_length
from tests.e2e.panes.test_export import READY
from tests.e2e.panes.test_score import run as score
from tests.e2e.panes.test_score import wait_state
from tests.e2e.server import Server
from tests.e2e.tuning import press, wait_rest

LONG = ("Tom buys 5 apples. " * 20, "Tom has 17. " * 20)
MOST_TRIES = 4
"""On a busy machine work may end in the moment before it is interrupted."""
LOST = "Connection to the server was lost"


@pytest.fixture
def cable(server: Server) -> Iterator[Cable]:
    """The proxy of the browser's connections."""
    made = Cable(urlparse(server.url).port or 0)
    yield made
    made.close()


@pytest.fixture
def tab(cable: Cable, browser: Browser) -> Iterator[Studio]:
    """A visitor behind the proxy, with their own settings."""
    studio = Studio.visit(new_context(browser), cable.url)
    set_rate(studio, 70)
    studio.wait_models()
    yield studio
    studio.page.context.close()  # its errors are expected


def begin_chat(tab: Studio) -> None:
    ask_at_length(tab)
    tab.page.locator('#transcript .answer[data-state="writing"]').first.wait_for()


def begin_search(tab: Studio) -> None:
    tab.open_pane("search")
    tab.set_range(tab.page.locator("#search-limit input[type=range]"), 96)
    tab.page.locator("#search-run").click()
    tab.page.locator("#search-plot g.point").first.wait_for(state="attached")


def begin_export(tab: Studio) -> None:
    tab.open_pane("export")
    tab.page.locator(READY).first.wait_for(state="attached")
    tab.page.locator('.take-row[data-kind="report"] button', has_text="Make").click()
    expect(tab.page.locator(".made-line")).to_contain_text(": ")  # it has begun


def begin_score(tab: Studio) -> None:
    score(tab, 400)
    wait_state(tab, "running")


def begin_attribution(tab: Studio) -> None:
    page = tab.page
    page.locator('#views button[data-view="attribution"]').click()
    page.locator("#attribution-prompt textarea").fill(LONG[0])
    page.locator("#attribution-answer").locator("textarea, input").fill(LONG[1])
    page.locator('#attribution-by input[value="module"]').check()
    page.locator("#attribution-run").click()
    page.locator('#attribution [data-attribution-state="running"]').wait_for(state="attached")


def set_rate(tab: Studio, rate: int) -> None:
    """Set a pruning rate, in the address as well."""
    tab.set_rate(rate)
    wait_rest(tab)
    tab.page.wait_for_function("() => new URLSearchParams(location.search).has('c')")


BEGIN: dict[str, Callable[[Studio], None]] = {
    "search": begin_search,
    "export": begin_export,
    "chat": begin_chat,
    "score": begin_score,
    "attribution": begin_attribution,
}
ROUNDS = (("search", "chat"), ("score", "export"), ("attribution",))
"""Work that goes on at the same time, every kind of it; models answer for one at a time, and a file
is made in a second: it is begun last."""


def outcomes(server: Server, since: int) -> dict[str, str]:
    """How work has ended after a line of the log: chat -> stopped."""
    told = (line.partition(" dppa.work ")[2] for line in server.output().splitlines()[since:])
    return dict(one.split() for one in told if one)


def were_stopped(server: Server, since: int, works: tuple[str, ...]) -> bool:
    """Whether none of these was completed; each must end somehow within seconds."""
    late = time.monotonic() + 20
    while len(found := outcomes(server, since)) < len(works):
        assert time.monotonic() < late, found
        time.sleep(0.05)
    assert "failed" not in found.values(), found
    return set(found.values()) == {"stopped"}


def interrupted(tab: Studio, server: Server, interrupt: Callable[[], None]) -> None:
    """Start and interrupt every long work; each time the page keeps its settings."""
    for works in ROUNDS:
        for _ in range(MOST_TRIES):
            since = len(server.output().splitlines())
            for work in works:
                BEGIN[work](tab)
            tab.page.evaluate("window.left = true")
            interrupt()
            stopped = were_stopped(server, since, works)
            tab.page.wait_for_function("() => !window.left")
            tab.wait_drawn()
            tab.wait_exact(70)
            if stopped:
                break
        assert stopped, works
    tab.ask("1 + 1 = ?")
    tab.wait_answer()


@pytest.mark.long
def test_a_reload_ends_all_work_and_keeps_the_settings(tab: Studio, server: Server) -> None:
    interrupted(tab, server, tab.reload)


@pytest.mark.long
def test_a_lost_connection_ends_all_work_and_the_page_comes_back_by_itself(
    tab: Studio, server: Server, cable: Cable
) -> None:
    def lose() -> None:
        cable.cut()
        expect(tab.page.locator(".toast-wrap")).to_contain_text(LOST)
        cable.mend()

    interrupted(tab, server, lose)


def save(tab: Studio, name: str) -> None:
    """Save the settings as a user preset."""
    press(tab, "keep")
    page = tab.page
    page.locator("#saved-name").fill(name)
    page.locator("#saved-add").click()
    expect(page.locator("#saved-list")).to_contain_text(name)
    page.keyboard.press("Escape")


def saved(tab: Studio) -> list[str]:
    press(tab, "keep")
    return tab.page.locator("#saved-list .saved-name").all_inner_texts()


@pytest.mark.long
def test_two_tabs_of_one_visitor_keep_out_of_each_others_way(
    browser: Browser, server: Server
) -> None:
    """One browser has one storage, shared by both tabs; all else belongs to a tab."""
    context = new_context(browser)
    one, other = (Studio.visit(context, server.url) for _ in range(2))
    one.wait_models()
    for tab, rate in ((one, 60), (other, 75)):
        set_rate(tab, rate)
    begin_chat(one)
    other.page.locator("#stop").evaluate("stop => stop.click()")  # it asked for nothing
    other.reload()
    one.wait_answer("zoo:math", "done")
    assert other.page.locator("#transcript .turn").count() == 0
    press(other, "keep")
    save(one, "of one")
    expect(other.page.locator("#saved-list")).to_contain_text("of one")  # though it is open there
    other.page.keyboard.press("Escape")
    save(other, "of the other")
    one.reload()
    for tab, rate in ((one, 60), (other, 75)):
        tab.wait_exact(rate)
        assert saved(tab) == ["of one", "of the other"]
    complaints = [*one.complaints, *other.complaints]
    context.close()
    assert not complaints
