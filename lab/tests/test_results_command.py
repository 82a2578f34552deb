"""The report of the embedded models, as a command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import dppa_lab.zoo.results.scores as report_module
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.scores import (
    MethodScores,
    ScoredMerge,
    SearchedMerge,
    ZooReport,
    entry,
)
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Stands in for the measuring; keeps what it was asked."""
    asked: list[dict[str, object]] = []

    def measure(*, say: Callable[[str], None], **options: object) -> ZooReport:
        asked.append(options)
        say("base: measured")
        hits = {domain: (True, False) for domain in DOMAINS}

        def merge(method: str, *domains: str) -> SearchedMerge:
            made = entry(method, 0.9, domains or DOMAINS).recipes()
            one = ScoredMerge(next(iter(made.values())), {d: hits[d] for d in domains or DOMAINS})
            return SearchedMerge(one, ChosenValues({}, 0, 0, {}), one)

        rows = tuple(
            MethodScores(name, 0.9, {d: merge(name, d) for d in DOMAINS}, merge(name))
            for name in ("magnitude", "dppa")
        )
        models = dict.fromkeys(("base", *DOMAINS), hits)
        return ZooReport(models, merge("task_arithmetic"), rows, None, 200)

    monkeypatch.setattr(report_module, "measure", measure)
    return asked


def test_the_report_is_text_for_people_and_json_in_a_file(
    dppa: Command, measured: list[dict[str, object]], tmp_path: Path
) -> None:
    assert dppa("zoo", "report", "--limit", 5, "--out", tmp_path / "results.json") == 0
    assert "| dppa |" in dppa.out.lower() and dppa.err == "base: measured\n"
    written = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert written["search_items"] == 200 and len(written["merges"]) == 3
    assert measured == [{"limit": 5, "search_limit": 200, "workers": 2}]
    assert dppa("zoo", "report", "--json") == 0
    assert dppa.json == written and not dppa.err


def test_a_report_that_cannot_be_written_is_not_measured(
    dppa: Command, measured: list[dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    for name, message in {
        "nowhere/results.json": "there is no folder",
        "file/results.json": "a part of its path is a file",
        ".": "it is a folder",
        "n" * 300: "the name is too long",
    }.items():
        assert dppa("zoo", "report", "--out", tmp_path / name) == 1
        assert message in dppa.err and dppa.err.count("\n") == 1
    assert not measured and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_meanwhile_costs_the_file_not_the_text(
    dppa: Command, measured: list[dict[str, object]]
) -> None:
    assert dppa("zoo", "report", "--out", "/dev/full") == 1
    assert "/dev/full: cannot be written: the disk is full" in dppa.err and "math" in dppa.out
