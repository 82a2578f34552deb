"""Number boxes beside the sliders: the shown value is used."""

import pytest

from tests.e2e.page_driver import Studio


@pytest.mark.parametrize("leave", ["Enter", "Tab"])
@pytest.mark.parametrize(("typed", "counts"), [("150", 99), ("-5", 0), ("", 60), ("45", 45)])
def test_what_cannot_be_falls_back_to_what_counts(
    studio: Studio, typed: str, counts: int, leave: str
) -> None:
    studio.set_rate(60)
    box = studio.page.locator("#rate input[type=number]")
    box.fill(typed)
    box.press(leave)
    studio.wait_exact(counts)
    assert box.input_value() == str(counts)
    assert studio.rate.input_value() == str(counts)
    told = studio.page.locator("#sliders-box .field-note:visible").all_inner_texts()
    changed = [f"Pruning rate (%): 0 to 99. {typed} became {counts}."]
    assert told == (changed if typed in ("150", "-5") else [])


@pytest.mark.parametrize(("typed", "shown"), [("1.26", "1.26"), ("1.3", "1.3"), ("2", "2.0")])
def test_a_factor_is_shown_with_the_digits_that_count(
    studio: Studio, typed: str, shown: str
) -> None:
    box = studio.page.locator('[data-part="amplify"] input[type="number"]').first
    box.fill(typed)
    box.press("Tab")
    studio.page.wait_for_function("() => dppa.isCurrent()")
    assert box.input_value() == shown


@pytest.mark.long
def test_an_emptied_box_changes_nothing_while_it_is_empty(studio: Studio) -> None:
    studio.set_rate(60)
    studio.page.locator("#rate input[type=number]").fill("")
    studio.page.wait_for_timeout(300)
    assert studio.drawn("rate") == "60"


@pytest.mark.long
def test_everything_kept_is_said_of_changes(studio: Studio) -> None:
    studio.set_rate(0)
    studio.page.get_by_text("Every change of math is kept").first.wait_for()


@pytest.mark.long
def test_a_factor_with_many_digits_is_seen_whole(studio: Studio) -> None:
    box = studio.page.locator('[data-part="amplify"] input[type="number"]').first
    box.fill("1.1892")
    box.press("Tab")
    assert box.input_value() == "1.1892"
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
