"""Make the reports of the experiments in lab/data, and the plots that lab/docs shows.

python lab/scripts/experiments.py out/experiments                        a finished run
python lab/scripts/experiments.py --set smollm2 out/experiments-smollm2  one of other models
python lab/scripts/experiments.py --add out/more [smollm2]               more experiments of a set
python lab/scripts/experiments.py --page                                 measures nothing anew

Questions and findings are written by hand, in lab/data/findings.yaml. Then
`python -m lab.scripts.measured` puts the reports into the page's file and the documents.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "lab")]  # run as a script, from wherever

from dppa_core.charts.report import experiment_json, report_of  # noqa: E402
from dppa_lab.experiments.overview import KEY, overview  # noqa: E402
from dppa_lab.experiments.report_page import PLOTS, pictures_of  # noqa: E402
from dppa_lab.experiments.runner import RESULT  # noqa: E402

DOCS, DATA = ROOT / "lab" / "docs", ROOT / "lab" / "data"
SETS = {
    "embedded": DATA / "experiments.json",
    "smollm2": DATA / "experiments-smollm2.json",
}
"""Set of models -> the file of its report."""
PICTURES = ("overview-1.svg", "overview-2.svg", "overview-3.svg", "ablation-1.svg")
"""The plots of the embedded models that pages of lab/docs show."""
Texts = Mapping[str, Mapping[str, str]]
"""Experiment -> question, finding, short."""


def written_findings() -> dict[str, Texts]:
    """Set of models -> the texts of its experiments."""
    texts: dict[str, Texts] = yaml.safe_load((DATA / "findings.yaml").read_text("utf-8"))
    return texts


def with_more(report: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A report with the experiments of another, which say how and where they were made."""
    for name in ("setting", "versions"):
        if report[name] != more[name]:
            sys.exit(f"The runs differ in their {name}: {report[name]} and {more[name]}.")
    source = f"by `{more['command']}` on {more['machine']}"
    added = {run["key"]: {**run, "made": source} for run in more["experiments"]}
    kept = [added.pop(run["key"], run) for run in report["experiments"]]
    return {**report, "experiments": [*kept, *added.values()]}


def with_overview(report: dict[str, Any]) -> dict[str, Any]:
    """A report that begins with the overview of lab/data/results.json and lab/data/study."""
    results = _read(DATA / "results.json")
    studies = [_read(file) for file in sorted((DATA / "study").glob("*.json"))]
    runs = [run for run in report["experiments"] if run["key"] != KEY]
    return {**report, "experiments": [experiment_json(overview(results, studies)), *runs]}


def with_findings(report: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """A report with the hand-written texts of all experiments that were run."""
    runs = [run if run["not_run"] else run | texts[run["key"]] for run in report["experiments"]]
    return {**report, "experiments": runs}


def finished(name: str, report: dict[str, Any]) -> dict[str, Any]:
    """The report of a set with its overview and its texts."""
    whole = with_overview(report) if name == "embedded" else report
    return with_findings(whole, written_findings()[name])


def write(name: str, report: dict[str, Any]) -> None:
    """Replace the report of a set, and the plots of it that lab/docs shows."""
    report = finished(name, report)
    text = json.dumps(report, allow_nan=False, indent=1, ensure_ascii=False)
    SETS[name].write_text(f"{text}\n", "utf-8")
    if name == "embedded":
        pictures = pictures_of(report_of(report))
        for picture in PICTURES:
            (DOCS / PLOTS / picture).write_text(pictures[picture], "utf-8")


def main(arguments: list[str]) -> None:
    """Write what the command line names."""
    option, *names = arguments
    if option == "--page":
        for name, file in SETS.items():
            write(name, _read(file))
    elif option == "--add":
        name = names[1] if names[1:] else "embedded"
        write(name, with_more(_read(SETS[name]), _read(Path(names[0]) / RESULT)))
    elif option == "--set":
        write(names[0], _read(Path(names[1]) / RESULT))
    else:
        write("embedded", _read(Path(option) / RESULT))


def _read(file: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
