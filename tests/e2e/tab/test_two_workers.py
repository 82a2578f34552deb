"""A second worker writes answers of unmerged models, where there is room for it."""

from playwright.sync_api import Page

from tests.e2e.tab.test_equal_to_library import different, is_tie, rendered
from tests.e2e.tab_memory import held_bytes
from tests.reference.tab_cases import BASE, ONE_SET, sample, wish_of

MEGABYTE, MOST, MOST_OF_PHONE = 1e6, 100, 75
ANSWERERS = (*ONE_SET, BASE, "dppa")
"""Models alone before the merge, as no part of the page asks."""


def five_answers(page: Page, number: int) -> list[list[int]]:
    """Of all answerers, each to a question of its sample; all are wished for at once."""
    wishes = [wish_of(who) | {"prompt": rendered(sample(who)[number])} for who in ANSWERERS]
    answers: list[list[int]] = page.evaluate("list => tab.together(list)", wishes)
    return answers


def test_two_workers_write_the_library_s_answers_within_100_megabytes(fresh_page: Page) -> None:
    assert five_answers(fresh_page, 0) == five_answers(fresh_page, 0)
    fresh_page.wait_for_function("() => tab.log.some(({ kind }) => kind === 'opened')")
    fives = [five_answers(fresh_page, number) for number in range(len(sample(BASE)))]
    for place, who in enumerate(ANSWERERS):
        wrong = different(who, sample(who), [five[place] for five in fives])
        assert not [case for case in wrong if not is_tie(who, *case)]
    held = held_bytes(fresh_page)
    assert len(held) == 2 and sum(held) <= MOST * MEGABYTE


def test_a_phone_has_one_worker_within_75_megabytes(phone_page: Page) -> None:
    assert five_answers(phone_page, 0) == five_answers(phone_page, 0)
    (held,) = held_bytes(phone_page)
    assert held <= MOST_OF_PHONE * MEGABYTE
