"""Every glossary term in workbench and lessons links to its explanation."""

import re

import pytest
from playwright.sync_api import Locator

from components.session.shipped import glossary
from tests.e2e.page_driver import Studio

PLAIN = {"exact", "input", "speed", "length", "loss"}
"""Words that mostly mean what they mean everywhere."""
BOXES = ("models-box", "method-box", "sliders-box", "advanced")
SENTENCES = """box => {
    const left = 'button, summary, select, table, svg, textarea, code, label:not([for]), ' +
        '.meaning, h1, h2, h3, legend, #card, #transcript, #examples, #attribution-examples, ' +
        '.wrap label, .lesson-about, .eyebrow, .sources, .lesson-end, .quiz, .learn-plot';
    const found = [], walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const place = walk.currentNode.parentElement;
        const seen = place.closest('.term') || !place.closest(left);
        if (seen && place.checkVisibility()) found.push(walk.currentNode.data);
    }
    return found.join('\\u2060');
}"""


def unfold_all(studio: Studio) -> None:
    for fold in ("advanced", "advice-box", "answer-settings"):
        studio.page.locator(f"#{fold} button").first.click()
    studio.page.locator("#method summary").click()
    studio.page.locator("#strength").wait_for()


def unlinked(box: Locator) -> set[str]:
    """The terms that occur in a box without a link to their explanation."""
    text = box.evaluate(SENTENCES).replace("\u2060", "")
    linked = set(box.locator(".term").evaluate_all("all => all.map(one => one.dataset.term)"))
    return {
        term
        for term in glossary().keys() - PLAIN - linked
        if re.search(rf"(?<![\w-]){re.escape(term)}(s|es)?(?![\w-])", text)
    }


def left(box: Locator) -> set[str]:
    """As `unlinked`, once the page is idle: links come after drawing."""
    for _ in range(25):
        found = unlinked(box)
        if not found:
            break
        box.page.wait_for_timeout(200)
    return found


@pytest.mark.long
def test_every_term_leads_to_its_meaning(studio: Studio) -> None:
    page = studio.page
    unfold_all(studio)
    found: dict[str, set[str]] = {}
    for view in ("sparsity", "compare", "attribution", "experiments", "modules"):
        page.locator(f'#views button[data-view="{view}"]').click()
        found[view] = left(page.locator("#see-column"))
    for pane in ("score", "search", "export", "chat"):
        studio.open_pane(pane)
        if pane == "score":
            studio.unfold("perplexity-box", "#perplexity-text")
        found[pane] = left(page.locator(f"#{pane}-pane"))
    for box in BOXES:
        found[box] = left(page.locator(f"#{box}"))
    assert not {where: terms for where, terms in found.items() if terms}
    term = page.locator('#rate .term[data-term="pruning rate"]')
    page.mouse.move(0, 0)
    term.dispatch_event("click")  # as a tap does, which points at nothing; in a label at that
    assert page.locator(".meaning:popover-open").inner_text() == glossary()["pruning rate"]
    page.keyboard.press("Escape")
    assert not page.locator(".meaning:popover-open").count()
    studio.set_rate(70)
    assert page.locator("#rate").get_by_text("At 70 % the strongest 30 % stay, more").count()
    assert page.locator("#exact .term").first.is_visible()
