"""A set by its names on the Hub, all the way: checked, fetched, seen, scored, searched, explained,
taken away."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks import synthetic
from benchmarks.chain import prepared
from tests.e2e.page_driver import ANSWER_MS, Studio, new_context
from tests.e2e.panes.test_export import make, open_export
from tests.e2e.server import Server, with_hub
from tests.helpers.hub_server import HubServer

TINY = synthetic.Size(2, 64, 128, 32, 4, 1024)
SIZE = os.environ.get("DPPA_CHAIN", "")
"""S for 135 million parameters, B for 1.1 billion; tiny models without it."""
WAIT_MS = 90 * 60_000 if SIZE else 4 * ANSWER_MS


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Base, three domain models and their questions, in folders."""
    if not SIZE:
        monkeypatch.setitem(synthetic.SIZES, "S", TINY)
    return prepared(SIZE or "S", tmp_path)


@pytest.fixture
def studio(models: Path, tmp_path: Path, browser: Browser) -> Iterator[Studio]:
    """A visitor of an app whose Hub offers them, with an empty cache."""
    with ExitStack() as ending:
        hub = ending.enter_context(closing(HubServer()))
        for name in (synthetic.BASE, *synthetic.DOMAINS):
            hub.add(f"acme/{name}", models / name, card={"license": "apache-2.0"})
        settings = with_hub(hub.url, tmp_path) | {"DPPA_MEMORY": "6GB"}
        app = Server.start(tmp_path / "app.log", **settings)
        ending.callback(app.stop)
        studio = Studio.visit(new_context(browser), app.url)
        ending.callback(studio.page.context.close)
        yield studio
        assert not studio.complaints, studio.complaints


@pytest.mark.long
def test_a_set_goes_from_its_names_to_a_report(
    studio: Studio, models: Path, tmp_path: Path
) -> None:
    page = studio.page
    page.set_default_timeout(WAIT_MS)
    studio.use_models(", ".join(f"acme/{name}" for name in synthetic.DOMAINS), base="acme/base")
    card = page.locator("#offer section.offer")
    expect(card.locator(".found-head")).to_have_text("These can be merged.", timeout=WAIT_MS)
    card.get_by_role("button", name="and open").click()
    page.get_by_text("Base model: acme/base (Hub)").wait_for()
    studio.wait_exact()
    assert page.locator(".model-row").count() == 3

    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    page.locator("#questions-text textarea").fill((models / "math.jsonl").read_text("utf-8"))
    page.locator("#questions-run").click()
    expect(page.locator("#questions tr[data-key]")).to_have_count(7, timeout=WAIT_MS)

    studio.open_pane("search")
    page.locator("#search-own input").check()
    page.locator('#search-way input[value="optuna"]').check()
    studio.set_range(page.locator("#search-trials input[type=range]"), 6)
    page.locator("#search-run").click()
    page.locator('#search [data-search-state="done"]').wait_for(state="attached")
    assert page.locator("#search-plot g.trial").count() == 6

    studio.open_pane("see")
    page.locator('#views button[data-view="attribution"]').click()
    page.locator("#attribution-prompt textarea").fill("What is 2 plus 2?")
    page.locator("#attribution-answer").locator("textarea, input").fill("4")
    page.locator("#attribution-run").click()
    page.locator('#attribution [data-attribution-state="done"]').wait_for(state="attached")

    open_export(studio)
    report = make(studio, "report", tmp_path).read_text("utf-8")
    assert all(f"acme/{name}" in report for name in synthetic.DOMAINS)
