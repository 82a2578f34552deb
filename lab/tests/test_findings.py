"""The hand-written findings: short, of every experiment, and every number from its data."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dppa_core.charts.report import report_json, report_of
from dppa_lab.experiments.overview import KEY
from dppa_lab.experiments.paper.registry import EXPERIMENTS
from lab.scripts.experiments import DOCS, PICTURES, SETS, finished, with_more, written_findings

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
REPORTS: dict[str, dict[str, Any]] = {
    name: json.loads(file.read_text("utf-8")) for name, file in SETS.items()
}
RUNS = [(name, run) for name, report in REPORTS.items() for run in report["experiments"]]


def values(data: Any) -> Iterator[float | str]:
    """All numbers and texts in JSON data."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            yield from values(item)
    elif isinstance(data, float | int | str) and not isinstance(data, bool):
        yield data


def without_data(text: str, data: Any) -> list[str]:
    """The numbers of a text that do not occur in the data at their precision."""
    flat = list(values(data))
    spoken = {number for item in flat if isinstance(item, str) for number in NUMBER.findall(item)}
    return [
        number
        for number in NUMBER.findall(text)
        if number not in spoken
        and not any(
            f"{abs(item):.{len(number.partition('.')[2])}f}" == number
            for item in flat
            if not isinstance(item, str)
        )
    ]


def test_a_number_is_looked_up_at_its_precision() -> None:
    data = [{"value": -23.83, "note": "5 draws: 16.5–66.0"}, {"title": "pruned"}]
    assert without_data("By 23.8, of 5 draws 16.5 and 66.0, at 24", data) == []
    assert without_data("By 23.9 or 23.80 at 95", data) == ["23.9", "23.80", "95"]


@pytest.mark.parametrize(("name", "run"), RUNS, ids=[f"{name}-{run['key']}" for name, run in RUNS])
def test_a_finding_is_short_and_its_numbers_are_in_the_tables(
    name: str, run: dict[str, Any]
) -> None:
    texts = written_findings()[name][run["key"]]
    assert 0 < len(texts["finding"].split()) <= 60 and 0 < len(texts["short"].split()) <= 30
    data = [run["tables"], run["plots"], run["measured"]]
    assert not without_data(f"{texts['finding']} {texts['short']}", data)


@pytest.mark.parametrize("name", SETS)
def test_the_report_has_the_findings_as_they_are_written(name: str) -> None:
    """`python lab/scripts/experiments.py --page` writes them, and the overview anew."""
    assert finished(name, REPORTS[name]) == REPORTS[name]
    assert written_findings()[name].keys() == {run["key"] for run in REPORTS[name]["experiments"]}


def test_every_experiment_was_run_or_has_its_reason() -> None:
    runs = REPORTS["embedded"]["experiments"]
    assert [run["key"] for run in runs] == [KEY, *(experiment.key for experiment in EXPERIMENTS)]
    assert all(bool(run["not_run"]) != bool(run["tables"]) for run in runs)


def test_the_pages_show_the_plots_that_are_written() -> None:
    assert {file.name for file in (DOCS / "experiments").iterdir()} == set(PICTURES)
    pages = "".join(page.read_text("utf-8") for page in DOCS.glob("*.md"))
    assert all(f"](experiments/{name})" in pages for name in PICTURES)


def test_one_that_was_run_apart_replaces_the_old_one_and_says_how_it_was_made() -> None:
    report = report_of(REPORTS["embedded"])
    first, second = report_json(replace(report, experiments=report.experiments[:2]))["experiments"]
    same = {"setting": {"base": "zoo:base"}, "versions": {}}
    old, new = {"experiments": [first, second], **same}, {**second, "title": "anew"}
    more = {"command": "dppa reproduce x", "machine": "here", "experiments": [new], **same}
    merged = with_more(old, more)["experiments"]
    assert merged[0] == first and merged[1]["title"] == "anew"
    assert merged[1]["made"] == "by `dppa reproduce x` on here"
    with pytest.raises(SystemExit, match="differ in their setting"):
        with_more(old, {**more, "setting": {}})
