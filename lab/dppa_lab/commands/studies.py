"""The commands that measure sets beside each other: study, survey, forms, conflicts, encoders."""

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
from dppa_lab.commands.kept_output import OutOption, SearchItems, TestItems, emit_and_keep
from dppa_lab.zoo.study.merges import BUDGETS, METHODS, RATES, nested_merges, selected_merges

STUDY_KEYS = ("set", "own", "merges")
SURVEY_KEYS = ("set", "own", "shrunk", "places")
FORM_KEYS = ("set", "domain", "change", "forms")
CONFLICT_KEYS = ("set", "pair", "alone", "methods")
"""Keys that each record of a JSON file has."""


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
    nested: Annotated[
        bool,
        typer.Option(
            help="Only DPA and DPPA at 95 %, each by a usual search and by one of twice the "
            "settings; DPPA's begins at DPA's best."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure the merges of lab/docs/study-plan.md on some sets, and compare them over seeds.

    A set whose file is there is not measured again; what was asked before comes from the cache.
    """
    from dppa_lab.reports.study_tables import nested_table, study_tables  # noqa: PLC0415
    from dppa_lab.zoo.study.measured_set import measure_set  # noqa: PLC0415  (imports torch)
    from dppa_lab.zoo.study.nested_figures import nested_figures  # noqa: PLC0415

    selected = selected_merges(
        _rates(rates),
        _selected("--methods", methods, METHODS),
        _selected("--budgets", budgets, BUDGETS),
    )
    measure = partial(
        measure_set,
        every=nested_merges() if nested else selected,
        limit=limit,
        search_items=search_limit,
        say=teller(quiet=as_json),
    )
    sets = _measured(folders, out, measure, STUDY_KEYS)
    text = nested_table(nested_figures(sets)) if nested else study_tables(sets)
    emit({"sets": sets}, text, as_json=as_json)


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
    from dppa_lab.zoo.survey import surveyed_set  # noqa: PLC0415  (imports torch)
    from dppa_lab.zoo.survey.survey_figures import survey_figures  # noqa: PLC0415

    measure = partial(
        surveyed_set.survey_set,
        limit=limit,
        search_items=search_limit,
        searched_at=surveyed_set.SEARCHED_AT if search else (),
        scale=scale,
        say=teller(quiet=as_json),
    )
    suffix = "" if scale == 1 else f"-x{scale:g}"
    sets = _measured(folders, out, measure, SURVEY_KEYS, suffix)
    deltas = [delta for records in sets for delta in records]
    emit({"deltas": deltas}, survey_tables(survey_figures(deltas)), as_json=as_json)


def forms(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Sets that `dppa zoo train` made, or JSON files of measured ones."),
    ],
    out: Annotated[Path, typer.Option(help="A JSON file for each set goes here.")] = Path(
        "out/forms"
    ),
    limit: TestItems = None,
    search_limit: SearchItems = 60,
    as_json: JsonFlag = False,
) -> None:
    """Measure how well every form of each delta answers, tuned alike, by the delta's size.

    A set whose file is there is not measured again; what was asked before comes from the cache.
    """
    from dppa_lab.reports.form_tables import form_tables  # noqa: PLC0415
    from dppa_lab.zoo.forms.form_figures import form_figures  # noqa: PLC0415
    from dppa_lab.zoo.forms.measured_forms import measure_forms  # noqa: PLC0415  (imports torch)

    measure = partial(
        measure_forms, limit=limit, search_items=search_limit, say=teller(quiet=as_json)
    )
    sets = _measured(folders, out, measure, FORM_KEYS)
    deltas = [delta for records in sets for delta in records]
    emit({"deltas": deltas}, form_tables(form_figures(deltas)), as_json=as_json)


def conflicts(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Sets of manners that `dppa zoo train` made, or JSON files of measured ones."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A JSON file for each set goes here.")] = Path(
        "out/conflicts"
    ),
    limit: TestItems = None,
    search_limit: SearchItems = 12,
    as_json: JsonFlag = False,
) -> None:
    """Merge models of different manners by pairs, with a coefficient for each, by some methods.

    A set whose file is there is not measured again; what was asked before comes from the cache.
    """
    from dppa_lab.reports.conflict_tables import conflict_table  # noqa: PLC0415
    from dppa_lab.zoo.conflicts.conflict_figures import conflict_figures  # noqa: PLC0415
    from dppa_lab.zoo.conflicts.measured_conflicts import measure_conflicts  # noqa: PLC0415

    measure = partial(
        measure_conflicts, limit=limit, search_items=search_limit, say=teller(quiet=as_json)
    )
    pairs = [
        pair for records in _measured(folders, out, measure, CONFLICT_KEYS) for pair in records
    ]
    emit({"pairs": pairs}, conflict_table(conflict_figures(pairs)), as_json=as_json)


def encoders(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="BASE MODEL...",
            help="Folders of a masked language model and of fine-tunes of it.",
        ),
    ],
    text: Annotated[Path, typer.Option(help="Texts to compare vectors on, one a line.")],
    out: OutOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure what each form keeps of published encoders, and how far these disagree."""
    from dppa_lab.reports.form_tables import encoder_table  # noqa: PLC0415
    from dppa_lab.zoo.forms.encoder_figures import encoder_figures  # noqa: PLC0415
    from dppa_lab.zoo.forms.encoders import measure_encoders  # noqa: PLC0415  (imports torch)

    lines = text.read_text("utf-8").splitlines()
    texts = [line for line in lines if line.strip()]
    measured = measure_encoders(models[0], models[1:], texts, say=teller(quiet=as_json))
    emit_and_keep(measured, encoder_table(encoder_figures(measured)), out, as_json=as_json)


def _measured(
    folders: Sequence[Path],
    out: Path,
    measure: Callable[[Path], Any],
    keys: Sequence[str],
    suffix: str = "",
) -> list[Any]:
    """The content of the sets' JSON files, each of which is made if it is missing."""
    contents = []
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
            content = json.loads(file.read_text("utf-8"))
        except ValueError:
            content = None
        records = content if isinstance(content, list) else [content]
        if not all(isinstance(record, dict) and record.keys() >= set(keys) for record in records):
            raise InvalidValue(
                f"{file}: not the JSON of a measured set, with {', '.join(keys)}. A file of "
                "another command or an older version is the usual cause. Remove it, and measure "
                "again."
            )
        contents.append(content)
    return contents


def _selected(option: str, text: str, names: Sequence[str]) -> list[str]:
    selected = [name.strip() for name in text.split(",")]
    for name in selected:
        if name not in names:
            raise UnknownName(f"{option} {shown(name)}. {did_you_mean(name, names)}")
    return selected


def _rates(text: str) -> list[float]:
    rates = {f"{rate:g}": rate for rate in RATES}
    for word in text.split(","):
        if word.strip() not in rates:
            raise InvalidValue(f"--rates {shown(word)}: the study has {', '.join(rates)}.")
    return [rates[word.strip()] for word in text.split(",")]
