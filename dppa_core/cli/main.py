"""The command line: all commands together, and the end of a run by an error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from dppa_core.cli.commands.adamerge import adamerge
from dppa_core.cli.commands.advise import advise
from dppa_core.cli.commands.attribute import attribute
from dppa_core.cli.commands.average import average
from dppa_core.cli.commands.cards import card
from dppa_core.cli.commands.compare_semantics import compare_semantics
from dppa_core.cli.commands.convert import convert
from dppa_core.cli.commands.diff import diff
from dppa_core.cli.commands.elsewhere import add_commands_elsewhere
from dppa_core.cli.commands.evaluate import evaluate
from dppa_core.cli.commands.merge import merge
from dppa_core.cli.commands.merge_report import report
from dppa_core.cli.commands.mergekit import export_recipe, import_recipe
from dppa_core.cli.commands.methods import methods
from dppa_core.cli.commands.packs import pack
from dppa_core.cli.commands.plan import plan
from dppa_core.cli.commands.preflight import preflight
from dppa_core.cli.commands.presets import presets
from dppa_core.cli.commands.profile import profile
from dppa_core.cli.commands.push import push
from dppa_core.cli.commands.search import search
from dppa_core.cli.commands.size import size
from dppa_core.cli.commands.soup import soup
from dppa_core.cli.commands.zoo import zoo_app
from dppa_core.cli.output import check_here, terminal
from dppa_core.errors import DppaError, as_required, printable
from dppa_core.system.shortage import ShortageAsError


class _Commands(TyperGroup):
    """Says in its own words what an option must be, where pydantic checked it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if errors := getattr(error.__cause__, "errors", None):
                error.message = as_required(errors()[0])
            raise


app = typer.Typer(
    cls=_Commands,
    name="dppa",
    help="Prune, amplify and merge fine-tuned models. A model is zoo:NAME, a folder, "
    "owner/name of the Hub, MODEL+ADAPTER or MODEL+PACK.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_COMMANDS: tuple[Callable[..., None], ...] = (
    *(profile, size, merge, plan, evaluate, attribute, advise, adamerge, soup, average, search),
    *(methods, convert, preflight, presets, compare_semantics, pack, diff, card, report, push),
)
for command in _COMMANDS:
    app.command()(command)
app.command("import")(import_recipe)
app.command("export")(export_recipe)
app.add_typer(zoo_app, name="zoo")
add_commands_elsewhere(app, zoo_app)


def main() -> None:
    """Run the command line; a foreseen error is one line on stderr and exit code 1."""
    with terminal():
        try:
            check_here()
            with ShortageAsError():
                app()
        except DppaError as error:
            sys.stderr.write(f"dppa: {printable(' '.join(str(error).split()))}\n")
            sys.exit(1)
