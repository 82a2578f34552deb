"""Hand-written pages of the laboratory: their tables are generated, their numbers measured."""

import json
import re
from pathlib import Path

import pytest

from lab.scripts.measured import DATA, DOCUMENTS, FIGURES, ROOT, documents, with_tables
from lab.tests.helpers.stated_numbers import data_names, missing_numbers, written_numbers
from tests.helpers.documents import words

LAB = sorted((ROOT / "lab" / "docs").glob("*.md"))
PAGES = [page for page in LAB if data_names(page.read_text("utf-8"))]
LONGER = {"study-plan.md", "training.md", "reproduce.md"}
"""The plan with its amendments, and instructions: no reports of results."""
WRITTEN = documents(DATA, json.loads(FIGURES.read_text("utf-8")))


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_the_tables_of_a_page_are_those_of_the_data(page: Path) -> None:
    """`make -C lab measured` writes them."""
    assert page.read_text("utf-8") == WRITTEN[page]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_number_of_a_page_is_in_the_data_it_names(page: Path) -> None:
    text = page.read_text("utf-8")
    assert missing_numbers(text, lambda name: json.loads((page.parent / name).read_text())) == []


def test_every_report_by_hand_names_its_data_and_is_short() -> None:
    assert {page.name for page in LAB} - {page.name for page in PAGES} <= LONGER
    assert {page.name: words(page) for page in LAB if words_by_hand(page) > 600} == {}


def words_by_hand(page: Path) -> int:
    """The words of a page without its tables; none of one that may be longer."""
    text = re.sub(r"<!-- table.*?<!-- end -->", "", page.read_text("utf-8"), flags=re.DOTALL)
    return 0 if page.name in LONGER else len(text.split())


def test_a_lesson_says_truly_where_ties_keeps_more_than_dppa() -> None:
    lesson = (ROOT / "assets" / "lessons" / "06-conflict.md").read_text("utf-8")
    assert "On SmolLM2, a real model trained once, TIES kept more than DPPA, perhaps" in lesson
    figures = json.loads(FIGURES.read_text("utf-8"))
    real, toys = (figures[name] for name in ("leaderboard-smollm2", "leaderboard"))
    assert real["retention"]["ties"] > real["retention"]["dppa"]
    assert "ties" not in real["more than DPPA"] and "ties" in toys["less than DPPA"]


def test_the_readme_names_methods_that_keep_more_of_smollm2() -> None:
    """CABS is the one that prunes among those that keep more than whole deltas."""
    said = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert "On SmolLM2, trained once, none of this showed; RegMean and Iso-C kept more." in said
    assert "Of pruned merges only CABS, on SmolLM2, reliably beat whole deltas" in said
    toys, board = (
        json.loads(FIGURES.read_text("utf-8"))[name]
        for name in ("leaderboard", "leaderboard-smollm2")
    )
    whole = {"emr", "regmean", "iso_c", "iso_cts", "subspace_boosting", "cabs"}
    assert set(board["more than whole deltas"]) == whole and not toys["more than whole deltas"]
    assert {"regmean", "iso_c"} <= set(board["more than DPPA"])
    assert not {"magnitude", "owl"} & {*board["more than DPPA"], *board["less than DPPA"]}


PAGE = """Kept: 93.4 %, 1,600 items, place 4th (`0.08`), [see](x-12.md).

<!-- table: one -->
| 7.7 |
<!-- end -->

<!-- data: a.json b.json#part -->
"""


def test_numbers_are_read_from_words_alone_and_looked_up_at_their_precision() -> None:
    assert written_numbers(PAGE) == ["93.4", "1600", "4"]
    assert data_names(PAGE) == ["a.json", "b.json#part"]
    data = {"a.json": {"kept": 0.93441, "n": [1600]}, "b.json": {"part": -4, "other": 5}}
    assert missing_numbers(PAGE, data.__getitem__) == []
    assert missing_numbers(PAGE.replace("93.4", "93.5"), data.__getitem__) == ["93.5"]
    assert missing_numbers(PAGE.replace("4th", "5th"), data.__getitem__) == ["5"]


def test_a_table_replaces_the_one_in_its_block() -> None:
    assert "-->\n| new |\n<!-- end -->" in with_tables(PAGE, {"one": "| new |"})
    with pytest.raises(KeyError):
        with_tables(PAGE, {})
