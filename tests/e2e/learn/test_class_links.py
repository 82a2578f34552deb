"""What a class link hides stays as it is, whatever is clicked."""

import pytest
from playwright.sync_api import Page, expect

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.session import Session
from components.session.state import state_of
from dppa_core.recipes.yaml_text import dump_recipe
from tests.e2e.conftest import Visit
from tests.e2e.learn.test_learn import wait_lesson
from tests.e2e.page_driver import Studio
from tests.e2e.tuning import DOWN, session_of, wait_recipe, wait_rest
from tests.helpers.links import link_of

START = first_session()
TIES = Session(
    models=START.models,
    rate=0.7,
    method=MethodChoice("ties", (("density", 0.3),), prune_first=True),
    overrides=((DOWN, 0.25),),
)
DROP = """(box, text) => {
    const files = new DataTransfer();
    files.items.add(new File([text], 'recipe.yaml'));
    for (const name of ['dragover', 'drop'])
        box.dispatchEvent(new DragEvent(name, { dataTransfer: files, bubbles: true }));
}"""


def class_link(page: Page) -> str:
    """What *Copy link* gives for some lessons and a small workbench."""
    page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text } }"
    )
    inside = page.locator(".for-class")
    inside.locator("> summary").click()
    inside.get_by_text("Which lessons").click()
    for label in ("Pruning a delta", "Break it"):
        inside.get_by_label(label, exact=True).uncheck()
    expect(inside.locator("[data-preview]")).to_contain_text("On the workbench: Pruning rate, ")
    page.get_by_role("button", name="Copy link").click()
    copied = "Link copied. It works on this computer alone."
    expect(inside.get_by_role("status")).to_have_text(copied)
    return str(page.evaluate("() => window.copied"))


def see_class(page: Page, link: str) -> None:
    """Open a class link: it shows what was chosen, speaks of nothing else, and Undo is there."""
    page.goto(link, wait_until="commit")
    wait_lesson(page, "delta")
    listed = page.locator(".learn-list a[data-lesson]").evaluate_all(
        "all => all.map(one => one.dataset.lesson)"
    )
    assert not {"pruning", "break-it"} & set(listed) and {"by-hand", "glossary"} < set(listed)
    page.locator("#learn-open").click()
    for visible in ("#rate", "#amplify", "#undo", "#chat-pane"):
        expect(page.locator(visible)).to_be_visible()
    rate = '#plots[data-rate="70"], #plots [data-rate="70"]'  # as it was set
    page.locator(rate).first.wait_for(state="attached")
    for hidden in ("#method", ".shown-merges", '#panes button[data-pane="score"]', "#preset-box"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator(".verdict-box summary")).to_contain_text("Not scored yet")
    words = page.locator("body").inner_text()
    for hidden in ("Score", "Export", "Experiments", "Answer settings", "Preset", "Method"):
        assert hidden not in words, hidden


def opened(visit: Visit, hidden: str) -> Studio:
    studio = visit(link=f"{link_of(TIES)}&class=delta.workbench&hide={hidden}")
    wait_recipe(studio, TIES)
    return studio


@pytest.mark.long
def test_a_small_workbench_shows_what_its_preview_says(visit: Visit) -> None:
    studio = visit()
    studio.set_rate(70)  # the link is to bring it along
    studio.page.evaluate("() => dppa.learn.go('delta')")
    wait_lesson(studio.page, "delta")
    see_class(studio.page, class_link(studio.page))


@pytest.mark.long
def test_nothing_sets_a_whole_merge_where_a_setting_is_hidden(visit: Visit) -> None:
    studio = opened(visit, "method")
    page = studio.page
    expect(page.locator("#rate")).to_be_visible()
    expect(page.locator("#undo")).to_be_visible()
    for leads in (".shown-merges", "#preset-box", "#reset", "#slot-B", "#keep"):
        expect(page.locator(leads)).to_be_hidden()
    page.evaluate("state => window.dppa.goTo(state)", state_of(START))
    page.evaluate("() => window.dppa.showSlot('B')")
    page.locator("#models-box").evaluate(DROP, dump_recipe(START.recipe()))
    page.locator('#views button[data-view="experiments"]').click()
    page.locator("#experiments .result-more summary").click()
    setter = page.locator("#experiments .result-table tbody button").first
    expect(setter).to_be_disabled()
    expect(setter).to_have_attribute("title", "This link keeps the settings as they are.")
    expect(page.locator("#experiments .result-plots [role=button]")).to_have_count(0)
    wait_rest(studio)
    assert session_of(studio) == TIES
    page.locator('#views button[data-view="modules"]').click()
    studio.set_rate(60)
    wait_rest(studio)
    page.locator("#undo").click()
    wait_recipe(studio, TIES)


@pytest.mark.long
def test_no_other_control_changes_a_hidden_one(visit: Visit) -> None:
    studio = opened(visit, "rate.own-rate.experiments")
    page = studio.page
    studio.unfold("advanced", "#partitions")
    expect(page.locator("#levels-editor")).to_be_visible()
    for leads in ("#levels", "#own-clear", '[data-leads="experiments"]'):
        expect(page.locator(leads)).to_be_hidden()


@pytest.mark.long
def test_no_key_undoes_or_redoes_where_undo_is_hidden(visit: Visit) -> None:
    studio = opened(visit, "history")
    page = studio.page
    for leads in ("#undo", ".shown-merges", "#preset-box"):
        expect(page.locator(leads)).to_be_hidden()
    studio.set_rate(60)
    wait_rest(studio)
    page.wait_for_function("() => dppa.history().back !== null")
    before = session_of(studio)
    for key in ("Control+z", "Control+Shift+z", "Control+y"):
        page.evaluate("() => document.activeElement.blur()")
        page.keyboard.press(key)
        wait_rest(studio)
        assert session_of(studio) == before


def test_a_link_that_hides_no_setting_leaves_every_way_to_one(visit: Visit) -> None:
    studio = opened(visit, "chat")
    for leads in (".shown-merges", "#preset-box"):
        expect(studio.page.locator(leads)).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("link", ["class=delta", "class=delta&learn="])
def test_a_class_link_of_lessons_alone_opens_the_first_without_being_told(
    visit: Visit, link: str
) -> None:
    studio = visit()
    page: Page = studio.page
    page.goto(f"{studio.url}/?{link}", wait_until="commit")
    wait_lesson(page, "delta")
    expect(page.locator("#learn-open")).to_be_hidden()
    page.goto(f"{studio.url}/?class=", wait_until="commit")
    studio.wait_drawn()
    expect(page.locator("#learn-open")).to_have_text("Learn")


@pytest.mark.long
@pytest.mark.parametrize("link", ["class=nonsense", "learn=nonsense"])
def test_a_link_that_names_nothing_known_says_so(visit: Visit, link: str) -> None:
    studio = visit()
    studio.page.goto(f"{studio.url}/?{link}", wait_until="commit")
    wait_lesson(studio.page, "delta")
    expect(studio.page.locator(".lesson .problem")).to_contain_text("names no lesson")
    if "learn" in link:  # the way back is named after what is there
        expect(studio.page.locator("#learn-open")).to_have_text("Stage")
