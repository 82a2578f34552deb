"""The command that shows how far two models are apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import JsonFlag, WorkersOption
from dppa_core.cli.output import emit, progress_line
from dppa_core.evaluation.diff.model_diff import ModelDiff, TensorDistance, diff_models

_MAX_NAME_CHARACTERS = 33
_PREFIX = re.compile(r"^.*?(?=layers?\.\d|h\.\d|blocks?\.\d)|^(model|transformer)\.")


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A model.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another of the same base.")],
    base: Annotated[
        str | None, typer.Option(help="Their base: compares the two deltas as well.")
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far two models are apart, module by module."""
    with progress_line() as progress:
        distances = diff_models(first, second, base, workers=workers, progress=progress)
    emit(asdict(distances), diff_text(distances), as_json=as_json)


def diff_text(diff: ModelDiff) -> str:
    """One line a module and other tensor, then the totals; 80 columns at most."""
    head = ["tensor", "changed", "‖d‖/‖A‖", "cosine"]
    lines = [f"A {diff.first}", f"B {diff.second}", "d = B - A"]
    if diff.base is not None:
        head += ["cos of Δ", "signs"]
        lines.append(f"Δ = A and B less {diff.base}; signs: share in which both Δ agree")
    lines += diff.notes
    named = (*diff.modules, *diff.others)
    rows = [_row(item, len(head)) for item in (*named, *diff.totals)]
    text = text_table(head, rows).splitlines()
    rule = "-" * max(map(len, text))
    return "\n".join([*lines, *text[: -len(diff.totals)], rule, *text[-len(diff.totals) :]])


def _row(item: TensorDistance, columns: int) -> Sequence[str]:
    cells = [
        _short(item.name),
        f"{item.changed:.2%}",
        _number(item.relative, ".4g"),
        _number(item.cosine, ".5f"),
        _number(item.delta_cosine, ".4f"),
        _number(item.sign_agreement, ".1%"),
    ]
    return cells[:columns]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _short(name: str) -> str:
    name = _PREFIX.sub("", name).removesuffix(".weight")
    if len(name) <= _MAX_NAME_CHARACTERS:
        return name
    half = _MAX_NAME_CHARACTERS // 2
    return f"{name[:half]}…{name[-half:]}"
