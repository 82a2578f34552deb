"""The format of a report, its page and its plots."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.charts.plots import Axis, Chart, Heatmap, Series
from dppa_core.charts.report import (
    Experiment,
    ExperimentsReport,
    Findings,
    report_json,
    report_of,
)
from dppa_core.charts.svg import ticks
from dppa_core.charts.tables import Cell
from dppa_lab.experiments.report_page import page, pictures_of, write_page
from dppa_lab.experiments.score_table import (
    row,
    table,
)
from dppa_lab.experiments.setting import embedded

LINES = Chart(
    "lines",
    "Less is <less>",
    Axis("pruned", "%"),
    Axis("accuracy", "%"),
    (
        Series("DP", (0.0, 90.0), (80.0, None), (70.0, None), (90.0, None)),
        Series("DARE", (0.0, 90.0), (80.0, 20.0)),
    ),
)
BARS = replace(LINES, kind="bars", series=(Series("DP", ("math", "law"), (5.0, -5.0)),))
POINTS = replace(LINES, kind="scatter", series=(Series("DP", (1.0,), (2.0,), labels=("math",)),))
MAP = Heatmap(
    "Where", Axis("rate", "%"), Axis("strength"), Axis("gain", "points"),
    ("80", "90"), ("0", "0.08"), ((0.0, None), (-3.0, 2.0)), middle=0.0,
)  # fmt: skip


def report(*more: Cell) -> ExperimentsReport:
    rows = [
        row("math", Cell(81.25, 77.1, 84.84, 200), recipe="dppa: 1\n"),
        row("law", Cell(None, note="not asked")),
        row("finance", Cell(-3.5, -6.5, -1.0)),
        *(row("more", cell) for cell in more),
    ]
    plots = (LINES, BARS, POINTS, MAP)
    sums = table("Sums", ["domain", "kept|%"], rows)
    findings = Findings((sums,), plots, "It is so.", ("TIES: refused",))
    first = Experiment("doubles", "1", "Doubles", "How much?", "By hand.", findings)
    second = Experiment("sizes", "6b", "Sizes", "Larger?", "By size.", None, "no such models")
    setting, experiments = embedded().to_json(), (first, second)
    return ExperimentsReport("dppa reproduce", "a machine", {"torch": "2"}, setting, experiments)


def test_a_report_is_read_back_as_it_was_written() -> None:
    text = json.dumps(report_json(report()), allow_nan=False)
    assert report_of(json.loads(text)) == report()
    with pytest.raises(ValueError, match="format is 2"):
        report_of({"format": 2})


def test_what_equal_figures_leave_of_each_other_is_nothing() -> None:
    values = report_json(report(Cell(0.3 - 0.1 - 0.2, 1.00004, 1 / 3)))
    cell = values["experiments"][0]["tables"][0]["rows"][-1]["cells"][1]
    assert (cell["value"], cell["low"], cell["high"]) == (0.0, 1.0, 0.33333)


def test_the_page_has_numbers_with_intervals_and_what_was_not_run() -> None:
    text = page(report())
    assert "| math | 81.2 (77.1–84.8) |" in text and "| law | – (not asked) |" in text
    assert "| finance | −3.5 (−6.5 to −1.0) |" in text
    assert "**Not run**: no such models" in text and "**Left out.** TIES: refused" in text
    assert "![Less is <less>](experiments/doubles-1.svg)" in text


def test_every_plot_is_xml_with_its_marks(tmp_path: Path) -> None:
    stale = tmp_path / "experiments" / "gone-1.svg"
    stale.parent.mkdir()
    stale.write_text("")
    write_page(report(), tmp_path)
    assert not stale.exists()
    pictures = pictures_of(report())
    for name, text in pictures.items():
        assert (tmp_path / "experiments" / name).read_text() == text
    lines, bars, points, heatmap = map(ElementTree.fromstring, pictures.values())
    tag = "{http://www.w3.org/2000/svg}"
    assert lines.findtext(f"{tag}title") == "Less is <less>"
    # A circle in the legend and one at 0; none for a point without a number.
    assert len(lines.findall(f".//{tag}circle")) == 2
    assert len(bars.findall(f".//{tag}rect[@class='bar']")) == 1 + 2
    assert points.findtext(f".//{tag}g/{tag}title") == "math"
    assert len(heatmap.findall(f".//{tag}rect[@class='empty']")) == 1
    assert "-3" in [text.text for text in heatmap.iter(f"{tag}text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 100, (0, 20, 40, 60, 80, 100)), (-3, 2, (-3, -2, -1, 0, 1, 2)), (5, 5, (5, 5.2))],
)
def test_ticks_are_round_and_hold_everything(
    low: float, high: float, expected: tuple[float, ...]
) -> None:
    assert ticks(low, high)[: len(expected)] == expected
    assert ticks(low, high)[0] <= low and ticks(low, high)[-1] >= high
