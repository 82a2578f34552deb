"""The command that compares all merge methods on one set of models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.options import JsonFlag, names_in
from dppa_core.cli.output import progress_line
from dppa_core.system.atomic_folders import check_file
from dppa_core.tuning.search.joint import JOINT_ITEMS
from dppa_lab.commands.kept_output import OutOption, SearchItems, emit_and_keep


def leaderboard(
    folder: Annotated[
        Path | None,
        typer.Option("--set", help="A set of `dppa zoo train`; the embedded models if unset."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Some methods, as ties,dare; DPPA is added. All if unset.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Test items per domain; all if unset.")
    ] = None,
    search_limit: SearchItems = JOINT_ITEMS,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--add-to",
            exists=True,
            dir_okay=False,
            help="A file of --out on the same models and items: its rows join in as they are.",
        ),
    ] = None,
    out: OutOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Merge three domain models by every method and rank them; measurements are cached."""
    from dppa_lab.reports.board_tables import board_tables  # noqa: PLC0415  (imports torch)
    from dppa_lab.reports.data import LabData  # noqa: PLC0415
    from dppa_lab.zoo.results.leaderboard import measure_board  # noqa: PLC0415
    from dppa_lab.zoo.trained_set import trained_set  # noqa: PLC0415

    names = names_in(methods, "--methods names no method. `dppa methods` lists them.")
    models = trained_set(folder) if folder is not None else None
    if out is not None:
        check_file(out)
    with progress_line() as progress:
        board = measure_board(
            names,
            models,
            test_items=limit,
            search_items=search_limit,
            earlier=LabData(earlier.parent).file(earlier.name) if earlier else None,
            progress=progress,
        )
    emit_and_keep(board, board_tables(board), out, as_json=as_json)
