"""What is made of lab/data is up to date, and what the page's texts state is in the data."""

import pytest

from dppa_lab.reports.figures import figures
from dppa_lab.reports.page_file import page_file
from lab.scripts.measured import DATA, FIGURES, PAGE_FILE, json_text
from lab.tests.helpers.stated_numbers import missing_numbers


def test_the_page_file_is_what_the_data_make_of_it() -> None:
    """`make -C lab measured` writes it."""
    assert PAGE_FILE.read_text("utf-8") == json_text(page_file(DATA))


def test_every_number_of_the_page_texts_is_in_the_data() -> None:
    texts = DATA.file("page.yaml")
    page = texts["purposes"]
    sources = "\n<!-- data: figures.json#leaderboard figures.json#results results.json -->"
    assert missing_numbers(page + sources, DATA.file) == []


@pytest.mark.long
def test_the_figures_are_what_the_data_make_of_them() -> None:
    """`make -C lab measured` writes them."""
    assert FIGURES.read_text("utf-8") == json_text(figures(DATA))
