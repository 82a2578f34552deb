"""Tests of how figures are written in tables and in sentences."""

import pytest

from dppa_core.charts.tables import Cell, percent, percent_text, signed_text

HALVES = [count / 800 for count in range(2, 801) if (100 * count / 800 * 10) % 1 == 0.5]
"""Shares of 800 questions that lie halfway between two tenths of a per cent."""


@pytest.mark.parametrize("sign", [1, -1])
def test_sentences_round_halves_as_stored_cells_do(sign: int) -> None:
    for share in HALVES:
        noisy = sign * (0.1 + share - 0.1)
        stored = Cell(float(f"{100 * noisy:.6g}"), 0.0, 0.0).text("points").split(" ")[0]
        text = signed_text(noisy, (0.0, 0.0)).split(" ")[0]
        assert text.lstrip("+") == stored.replace("−", "-")


def test_shares_round_halves_as_stored_cells_do() -> None:
    for share in HALVES:
        noisy = 0.1 + share - 0.1
        stored = f"{float(f'{100 * noisy:.6g}'):.1f}"
        assert percent(noisy, 1) == f"{stored} %"
        assert percent_text(noisy, (0.0, 1.0)).startswith(f"{stored} ")
