"""Walks for a tab: those that the server computes, in a file that is fetched once."""

import gzip
import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dppa_core.teaching.by_hand import grid
from dppa_core.teaching.by_hand.tiny_merge import STARTS
from dppa_core.teaching.by_hand.walk import explain

SLIDERS = Path(__file__).parents[2] / "assets/js/learn/hands_on/by_hand_numbers.js"
MOST_BYTES = 150_000


def unpacked(packed: bytes) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(gzip.decompress(packed))
    return whole


def walk_at(whole: dict[str, Any], row: int, column: int) -> dict[str, Any]:
    """A walk as the tab reads it."""
    settings = {"rate": whole["rates"][row], "factor": whole["factors"][column]}
    numbers = whole["steps"][row * len(whole["factors"]) + column]
    steps = [whole["parts"][number] for number in numbers]
    shared = {key: whole[key] for key in ("start", "unit", "weights", "shown")}
    return {**shared, "settings": {**whole["settings"], **settings}, "steps": steps}


@pytest.mark.parametrize("start", STARTS)
def test_a_walk_of_the_grid_is_that_of_the_server(
    start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "RATES", (0.55, 0.8))
    monkeypatch.setattr(grid, "FACTORS", (0.0, 2.5, 4.0))
    whole = unpacked(grid.work_out(start))
    for row, column in product(range(2), range(3)):
        request = {"start": start, "rate": whole["rates"][row], "factor": whole["factors"][column]}
        assert walk_at(whole, row, column) == json.loads(json.dumps(explain(request)))


@pytest.mark.long
@pytest.mark.parametrize("start", STARTS)
def test_the_grid_of_a_start_is_small_and_opens_as_the_lesson_does(start: str) -> None:
    packed = grid.work_out(start)
    whole = unpacked(packed)
    place = whole["rates"].index(0.8), whole["factors"].index(2.0)
    assert walk_at(whole, *place) == json.loads(json.dumps(grid.opening(start)))
    assert len(packed) <= MOST_BYTES and len(whole["steps"]) == 90


def test_every_step_of_the_sliders_is_on_the_grid() -> None:
    line = r'\["(rate|factor)", "[^"]+", ([\d.]+), ([\d.]+), ([\d.]+)'
    for name, *span in re.findall(line, SLIDERS.read_text(encoding="utf-8")):
        low, high, step = map(float, span)
        values = [round(low + n * step, 4) for n in range(round((high - low) / step) + 1)]
        assert values == list({"rate": grid.RATES, "factor": grid.FACTORS}[name])


def test_an_address_changes_with_what_the_library_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers keep a grid for good."""
    before = grid.grid_address("heavy")
    assert re.fullmatch(r"tab/by-hand-heavy\.gz\?[0-9a-f]{64}", before)
    assert before.partition("?")[0].removeprefix("tab/") in grid.FILES
    monkeypatch.setattr(grid, "opening", lambda start: {"steps": ["another"]})
    grid._version.cache_clear()
    assert grid.grid_address("heavy") != before
    grid._version.cache_clear()
