"""Make the experiments' page, its plots and the report in lab/data from a finished run.

python lab/scripts/experiments.py out/experiments     (make experiments)
python lab/scripts/experiments.py --add out/more      those run apart from the others, as well
python lab/scripts/experiments.py --page              only the overview, the page and its plots
python lab/scripts/experiments.py --set smollm2 out/experiments-smollm2     those of other models
python lab/scripts/experiments.py --add out/more smollm2                    and more of these
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS, DATA = ROOT / "lab" / "docs", ROOT / "lab" / "data"
ASSET = DATA / "experiments.json"


def with_more(report: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A report with the experiments of another, which say how and where they were made."""
    for name in ("setting", "versions"):
        if report[name] != more[name]:
            sys.exit(f"The runs differ in their {name}: {report[name]} and {more[name]}.")
    made = f"by `{more['command']}` on {more['machine']}"
    added = {one["key"]: {**one, "made": made} for one in more["experiments"]}
    kept = [added.pop(one["key"], one) for one in report["experiments"]]
    return {**report, "experiments": [*kept, *added.values()]}


def with_overview(report: dict[str, Any]) -> dict[str, Any]:
    """A report that begins with the overview of what `make results` and `make study` measured."""
    from dppa_core.charts.report import experiment_json  # noqa: PLC0415
    from dppa_lab.experiments.overview import KEY, overview  # noqa: PLC0415

    results = json.loads((DATA / "results.json").read_text("utf-8"))
    studies = [json.loads(file.read_text("utf-8")) for file in sorted(DATA.glob("study/*.json"))]
    climbed = json.loads((DATA / "search.json").read_text("utf-8"))
    others = [one for one in report["experiments"] if one["key"] != KEY]
    first = experiment_json(overview(results, studies, climbed))
    return {**report, "experiments": [first, *others]}


def write(report: dict[str, Any], file: Path = ASSET) -> None:
    """Replace a report."""
    text = json.dumps(report, allow_nan=False, indent=1, ensure_ascii=False)
    file.write_text(f"{text}\n", "utf-8")


def set_file(name: str) -> Path:
    """The report of the experiments on other models."""
    return DATA / f"experiments-{name}.json"


def write_set(name: str, report: dict[str, Any]) -> None:
    """Replace the report and the page of other models."""
    from dppa_core.charts.report import report_of  # noqa: PLC0415
    from dppa_lab.experiments.page.text import write_page  # noqa: PLC0415

    write(report, set_file(name))
    write_page(report_of(report), DOCS / name)


def main() -> None:
    """Write what the command line names."""
    sys.path.insert(0, str(ROOT))
    from dppa_core.charts.report import report_of  # noqa: PLC0415
    from dppa_lab.experiments.page.text import write_page  # noqa: PLC0415
    from dppa_lab.experiments.runner import RESULT  # noqa: PLC0415  (the path first)

    if sys.argv[1] == "--set":
        write_set(sys.argv[2], json.loads((Path(sys.argv[3]) / RESULT).read_text("utf-8")))
        return
    if sys.argv[1] == "--add":
        given = json.loads((Path(sys.argv[2]) / RESULT).read_text("utf-8"))
        if sys.argv[3:]:
            known = json.loads(set_file(sys.argv[3]).read_text("utf-8"))
            write_set(sys.argv[3], with_more(known, given))
            return
        write(with_more(json.loads(ASSET.read_text("utf-8")), given))
    elif sys.argv[1] != "--page":
        ASSET.write_text((Path(sys.argv[1]) / RESULT).read_text("utf-8"), "utf-8")
    write(with_overview(json.loads(ASSET.read_text("utf-8"))))
    write_page(report_of(json.loads(ASSET.read_text("utf-8"))), DOCS)


if __name__ == "__main__":
    main()
