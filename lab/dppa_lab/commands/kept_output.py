"""Output of long commands, kept in a file too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.cli.output import emit, write_text

OutOption = Annotated[Path | None, typer.Option(help="Write what was measured here, as JSON.")]
TestItems = Annotated[int | None, typer.Option(min=1, help="Test items per domain.")]
SearchItems = Annotated[int, typer.Option(min=1, help="Search items per domain.")]


def emit_and_keep(values: Any, text: str, out: Path | None, *, as_json: bool) -> None:
    """Write the values as JSON, or the text for people; and the JSON to a file, if one is named."""
    try:
        emit(values, text, as_json=as_json)
    finally:  # long work: lost output must not lose the file
        if out is not None:
            write_text(out, json.dumps(values, indent=1) + "\n")
