"""Commands of other distributions: the page, `dppa app`, and the laboratory.

Each distribution has one entry point in the group `dppa.commands`, a function of a command's
arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Annotated

import typer

from dppa_core.errors import NotAllowed
from dppa_core.extras import install_command, missing_packages

OWN_OPTIONS = {"ignore_unknown_options": True}
Arguments = Annotated[list[str] | None, typer.Argument(hidden=True)]
"""All that follows the command, its options included; None for nothing."""
LAB_COMMANDS = {
    "reproduce": "Run the paper's experiments.",
    "leaderboard": "Merge three domain models by every method and rank them.",
    "zoo train": "Train the embedded models from scratch.",
    "zoo check": "Measure a set's models alone and in whole sums.",
    "zoo report": "Measure base, domain models and merges on the test split.",
    "zoo coefficients": "Compare AdaMerging with the best uniform coefficient.",
    "zoo study": "Measure the same merges on sets of other training seeds.",
    "zoo survey": "Prune every model of some sets alone.",
    "zoo forms": "Keep every delta of some sets in each form.",
    "zoo conflicts": "Merge models of different manners by pairs.",
    "zoo encoders": "Keep the deltas of published encoders in each form.",
    "zoo near": "Train the embedded set of small deltas.",
}
"""Command -> its help here; the laboratory's own --help lists its options."""


def add_commands_elsewhere(app: typer.Typer, zoo_app: typer.Typer) -> None:
    """Add the commands of the page and of the laboratory, which are imported when they run."""
    app.command("app", context_settings=OWN_OPTIONS, add_help_option=False)(page)
    for name, text in LAB_COMMANDS.items():
        group, _, last = name.rpartition(" ")
        (zoo_app if group else app).command(
            last, help=text, context_settings=OWN_OPTIONS, add_help_option=False
        )(_lab_command(name))


def page(arguments: Arguments = None) -> None:
    """Serve the page, DPPA Studio, on this computer; its own --help lists its options.

    Its packages are the extra `app`.
    """
    missing = missing_packages("app")
    if missing:
        raise NotAllowed(
            f"The page needs packages that are not installed: {', '.join(missing)}. They are the "
            f"extra `app`: {install_command('app')}."
        )
    serve = _entry_point("app")
    if serve is None:
        raise NotAllowed(
            f"The page's command is not installed: {install_command('app')}. In the repository, "
            "make app opens the page."
        )
    serve(arguments or [])


def _lab_command(name: str) -> Callable[..., None]:
    def run(arguments: Arguments = None) -> None:
        lab = _entry_point("lab")
        if lab is None:
            raise NotAllowed(
                f"`dppa {name}` belongs to the laboratory, which is not installed. In a checkout: "
                "make lab; elsewhere: pip install 'dppa-studio[lab]'."
            )
        lab([*name.split(), *(arguments or [])])

    return run


def _entry_point(name: str) -> Callable[[list[str]], None] | None:
    point = next(iter(entry_points(group="dppa.commands", name=name)), None)
    function: Callable[[list[str]], None] | None = point.load() if point else None
    return function
