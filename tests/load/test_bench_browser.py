"""The benchmark of words in the tab without a browser: its rows, limits and requests."""

from dataclasses import asdict, replace

import pytest

from benchmarks.browser.report import Row, Spread, text
from benchmarks.load.phases import WAITING

SINGLE = Row("single moves", "ms", Spread(45.2, 79.4, 90), Spread(91, 140, 90), 50, 100)
SPEED = Row("tokens a second", "", Spread(1500), Spread(900), least=1200)


def of_rows(*rows: Row) -> str:
    return text({"machine": "a machine", "rows": [asdict(row) for row in rows]})


def test_the_tab_stands_beside_the_server_and_its_limit() -> None:
    assert of_rows(SINGLE, SPEED).splitlines() == [
        "| figure, median / 95 % | in the tab | by the server | at most |",
        "| --- | --- | --- | --- |",
        "| single moves | 45.2 / 79.4 ms | 91 / 140 ms | 50 / 100 |",
        "| tokens a second | 1,500 | 900 | ≥ 1,200 |",
        "",
        "a machine.",
    ]


@pytest.mark.parametrize(
    "missed",
    [
        replace(SINGLE, tab=Spread(50.1, 79)),
        replace(SINGLE, tab=Spread(45, 100.1)),
        replace(SPEED, tab=Spread(1199)),
    ],
)
def test_only_a_miss_of_the_tab_is_marked(missed: Row) -> None:
    assert f"| {missed.name} | ✗ " in of_rows(missed)
    assert "✗" not in of_rows(
        replace(SINGLE, server=Spread(999, 999)), replace(SINGLE, server=None)
    )


def test_a_spread_takes_the_nearest_rank_and_nothing_is_no_figure() -> None:
    assert Spread.over([*range(100), 1000]) == Spread(50, 95, 101)
    with pytest.raises(SystemExit, match="no answer"):
        Spread.over([])


def test_the_queue_is_read_from_the_metrics_of_the_server() -> None:
    metrics = "# TYPE dppa_queue_waiting gauge\ndppa_queue_waiting 3.0\ndppa_models 4.0\n"
    assert WAITING.findall(metrics) == ["3.0"]
