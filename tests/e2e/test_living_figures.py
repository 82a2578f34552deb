"""Living figures from a plain server of files, in a frame of a page of another origin, and in the
documentation."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Frame, Page

from components.server.living import write_living
from components.work.studio import Studio
from scripts.living import FIGURES as OF_PAGES
from tests.e2e.server import ROOT
from tests.helpers.file_server import file_server

FIGURES = ("stage", "strip", "heatmap", "kept", "distribution", "answer", "by-hand")
SPEAKING = ("stage", "strip", "answer")
DRAWN, WORDS_MS = "[data-drawn]", 60_000
ANSWER = '[data-living="answer"][data-state="whole"][data-source="tab"]'


def write_page(site: Path) -> None:
    """A page of the documentation with all its figures, as scripts/site.py writes them."""
    (site / "scripts").mkdir()
    shutil.copy(ROOT / "docs" / "scripts" / "living.js", site / "scripts")
    figures = "".join(
        f'<figure class="living" data-figure="{escape(address)}"><img alt="{name}"></figure>'
        for name, address in OF_PAGES.items()
    )
    page = f'<!doctype html><title>Page</title>{figures}<script src="scripts/living.js"></script>'
    (site / "page.html").write_text(page)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of the figures, below a path; and of another server, whose page holds a frame."""
    root, other = tmp_path_factory.mktemp("figures"), tmp_path_factory.mktemp("other")
    studio = Studio(public=True)
    write_living(root / "below" / "living", studio)
    write_page(root / "below")
    studio.close()
    (other / "index.html").write_text("<!doctype html><title>An article</title>")
    with ExitStack() as servers:
        figures, article = (servers.enter_context(file_server(at)) for at in (root, other))
        yield f"{figures}/below/living/index.html", article


@dataclass
class Article:
    """A page of another origin that shows figures; what its browser complains about."""

    page: Page
    figures: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def show(self, words: str) -> Frame:
        """Put a figure into the only frame of the page, and wait until it is drawn."""
        self.requests.clear()
        script = """source => {
            document.body.innerHTML = `<iframe src="${source}" style="border: 0"></iframe>`;
            document.querySelector("iframe").width = "100%";
            document.body.style.margin = 0;
            window.onmessage = ({data}) => {
                document.querySelector("iframe").height = data.livingHeight;
            };
        }"""
        self.page.evaluate(script, f"{self.figures}#{words}".replace("&", "&amp;"))
        self.page.wait_for_selector("iframe")
        frame = self.page.query_selector("iframe").content_frame()
        frame.wait_for_selector(DRAWN)
        return frame

    def models(self) -> list[str]:
        """The packs of weights that were fetched for the figure."""
        return [url for url in self.requests if ".gz" in url and "by-hand" not in url]


@contextmanager
def article(browser: Browser, addresses: tuple[str, str], width: int) -> Iterator[Article]:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    found = Article(page, addresses[0])
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto(addresses[1])
    yield found
    context.close()


def move(frame: Frame, rate: float) -> None:
    frame.evaluate(
        """rate => {
            const range = document.querySelector("[data-control=rate] input");
            range.value = rate;
            range.dispatchEvent(new Event("input", {bubbles: true}));
        }""",
        rate,
    )


def drawing(frame: Frame) -> str:
    return str(frame.evaluate("document.querySelector('#figure').innerHTML"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_each_figure_is_drawn_untouched_and_moves_when_touched(
    browser: Browser, addresses: tuple[str, str], width: int, theme: str
) -> None:
    with article(browser, addresses, width) as shown:
        for name in FIGURES:
            frame = shown.show(f"figure={name}&theme={theme}&ground=transparent")
            before = drawing(frame)
            assert frame.evaluate("document.documentElement.scrollWidth") <= width, name
            assert frame.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
            if name in SPEAKING:
                text = frame.text_content('[data-living="answer"]')
                assert text == "12 + 5 = 17. The answer is 17.", "the opening answer came along"
            assert not shown.models(), "models are fetched at the first touch"
            move(frame, 90 if name != "by-hand" else 0.9)
            if name in SPEAKING:
                frame.wait_for_selector(ANSWER, timeout=WORDS_MS)
            frame.wait_for_function(
                "text => document.querySelector('#figure').innerHTML !== text", arg=before
            )
            assert bool(shown.models()) <= (name in SPEAKING), "plots alone need no model"
            homes = (addresses[0].rpartition("/")[0], addresses[1])
            assert [url for url in shown.requests if not url.startswith(homes)] == []
        assert not shown.complaints


@pytest.mark.long
def test_what_an_address_says_wrong_is_told_in_the_figure(
    browser: Browser, addresses: tuple[str, str]
) -> None:
    with article(browser, addresses, 390) as shown:
        frame = shown.show("figure=clock&rate=7&factors=1,x&<b>=3&q=<b>Who</b>%3F")
        told = [line.inner_text() for line in frame.query_selector_all(".figure-problem")]
        assert [text.split()[0] for text in told] == ["figure=clock", "rate=7", "factors=1,x", "A"]
        assert "rate is the share dropped, from 0 to 0.99" in told[1]
        assert frame.evaluate("document.body.dataset.figure") == "stage"
        assert frame.input_value(".figure-own") == "<b>Who</b>?"
        assert not frame.query_selector("b")
        assert not shown.complaints


@pytest.mark.long
def test_an_address_sets_the_figure(browser: Browser, addresses: tuple[str, str]) -> None:
    with article(browser, addresses, 390) as shown:
        frame = shown.show("figure=answer&rate=0.95&strength=0.01682&factors=1.189,3.668")
        outputs = [item.inner_text() for item in frame.query_selector_all(".figure-slider output")]
        assert [text.replace("\u202f", " ") for text in outputs[:3]] == ["95 %", "× 1.19", "× 3.67"]
        assert frame.text_content('[data-living="answer"]'), "its answers came along"
        frame = shown.show("figure=kept&model=law&method=magnitude")
        assert frame.text_content("h2") == "Every layer keeps 20\u202f%"


def test_the_policy_lets_a_figure_reach_no_other_site(
    browser: Browser, addresses: tuple[str, str]
) -> None:
    with article(browser, addresses, 390) as shown:
        frame = shown.show("figure=kept")
        reach = "address => fetch(address, {mode: 'no-cors'}).then(() => true, () => false)"
        assert frame.evaluate(reach, addresses[1]) is False
        assert frame.evaluate(reach, addresses[0]) is True


@pytest.mark.long
def test_a_changed_binary_is_refused_and_the_plots_still_move(
    browser: Browser, addresses: tuple[str, str]
) -> None:
    with article(browser, addresses, 390) as shown:
        shown.page.context.route("**/tab.wasm*", lambda route: route.fulfill(body=b"\0asm"))
        frame = shown.show("figure=stage")
        move(frame, 90)
        frame.wait_for_selector("text=This browser cannot run the models", timeout=WORDS_MS)
        move(frame, 50)
        frame.wait_for_selector("text=50.0\u202f% of each model's changes")


@pytest.mark.long
def test_steps_that_cannot_be_fetched_are_told_and_fetched_again_later(
    browser: Browser, addresses: tuple[str, str]
) -> None:
    with article(browser, addresses, 390) as shown:
        shown.page.context.route("**/by-hand-*", lambda route: route.abort())
        frame = shown.show("figure=by-hand")
        move(frame, 0.9)
        frame.wait_for_selector("text=The other steps could not be fetched")
        shown.page.context.unroute("**/by-hand-*")
        frame.wait_for_timeout(5_000)  # until then no move tries again
        move(frame, 0.95)
        frame.locator('.hand-steps [data-step="rate"]').click()
        frame.wait_for_selector("text=All four together still keep 5")
        assert not frame.is_visible(".problem")


@pytest.mark.long
def test_pages_of_the_documentation_have_figures_in_the_place_of_pictures(
    browser: Browser, addresses: tuple[str, str]
) -> None:
    with article(browser, addresses, 390) as shown:
        shown.page.goto(addresses[0].replace("living/index.html", "page.html"))
        assert not shown.page.locator("img").count()
        for theme in ("default", "slate"):
            shown.page.evaluate("theme => document.body.dataset.mdColorScheme = theme", theme)
            for name, address in OF_PAGES.items():
                place = shown.page.locator(f'iframe[title="{name}"]')
                place.scroll_into_view_if_needed()
                body = place.content_frame.locator(
                    f"body{'.dark' if theme == 'slate' else ':not(.dark)'}"
                )
                drawn = address.removeprefix("figure=").partition("&")[0]
                body.locator(f'[data-drawn="{drawn}"]').wait_for()
                shown.page.wait_for_function(
                    """title => {
                    const frame = document.querySelector(`iframe[title="${title}"]`);
                    return +frame.height === frame.contentDocument.documentElement.scrollHeight;
                }""",
                    arg=name,
                )
        assert not shown.complaints
