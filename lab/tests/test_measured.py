"""What is made of lab/data is up to date."""

import pytest

from lab.scripts.measured import DATA, ROOT, made

MADE = made(DATA)


@pytest.mark.parametrize("file", MADE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_file_is_what_the_data_make_of_it(file) -> None:
    """`make -C lab measured` writes it."""
    assert file.read_text("utf-8") == MADE[file]
