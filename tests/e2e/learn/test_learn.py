"""Learn as a person uses it: every lesson in one visit, each question answered wrong and right."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.learn.test_glossary import left
from tests.e2e.lesson_sentences import hold_all
from tests.e2e.test_looks import AXE, HEADINGS, gaps
from tests.helpers.cases import FEW_CASES

WAIT_MS = 60_000


def wait_lesson(page: Page, name: str) -> None:
    """Wait for a lesson and all blocks that compute by themselves."""
    page.locator(f'[data-part="learn"][data-lesson="{name}"][data-lesson-state="done"]').wait_for()
    page.wait_for_function(
        "() => !document.querySelector('.block-box[data-state=loading]')", timeout=WAIT_MS
    )


def problems(page: Page) -> list[object]:
    """What is wrong with the lesson on the screen."""
    found = page.evaluate("() => axe.run('#learn', {resultTypes: ['violations']})")["violations"]
    serious = [
        (one["id"], [node["target"] for node in one["nodes"]][:5])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    wide = page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth")
    failed = page.locator('.block-box[data-state="failed"]').all_inner_texts()
    open_numbers = page.evaluate(
        "() => document.querySelectorAll('.figure:not([data-filled])').length"
    )
    skipped = [f"a level is missing above {text!r}" for text in gaps(page.evaluate(HEADINGS))]
    return [*serious, *skipped, *([f"{wide} px too wide"] if wide > 0 else []), *failed] + (
        [f"{open_numbers} numbers are not there"] if open_numbers else []
    )


def answer_all(page: Page) -> None:
    """Give every answer of every question, at last a wrong one, and read all replies."""
    said = page.evaluate(
        """() => [...document.querySelectorAll('.quiz')].map((quiz) => {
            const buttons = [...quiz.querySelectorAll('button.choice-button')];
            const give = (button) => {
                button.click();
                return [quiz.dataset.verdict, quiz.querySelector('.quiz-said').textContent];
            };
            const found = buttons.map((button) => [button, ...give(button)]);
            give(found.find(([, verdict]) => verdict === 'right')[0]);
            give(found.find(([, verdict]) => verdict === 'wrong')[0]);
            return found.map(([, ...told]) => told);
        })"""
    )
    for answers in said:
        assert [verdict for verdict, _ in answers].count("right") == 1 < len(answers)
        for verdict, text in answers:
            assert text.startswith("Right. " if verdict == "right" else "Not quite. ")
            assert len(text) > 30, text


def see_surface(page: Page) -> None:
    """The surface begun with its lesson is complete, and so is the descent."""
    page.evaluate("() => dppa.learn.go('coefficients')")
    wait_lesson(page, "coefficients")
    surface = page.locator('[data-block="entropy-surface"]')
    expect(surface).to_have_attribute("data-state", "done", timeout=WAIT_MS)
    assert not surface.locator("rect.guess").count()
    expect(surface.locator("output[for=surface-step]")).to_have_text("18 of 18")
    step = surface.get_by_role("slider", name="Step")
    step.press("Home")
    expect(surface.locator("output[for=surface-step]")).to_have_text("0 of 18")
    expect(surface.locator(".plot-title")).to_have_text(
        re.compile(r"^Step 0: math × 0\.3, law × 0\.3;")
    )


def see_pruning(page: Page) -> None:
    """Title and legend show the rate of the slider."""
    plot = page.locator(".learn-plot").first
    plot.get_by_role("slider", name="Pruning rate").press("End")
    expect(plot.locator(".plot-title")).to_have_text(re.compile(r"^At 98.% pruned, the largest"))
    largest = float(plot.locator(".learn-legend output").first.inner_text()[:-2])
    told = re.search(r"lose (\d+)", plot.locator(".plot-title").inner_text())
    assert told and abs(float(told[1]) - largest) <= 0.5


def saved(page: Page) -> str:
    """The person's actions, as the page has them."""
    if page.locator(".learn-fold").is_visible():
        page.locator(".learn-fold").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save what I did").click()
    return Path(download.value.path()).read_text(encoding="utf-8")


def see_lessons_alone(page: Page, url: str) -> None:
    """Open a class link without the workbench: nothing leads there."""
    page.goto(f"{url}/?learn=delta&class=delta.matrices", wait_until="commit")
    wait_lesson(page, "delta")
    listed = page.locator(".learn-list a[data-lesson]").evaluate_all(
        "all => all.map(one => one.dataset.lesson)"
    )
    assert listed == ["before", "delta", "matrices", "after", "glossary"]
    assert not page.locator(".for-class").count()
    expect(page.locator("#learn-open")).to_be_hidden()
    page.evaluate("() => dppa.learn.go('')")
    expect(page.locator("#work")).to_be_hidden()


@pytest.mark.long
@pytest.mark.parametrize(("width", "height", "theme"), [(1440, 900, "light"), (390, 844, "dark")])
def test_every_lesson_is_read_and_its_questions_answered(
    visit: Visit, width: int, height: int, theme: str
) -> None:
    studio = visit(width=width, height=height, theme=theme)
    page = studio.page
    loaded = "() => performance.getEntriesByType('resource').map(one => one.name)"
    assert not [one for one in page.evaluate(loaded) if "lessons.js" in one]  # nothing before
    page.locator("#learn-open").press("Enter")
    expect(page.locator("#work")).to_be_hidden()
    page.locator(".learn-list a[data-lesson]").first.wait_for(state="attached")
    names = page.locator(".learn-list a[data-lesson]").evaluate_all(
        "all => all.map(one => one.dataset.lesson).filter(name => !/^(before|after)$/.test(name))"
    )
    page.add_script_tag(path=str(AXE))
    for place, name in enumerate(names):
        if place:
            page.evaluate("name => dppa.learn.go(name)", name)
        wait_lesson(page, name)
        if name == "pruning":
            see_pruning(page)
        answer_all(page)
        if not FEW_CASES or place % 3 == 0:  # axe takes a second each
            assert not problems(page), (name, problems(page))
        if name != "glossary":
            assert not left(page.locator(".lesson")), name
    see_surface(page)
    hold_all(page)
    done = page.evaluate("() => Object.keys(JSON.parse(localStorage.getItem('dppa-learn')).done)")
    assert set(done) == {
        name for name in names if page.locator(f'a[data-lesson="{name}"] .sr').count()
    }
    report = saved(page)
    assert (
        report.count("<section>")
        == report.count("Right: ")
        == page.evaluate(
            "() => Object.keys(JSON.parse(localStorage.getItem('dppa-learn')).answers).length"
        )
    )
    assert "Tried first: " in report and "Not quite: " not in report
    page.go_back()
    wait_lesson(page, names[-1])
    page.locator("#learn-open").click()
    expect(page.locator("#work")).to_be_visible()
    assert "learn=" not in page.url
    see_lessons_alone(page, studio.url)
