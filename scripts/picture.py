"""Take pictures of every view of the page, in both themes and at both widths: `make picture`.

They go to out/pictures; those that docs/pictures has, which the documentation shows, are renewed.

    python scripts/picture.py [STEP …]      some of them, as chat drill living; all if none is named

Starts the app as a person does, and fills each view as one would: a question, a comparison, an
attribution, a score, a search. Closed views compute nothing, so the order is that of the page.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from components.server.living import write_living  # noqa: E402
from components.work.studio import Studio as Shared  # noqa: E402
from dppa_core.checkpoints.sources.fetchable import FETCHABLE  # noqa: E402
from scripts.living import FIGURES  # noqa: E402
from tests.e2e.chromium import HELP, find_chromium  # noqa: E402
from tests.e2e.page_driver import ANSWER_MS, ARGUMENTS, Studio, new_context  # noqa: E402
from tests.e2e.server import Server  # noqa: E402
from tests.helpers.file_server import file_server  # noqa: E402

SIZES = ((1440, 900), (390, 844))
THEMES = ("light", "dark")
FOLDER = ROOT / "out" / "pictures"
LIVING, FIGURE_WIDTH = "living", 860
DOCS_PICTURES = ROOT / "docs" / "pictures"


def stage(studio: Studio) -> None:
    """What the page opens with."""
    studio.page.locator("#page-open").click()
    studio.page.locator("#strip .station").first.wait_for()
    _attached(studio.page, '#pinned-text[data-state="whole"]')
    _top(studio)


def chat(studio: Studio, others: Sequence[str] = ("zoo:base",)) -> None:
    """The first question, answered by all models."""
    if studio.page.evaluate("document.body.dataset.page") == "stage":
        studio.page.locator("#page-open").click()
    studio.open_pane("chat")
    studio.page.locator('#examples button.example[data-domain="math"]').first.click()
    studio.page.wait_for_function("() => document.querySelector('#prompt textarea').value")
    studio.page.locator("#send").click()
    studio.wait_answer("merged")
    for name in others:
        studio.wait_answer(name)
    _top(studio)


def score(studio: Studio) -> None:
    """Every model on twenty questions a domain."""
    studio.open_pane("score")
    studio.page.locator("#score-run").click()
    _attached(studio.page, '[data-score-state="done"]')
    _top(studio)


def search(studio: Studio) -> None:
    """A grid of rate and factor."""
    studio.open_pane("search")
    page = studio.page
    studio.set_range(page.locator("#search-limit input[type=range]"), 16)
    page.locator('#search-way input[value="grid"]').check()
    page.locator("#search-run").click()
    _attached(page, '#search [data-search-state="done"]')
    _top(studio)


def export(studio: Studio) -> None:
    """The export pane."""
    studio.open_pane("export")
    studio.page.wait_for_timeout(1000)  # sizes arrive a moment later


def drill(studio: Studio) -> None:
    """Open the strongest matrix."""
    studio.open_pane("see")
    studio.page.locator('#heatmap g.cell[data-layer="5"]').last.click()
    rows = studio.page.locator("#drill-place .drill-list li").first
    rows.wait_for()
    rows.scroll_into_view_if_needed()


def sparsity(studio: Studio) -> None:
    """Open the sparsity view."""
    _view(studio, "sparsity")
    studio.page.wait_for_timeout(1000)  # dtype losses are counted once the page is idle


def distance(studio: Studio) -> None:
    """The merge and the model of math."""
    _view(studio, "compare")
    studio.page.locator("#compare-second").select_option("zoo:math")
    studio.page.locator("#compare-run").click()
    _attached(studio.page, '#compare [data-compare-state="done"]')


def spectrum(studio: Studio) -> None:
    """In how many directions math moved, and which of them finance shares."""
    _view(studio, "spectrum")
    studio.page.locator("#spectrum-run").click()
    _attached(studio.page, '#spectrum [data-spectrum-state="done"]')


def attribution(studio: Studio) -> None:
    """Which matrix a question of math needs."""
    _view(studio, "attribution")
    studio.page.locator('#attribution-examples button[data-domain="math"]').click()
    studio.page.locator('#attribution-by input[value="module"]').check()
    studio.page.locator("#attribution-run").click()
    _attached(studio.page, '#attribution [data-attribution-state="done"]')
    studio.page.locator("#attribution .said").scroll_into_view_if_needed()


def experiments(studio: Studio) -> None:
    """The paper's first experiment, as it came out here."""
    _view(studio, "experiments")
    _attached(studio.page, "#experiments [data-shown], #experiments[data-shown]")
    studio.page.locator("#experiments-view").scroll_into_view_if_needed()


def real_model(studio: Studio) -> None:
    """SmolLM2's domain models: thirty layers, and a question in plain English."""
    studio.page.locator("#preset-choice").select_option("SmolLM2 135M: math + finance + law")
    studio.page.locator('#heatmap g.cell[data-layer="29"]').first.wait_for(timeout=ANSWER_MS)
    studio.wait_models()
    chat(studio, ())


def lesson(studio: Studio) -> None:
    """How pruning by significance works."""
    _learn(studio, "significance")


def hands(studio: Studio) -> None:
    """One small matrix through a whole merge."""
    _learn(studio, "by-hand")


STEPS: tuple[Callable[[Studio], None], ...] = (
    *(stage, chat, score, search, export),
    *(
        drill,
        sparsity,
        distance,
        spectrum,
        attribution,
        experiments,
    ),  # beside the export, which stays open
    *(lesson, hands, real_model),
)


def _top(studio: Studio) -> None:
    """Scroll to the first screen; on a phone keep the requested part in view."""
    studio.page.evaluate("() => { if (window.innerWidth > 900) window.scrollTo(0, 0); }")


def _view(studio: Studio, name: str) -> None:
    studio.open_pane("see")
    studio.page.locator(f'#views button[data-view="{name}"]').click()


def _learn(studio: Studio, name: str) -> None:
    """A lesson from its top, all of its blocks drawn."""
    studio.page.goto(f"{studio.page.url.split('?')[0]}?__theme={_theme(studio)}&learn={name}")
    _attached(studio.page, f'[data-part="learn"][data-lesson="{name}"][data-lesson-state="done"]')
    studio.page.wait_for_function(
        "() => !document.querySelector('.block-box[data-state=loading]')", timeout=ANSWER_MS
    )


def _theme(studio: Studio) -> str:
    return "dark" if "__theme=dark" in studio.page.url else "light"


def _attached(page: Page, selector: str) -> None:
    page.locator(selector).first.wait_for(state="attached", timeout=ANSWER_MS)


def pictures(browser: Browser, url: str, names: Sequence[str]) -> Iterator[Path]:
    """Take those named, or all; a real model only where it was fetched. KeyError: no such step."""
    by_name = {step.__name__: step for step in STEPS}
    steps = [by_name[name] for name in names or by_name]
    if not FETCHABLE["smollm2"].is_fetched:
        steps = [step for step in steps if step is not real_model]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        for theme in THEMES:
            context = new_context(browser, width, height)
            studio = Studio.visit(context, url, theme)
            studio.wait_models()
            for step in steps:
                step(studio)
                studio.page.evaluate("() => document.activeElement.blur()")
                path = FOLDER / f"{step.__name__}-{width}-{theme}.png"
                studio.page.screenshot(path=path)
                if (DOCS_PICTURES / path.name).exists():
                    shutil.copy(path, DOCS_PICTURES)
                yield path
            context.close()


def figure_pictures(browser: Browser) -> Iterator[Path]:
    """Take the living figures of the documentation, as they are before a touch."""
    studio = Shared(public=True)
    with TemporaryDirectory() as folder:
        write_living(Path(folder), studio)
        studio.close()
        with file_server(Path(folder)) as address:
            page = browser.new_page(viewport={"width": FIGURE_WIDTH, "height": 400})
            for (name, words), theme in product(FIGURES.items(), THEMES):
                page.goto("about:blank")
                page.goto(f"{address}/index.html#{words}&theme={theme}")
                _attached(page, "[data-drawn]")
                path = DOCS_PICTURES / f"living-{name}-{theme}.png"
                page.screenshot(path=path, full_page=True)
                yield path


def main() -> None:
    """Write out/pictures, and renew docs/pictures."""
    program = find_chromium()
    if program is None:
        sys.exit(HELP)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        server = Server.start(Path(folder) / "app.log")
        try:
            names = [name for name in sys.argv[1:] if name != LIVING]
            if names or not sys.argv[1:]:
                for path in pictures(browser, server.url, names):
                    sys.stdout.write(f"{path.relative_to(ROOT)}\n")
            if LIVING in sys.argv or not sys.argv[1:]:
                for path in figure_pictures(browser):
                    sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        finally:
            server.stop()
            browser.close()


if __name__ == "__main__":
    main()
