"""What is made of lab/data is up to date."""

import pytest

from dppa_lab.reports.figures import figures
from dppa_lab.reports.page_file import page_file
from lab.scripts.measured import DATA, FIGURES, PAGE_FILE, json_text


def test_the_page_file_is_what_the_data_make_of_it() -> None:
    """`make -C lab measured` writes it."""
    assert PAGE_FILE.read_text("utf-8") == json_text(page_file(DATA))


@pytest.mark.long
def test_the_figures_are_what_the_data_make_of_them() -> None:
    """`make -C lab measured` writes them."""
    assert FIGURES.read_text("utf-8") == json_text(figures(DATA))
