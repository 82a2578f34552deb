"""The page in docs/ and its plots match the shipped result."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.charts.report import report_json, report_of
from dppa_lab.experiments.overview import KEY
from dppa_lab.experiments.page.text import OTHERS, PAGE, PLOTS, page, pictures_of
from dppa_lab.experiments.paper.registry import EXPERIMENTS
from lab.scripts.experiments import with_more, with_overview

LAB = Path(__file__).resolve().parents[1]
REPORT = report_of(json.loads((LAB / "data" / "experiments.json").read_text("utf-8")))


def test_the_page_and_its_plots_are_made_of_the_shipped_result() -> None:
    """`python lab/scripts/experiments.py --page` makes them so."""
    assert (LAB / "docs" / PAGE).read_text("utf-8") == page(REPORT)
    shipped = {path.name: path.read_text("utf-8") for path in (LAB / "docs" / PLOTS).iterdir()}
    assert shipped == dict(pictures_of(REPORT))


def test_what_was_not_run_is_marked() -> None:
    assert OTHERS in page(REPORT)
    of_ones_own = replace(REPORT, setting={**REPORT.setting, "base": "models/base"})
    assert OTHERS not in page(of_ones_own)


def test_every_experiment_is_on_the_page_run_or_with_its_reason() -> None:
    assert [one.key for one in REPORT.experiments] == [KEY, *(one.key for one in EXPERIMENTS)]
    assert all(one.findings is None or one.findings.finding for one in REPORT.experiments)
    assert all(bool(one.not_run) == (one.findings is None) for one in REPORT.experiments)


def test_the_overview_is_that_of_the_measured_results() -> None:
    """`make results` writes both."""
    written = json.loads((LAB / "data" / "experiments.json").read_text("utf-8"))
    assert with_overview(written) == written


def test_one_that_was_run_apart_replaces_the_old_one_and_says_how_it_was_made() -> None:
    first, second = report_json(REPORT)["experiments"][:2]
    same = {"setting": {"base": "zoo:base"}, "versions": {}}
    report, other = {"experiments": [first, second], **same}, {**second, "title": "anew"}
    more = {"command": "dppa reproduce x", "machine": "here", "experiments": [other], **same}
    found = with_more(report, more)["experiments"]
    assert found[0] == first and found[1]["title"] == "anew"
    with pytest.raises(SystemExit, match="differ in their setting"):
        with_more(report, {**more, "setting": {}})
    apart = replace(REPORT.experiments[1], made=found[1]["made"])
    line = page(replace(REPORT, experiments=(apart,))).rstrip().rpartition("\n")[2]
    assert line.endswith("; run apart, by `dppa reproduce x` on here.")
