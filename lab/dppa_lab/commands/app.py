"""The commands that the laboratory adds to `dppa`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from dppa_lab.commands.leaderboard import leaderboard
from dppa_lab.commands.reproduce import reproduce
from dppa_lab.commands.zoo import zoo_app

app = typer.Typer(
    name="dppa",
    help="The laboratory of DPPA Studio: train, measure, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(reproduce)
app.command()(leaderboard)
app.add_typer(zoo_app, name="zoo")


def command(arguments: Sequence[str]) -> None:
    """Run a command of the laboratory, as `["zoo", "train", "--seed", "1"]`."""
    app(list(arguments), prog_name="dppa")
