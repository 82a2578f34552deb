"""The commands that measure trained sets beside each other: study and survey."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit, teller, write_text
from dppa_core.errors import InvalidValue, UnknownName, did_you_mean, shown
from dppa_lab.zoo.study.merges import BUDGETS, METHODS, RATES

STUDY_KEYS = ("set", "own", "merges")
SURVEY_KEYS = ("set", "own", "shrunk", "places")
"""What each record of a JSON file has."""

TestItems = Annotated[int | None, typer.Option(min=1, help="Test items per domain.")]
SearchItems = Annotated[int, typer.Option(min=1, help="Search items per domain.")]


def study(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Sets that `dppa zoo train` made, or JSON files of measured ones."),
    ],
    out: Annotated[Path, typer.Option(help="A JSON file for each set goes here.")] = Path(
        "out/study"
    ),
    limit: TestItems = None,
    search_limit: SearchItems = 200,
    rates: Annotated[
        str, typer.Option(help="Pruning rates, as 0.8,0.9; controls belong to 0.9 and 0.95.")
    ] = "0.8,0.9,0.95",
    methods: Annotated[str, typer.Option(help="Merges; the last three are controls.")] = ",".join(
        METHODS
    ),
    budgets: Annotated[
        str, typer.Option(help="What a rate counts: all entries, those of modules, or both.")
    ] = ",".join(BUDGETS),
    as_json: JsonFlag = False,
) -> None:
    """Measure the merges of lab/docs/study-plan.md on some sets, and compare them over seeds.

    A set whose file is there is not measured again; what was asked before comes from the cache.
    """
    from dppa_lab.reports.study_tables import study_tables  # noqa: PLC0415
    from dppa_lab.zoo.study.measure import measure_set  # noqa: PLC0415  (imports torch)

    measure = partial(
        measure_set,
        limit=limit,
        search_items=search_limit,
        rates=_rates(rates),
        methods=_known("--methods", methods, METHODS),
        budgets=_known("--budgets", budgets, BUDGETS),
        say=teller(quiet=as_json),
    )
    found = _measured(folders, out, measure, STUDY_KEYS)
    emit({"sets": found}, study_tables(found), as_json=as_json)


def survey(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Sets that `dppa zoo train` made, `zoo` for the embedded models, or JSON files of "
            "measured ones."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A JSON file for each set goes here.")] = Path(
        "out/survey"
    ),
    limit: TestItems = None,
    search_limit: SearchItems = 200,
    search: Annotated[
        bool, typer.Option(help="Search each method's settings, too; this takes most of the time.")
    ] = True,
    scale: Annotated[
        float,
        typer.Option(
            min=0.01, max=4, help="Survey base + scale × delta, without a search if not 1."
        ),
    ] = 1.0,
    as_json: JsonFlag = False,
) -> None:
    """Prune every model of some sets alone, and find what foretells how much it keeps.

    A set whose file is there is not measured again; what was asked before comes from the cache.
    """
    from dppa_lab.reports.survey_tables import survey_tables  # noqa: PLC0415
    from dppa_lab.zoo.survey.figures import survey_figures  # noqa: PLC0415
    from dppa_lab.zoo.survey.measure import (  # noqa: PLC0415  (imports torch)
        SEARCHED_AT,
        survey_set,
    )

    say = teller(quiet=as_json)
    rates = SEARCHED_AT if search else ()
    measure = partial(
        survey_set,
        limit=limit,
        search_items=search_limit,
        searched_at=rates,
        scale=scale,
        say=say,
    )
    suffix = "" if scale == 1 else f"-x{scale:g}"
    found = [
        one for records in _measured(folders, out, measure, SURVEY_KEYS, suffix) for one in records
    ]
    emit({"deltas": found}, survey_tables(survey_figures(found)), as_json=as_json)


def _measured(
    folders: Sequence[Path],
    out: Path,
    measure: Callable[[Path], Any],
    keys: Sequence[str],
    suffix: str = "",
) -> list[Any]:
    """What is in the sets' JSON files, each of which is made if it is missing."""
    found = []
    files = {
        folder if folder.suffix == ".json" else out / f"{folder.name}{suffix}.json": folder
        for folder in folders
    }
    for file, folder in {file.name: (file, folder) for file, folder in files.items()}.values():
        if not file.is_file():
            measured = measure(folder)
            out.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(measured, indent=1) + "\n")
        try:
            known = json.loads(file.read_text("utf-8"))
        except ValueError:
            known = None
        records = known if isinstance(known, list) else [known]
        if not all(isinstance(one, dict) and one.keys() >= set(keys) for one in records):
            raise InvalidValue(
                f"{file}: not the JSON of a measured set, with {', '.join(keys)}. A file of "
                "another command or an older version is the usual cause. Remove it, and measure "
                "again."
            )
        found.append(known)
    return found


def _known(option: str, text: str, known: Sequence[str]) -> list[str]:
    names = [one.strip() for one in text.split(",")]
    for name in names:
        if name not in known:
            raise UnknownName(f"{option} {shown(name)}. {did_you_mean(name, known)}")
    return names


def _rates(text: str) -> list[float]:
    known = {f"{rate:g}": rate for rate in RATES}
    for one in text.split(","):
        if one.strip() not in known:
            raise InvalidValue(f"--rates {shown(one)}: the study has {', '.join(known)}.")
    return [known[one.strip()] for one in text.split(",")]
