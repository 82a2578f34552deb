"""`dppa profile`: how far a domain model has moved from its base."""

from __future__ import annotations

from typing import Annotated

import typer

from dppa_core.cli.output import emit, progress_line
from dppa_core.cli.plan_text import profile_json, profile_text
from dppa_core.profiling.profile import cached_profile

BaseOption = Annotated[str, typer.Option(help="The base the model was fine-tuned from.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; every core if unset. The result is the same.")
]


def profile(
    model: Annotated[str, typer.Argument(help="The domain model.")],
    base: BaseOption = "zoo:base",
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far every module of a domain model has moved from its base."""
    with progress_line() as progress:
        found = cached_profile(base, model, workers=workers, progress=progress)
    emit(profile_json(found), profile_text(found), as_json=as_json)
