"""Hub sets on the page: their size is shown first; then they are downloaded and opened."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from components.session.presets import first_session
from components.session.session import ModelChoice
from dppa_core.preflight_checks.fetchable_sets import fetchable_set
from tests.e2e.page_driver import Studio, new_context
from tests.e2e.server import Server, with_hub
from tests.helpers.hub_server import HubServer
from tests.helpers.links import link_of
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

PRESET = fetchable_set("smollm2-135m")
SCREENS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A local Hub, where two tiny models have the names and commits of a set."""
    server, root = HubServer(), tmp_path_factory.mktemp("hub-models")
    base = random_llama(0, Shape(layers=3))
    made = {"base": base, "tuned": tuned_llama(base, 1)}
    for model, (name, weights) in zip(PRESET.all, made.items(), strict=True):
        server.add(model.model, weights.save(root / name), card={"license": "apache-2.0"})
        server.models[model.model].commit = model.revision
    yield server
    server.close()


@pytest.fixture(scope="module")
def own(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on that Hub, with an empty cache."""
    root = tmp_path_factory.mktemp("own")
    running = Server.start(root / "app.log", **with_hub(hub.url, root))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def one_tab(own: Server, browser: Browser) -> Iterator[Studio]:
    """The tab of all visitors of that app."""
    studio = Studio.visit(new_context(browser), own.url)
    yield studio
    studio.page.context.close()


@pytest.fixture
def tab(one_tab: Studio) -> Iterator[Studio]:
    """A visitor of that app."""
    one_tab.become_new_visitor(1440, 900, "light", "")
    one_tab.wait_exact(80)
    yield one_tab
    assert not one_tab.complaints, one_tab.complaints


def choose(studio: Studio) -> Locator:
    """Choose the set; its card."""
    studio.page.locator("#preset-choice").select_option(PRESET.title)
    card = studio.page.locator("#offer section.offer")
    card.wait_for()
    return card


@pytest.mark.long
def test_a_set_says_what_it_takes_before_anybody_is_asked(tab: Studio, hub: HubServer) -> None:
    before, asked = tab.recipe, len(hub.requests)
    card = choose(tab)
    expect(card).to_contain_text("Needs a download: 538 MB of 2 models")
    expect(card).to_contain_text("Licence: apache-2.0.")
    expect(card).to_contain_text("Runs here:")
    assert len(hub.requests) == asked and tab.recipe == before
    assert tab.page.locator("#preset-choice").input_value() != PRESET.title
    card.get_by_role("button", name="Close").click()
    card.wait_for(state="hidden")


@pytest.mark.long
def test_checking_lists_findings_and_fetches_no_weight(tab: Studio, hub: HubServer) -> None:
    sent = hub.sent["model.safetensors"]
    card = choose(tab)
    card.get_by_role("button", name="Check before fetching").click()
    expect(card.locator(".found-head")).to_have_text("These can be merged.")
    assert hub.sent["model.safetensors"] - sent < 20_000


@pytest.mark.long
def test_what_stands_in_the_way_stops_the_fetch(tab: Studio, hub: HubServer) -> None:
    gated = hub.models[PRESET.models[0].model]
    gated.gated = True
    try:
        card = choose(tab)
        card.get_by_role("button", name="Fetch 538 MB and open").click()
        blocker = card.locator('li[data-severity="blocker"]').first
        expect(blocker).to_contain_text("terms accepted")
        expect(card.locator(".found-head")).to_contain_text("cannot be merged")
        assert tab.page.get_by_text("Base model: base (embedded)").count() == 1
    finally:
        gated.gated = False


@pytest.mark.long
def test_a_set_is_fetched_and_opened(tab: Studio, hub: HubServer) -> None:
    card = choose(tab)
    card.get_by_role("button", name="Fetch 538 MB and open").click()
    tab.page.get_by_text("Base model: SmolLM2-135M (Hub)").wait_for()
    card.wait_for(state="hidden")
    tab.wait_exact(80)
    assert {layer for layer, _ in tab.cells()} == {0, 1, 2}
    assert tab.page.locator(".model-row").count() == 1
    assert tab.page.locator("#preset-choice").input_value() == PRESET.title
    tab.set_rate(60)
    assert float(tab.exact("kept")) == pytest.approx(40, abs=0.5)
    expect(choose(tab)).to_contain_text("On this disk: all 2 models.")


@pytest.mark.long
def test_typed_models_are_looked_up_fetched_and_used(tab: Studio, hub: HubServer) -> None:
    base, tuned = (hub.models[model.model].folder for model in PRESET.all)
    for name, folder in (("base", base), ("math", tuned), ("law", tuned)):
        hub.add(f"acme/{name}", folder, card={"license": "mit"})
    tab.use_models("acme/math", base="acme/base")
    card = tab.page.locator("#offer section.offer")
    expect(card.get_by_role("heading")).to_have_text("2 models")
    expect(card.locator(".found-head")).to_have_text("These can be merged.")
    expect(card).to_contain_text("Licence: mit.")
    card.get_by_role("button", name=re.compile("^Fetch .* and open$")).click()
    tab.page.get_by_text("Base model: acme/base (Hub)").wait_for()
    card.wait_for(state="hidden")
    assert tab.page.locator(".model-row").count() == 1
    before = hub.sent["model.safetensors"]
    tab.use_models("acme/law")
    fetch = card.get_by_role("button", name=re.compile("^Fetch .* and add$"))
    fetch.wait_for()
    assert hub.sent["model.safetensors"] - before < 20_000
    fetch.click()
    tab.page.locator('.model-row[data-model^="hub:acme/law@"]').wait_for()
    assert tab.page.locator(".model-row").count() == 2


@pytest.mark.long
def test_a_link_to_models_of_the_hub_waits_for_a_click(one_tab: Studio, hub: HubServer) -> None:
    base, model = (f"hub:{one.model}" for one in PRESET.all)
    sent = replace(first_session(), base=base, models=(ModelChoice(model),))
    before = len(hub.requests)
    one_tab.become_new_visitor(1440, 900, "light", link_of(sent))
    line = one_tab.page.locator(".tune-line")
    expect(line).to_contain_text(PRESET.base.model)
    one_tab.page.wait_for_timeout(500)
    assert len(hub.requests) == before
    line.get_by_role("button", name="Open the link").click()
    expect(line).not_to_contain_text(PRESET.base.model)
    one_tab.page.get_by_text("not on this computer yet").first.wait_for()
    assert len(hub.requests) > before


@pytest.mark.long
def test_a_link_to_a_real_preset_opens_the_workbench(one_tab: Studio, hub: HubServer) -> None:
    one_tab.become_new_visitor(1440, 900, "light", "")
    choose(one_tab).get_by_role("button", name="Fetch 538 MB and open").click()
    one_tab.page.get_by_text("Base model: SmolLM2-135M (Hub)").wait_for()
    base, model = (f"hub:{one.model}" for one in PRESET.all)
    sent = replace(first_session(), base=base, models=(ModelChoice(model),))
    one_tab.opens = "stage"
    try:
        one_tab.become_new_visitor(1440, 900, "light", "")
        assert one_tab.page.evaluate("document.body.dataset.page") == "stage"
        one_tab.become_new_visitor(1440, 900, "light", link_of(sent))
        one_tab.page.get_by_role("button", name="Open the link").click()
        one_tab.page.locator('body[data-page="workbench"] .model-row').first.wait_for()
        expect(one_tab.page.locator("#preset-choice")).to_be_visible()
        expect(one_tab.page.locator(".model-row")).to_have_count(1)
    finally:
        one_tab.opens = "workbench"


@pytest.mark.long
@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_the_card_fits_every_screen(
    one_tab: Studio, hub: HubServer, width: int, theme: str
) -> None:
    one_tab.become_new_visitor(width, 900, theme, "")
    one_tab.wait_exact(80)
    card = choose(one_tab)
    card.get_by_role("button", name="Check before fetching").click()
    card.locator(".found-head").wait_for()
    overflow = one_tab.page.evaluate(
        "() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0
    assert not one_tab.complaints


def folder_that_does_not_fit(path: Path) -> str:
    """A model of another width."""
    return str(random_llama(0, Shape(hidden=64)).save(path / "wide"))


@pytest.mark.long
def test_a_model_that_does_not_fit_is_not_added_and_the_list_says_why(
    studio: Studio, tmp_path: Path
) -> None:
    studio.wait_exact(80)
    studio.use_models(folder_that_does_not_fit(tmp_path))
    blockers = studio.page.locator('#findings li[data-severity="blocker"]')
    expect(blockers.first).to_contain_text("wide:")
    expect(studio.page.locator("#findings .found-head")).to_contain_text("Not added")
    assert studio.page.locator(".model-row").count() == 3


@pytest.mark.long
def test_a_public_page_shows_the_sets_out_of_reach(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("public") / "app.log"
    running = Server.start(log, SPACE_ID="acme/studio", DPPA_WARM="0")
    try:
        studio = Studio.visit(new_context(browser), running.url)
        options = studio.page.locator("#preset-choice option[data-hub]")
        assert options.count() > 0
        assert all(options.nth(i).is_disabled() for i in range(options.count()))
        label = studio.page.locator("#preset-choice optgroup").last.get_attribute("label")
        assert label and "in your own copy" in label
        studio.page.context.close()
    finally:
        running.stop()
