"""The tables of the leaderboard, and what they are made of."""

import json
import re
from pathlib import Path

import pytest

from dppa_core.tasks import DOMAINS, items
from dppa_lab.reports.board_tables import CHANCE, board_tables, boards, corrected
from lab.tests.helpers.boards import OWN_SHARES, board, row

WORSE, ALIKE = row("ties", 40, 40, 40), row("dare", 61, 60, 60)
BEST, OURS = row("emr", 80, 80, 80, moved=1.4), row("dppa", 60, 60, 60)


def test_the_tables_have_every_method_its_settings_and_what_was_refused() -> None:
    text = board_tables(board(ALIKE, OURS, WORSE, BEST))
    assert "| DPPA | 60.0 (50.2–69.1) |" in text and "| 75.0 (68.0–82.0) | 66.9 | – |" in text
    assert "**+25.0 (" in text, "a difference beyond chance stands out"
    assert "| DARE ~ | 61.0" in text, "it draws at random"
    assert "| EMR-Merging | coefficient 1.4 | 9, 3 | 0.50 | 0.25 | 75 % |" in text
    assert text.endswith("SLERP: takes two.")


def test_two_boards_stand_side_by_side() -> None:
    worst = row("emr", 50, 50, 50)
    lines = boards(board(BEST, OURS, WORSE), board(OURS, worst)).splitlines()
    assert lines[2].startswith("| EMR-Merging | 1 | 100.0 (") and "| 2 | 62.5 (" in lines[2]
    assert lines[4].endswith("| – | – | – | – |"), "the second board lacks a method"


def test_retention_is_corrected_for_the_questions_that_guessing_answers() -> None:
    """By hand: chance is 0, a sixth and a third; models answer 0.8; below chance is nothing."""
    (values,) = board(row("dppa", 40, 40, 20))["rows"]
    finance = (0.4 - 1 / 6) / (0.8 - 1 / 6)
    assert corrected(values, OWN_SHARES) == pytest.approx((0.5 + finance + 0) / 3)


def test_three_kinds_of_question_have_two_answers_and_half_of_them_is_chance() -> None:
    for domain in DOMAINS:
        answers: dict[str, set[str]] = {}
        for item in items(domain, "test"):
            answers.setdefault(item.task, set()).add(last_word(item.answer))
        two = [task for task, words in answers.items() if len(words) == 2]
        assert len(two) / len(answers) / 2 == pytest.approx(CHANCE[domain])


def last_word(answer: str) -> str:
    """What tells two answers of a kind apart: rose or fell, fair or unfair, (A) or (B)."""
    choice = re.match(r"Holding (\(.\))", answer)
    return choice[1] if choice else answer.rstrip(".").split()[-1]


def test_a_variant_stands_beside_its_method() -> None:
    again = row("dare", 70, 70, 70, other_tensors="keep")
    values = board(OURS, row("dare", 40, 40, 40), variants=(("embeddings whole", again),))
    (variant,) = values["variants"]
    assert variant["parameters"] == {"other_tensors": "keep"} and "against_dppa" not in variant
    assert variant["against_itself"]["significant"] is True
    assert variant["against_itself"]["mean"] == pytest.approx(0.375)
    assert "| DARE ~, embeddings whole | 87.5 (" in board_tables(values)


def test_json_has_every_figure_and_those_of_the_committed_file() -> None:
    values = json.loads(json.dumps(board(BEST, OURS)))
    best, ours = values["rows"]
    assert best["against_dppa"]["significant"] is True
    assert ours["domains"]["law"]["accuracy"] == 0.6
    assert best["strength"] == 1.4 and best["values"] == {"coefficient": 1.4}
    assert ours["factors"] == {domain: [1.0, 1.0] for domain in DOMAINS}
    assert ours["tried"] == {"losses": 9, "retentions": 3}
    shipped = json.loads((Path(__file__).parents[1] / "data" / "leaderboard.json").read_text())
    assert all(measured.keys() <= ours.keys() for measured in shipped["rows"])
