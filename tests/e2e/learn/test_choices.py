"""Numbers in a lesson's text belong to the matrix that is chosen above them."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.learn.test_learn import wait_lesson
from tests.e2e.lesson_sentences import asked
from tests.e2e.page_driver import ANSWER_MS

OTHER = "layers.2.mlp.up_proj"
FEW = "layers.4.mlp.up_proj"
"""Its corner has opposite signs in fewer than half of the entries."""


def opened(visit: Visit, name: str) -> Page:
    page = visit().page
    page.evaluate("name => dppa.learn.go(name)", name)
    wait_lesson(page, name)
    return page


@pytest.mark.long
def test_the_first_entry_in_lesson_1_is_of_the_chosen_matrix_and_model(visit: Visit) -> None:
    page = opened(visit, "delta")
    block = page.locator('[data-block="delta-excerpt"]')
    block.get_by_label("Model").select_option("zoo:law")
    block.get_by_label("Matrix").select_option(OTHER)
    figures = asked(page, "delta-excerpt", model="zoo:law", module=OTHER)["figures"]
    expect(page.locator(".lesson")).to_contain_text(
        f"The first entry of this corner was {figures['first_base']} in the base. Training on law "
        f"made it {figures['first_finetuned']}, so its delta is {figures['first_delta']}."
    )


@pytest.mark.long
def test_the_election_in_lesson_6_is_counted_in_the_chosen_matrix(visit: Visit) -> None:
    page = opened(visit, "conflict")
    before = asked(page, "sign-election")["figures"]["opposed"]
    modules = asked(page, "sign-election")["modules"]
    counts = {
        one: asked(page, "sign-election", module=one)["figures"]["opposed"] for one in modules
    }
    other = next(one for one in modules if counts[one] != before)
    page.locator('[data-block="sign-election"]').get_by_label("Matrix").select_option(other)
    expect(page.locator(".lesson")).to_contain_text(f"Signs differ in {counts[other]} of its 36")


@pytest.mark.long
def test_lesson_6_calls_no_count_of_signs_more_than_half_and_lists_who_agrees(
    visit: Visit,
) -> None:
    page = opened(visit, "conflict")
    block = page.locator('[data-block="sign-election"]')
    block.get_by_label("Matrix").select_option(FEW)
    expect(page.locator(".lesson")).to_contain_text("Signs differ in 17 of its 36 entries.")
    expect(page.locator(".lesson")).not_to_contain_text("more than the half")
    deltas = asked(page, "sign-election", module=FEW)["deltas"]
    row, column = next(
        (r, c)
        for r in range(6)
        for c in range(6)
        if len({delta[r][c] > 0 for delta in deltas}) == 1
    )
    block.locator("table").first.locator("tr").nth(row).locator("td").nth(column).click()
    expect(block.locator(".how")).to_contain_text("math, finance and law agree:")


@pytest.mark.long
@pytest.mark.parametrize(
    ("lesson", "name", "label", "choice"),
    [
        ("pruning", "output-error", "Matrix", OTHER),
        ("coefficients", "entropy-surface", "Up", "zoo:law"),
    ],
)
def test_what_stands_there_is_dimmed_while_another_choice_is_awaited(
    visit: Visit, lesson: str, name: str, label: str, choice: str
) -> None:
    page = opened(visit, lesson)
    block = page.locator(f'[data-block="{name}"]')
    title, awaits = block.locator(".plot-title").first, block.locator(".awaits")
    expect(title).to_have_css("opacity", "1")
    expect(awaits).to_be_hidden()
    height = block.bounding_box()
    page.route("**/gradio_api/**", lambda route: None)
    block.get_by_label(label).select_option(choice)
    expect(block).to_have_attribute("data-awaits", "true")
    expect(awaits).to_contain_text("what you chose")
    expect(block.locator(".plot").first).to_have_css("opacity", "0.3")
    expect(block.locator(".plot-bar")).to_have_css("opacity", "1")
    assert block.bounding_box() == height
    page.unroute("**/gradio_api/**")  # sends what was held
    expect(block).to_have_attribute("data-awaits", "false", timeout=ANSWER_MS)
    expect(block.locator(".plot").first).to_have_css("opacity", "1")
    expect(awaits).to_be_hidden()


@pytest.mark.long
def test_two_choices_at_once_count_both(visit: Visit) -> None:
    page = opened(visit, "delta")
    block = page.locator('[data-block="delta-excerpt"]')
    block.evaluate(
        """(block, values) => [...block.querySelectorAll('select')].forEach((select, i) => {
            select.value = values[i];
            select.dispatchEvent(new Event('change', { bubbles: true }));
        })""",
        ["zoo:finance", OTHER],
    )
    expect(block.locator(".how")).to_contain_text(f"of the matrix {OTHER}.")
    expect(block).to_contain_text("Wₜ: finance")
