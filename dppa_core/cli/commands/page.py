"""`dppa app`: the page, where it is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from dppa_core.errors import NotAllowed
from dppa_core.extras import install_command, missing_packages

OWN_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}


def page(context: typer.Context) -> None:
    """Serve the page, DPPA Studio, on this computer; its own --help lists its options.

    Its packages are the extra `app`.
    """
    missing = missing_packages("app")
    if missing:
        raise NotAllowed(
            f"The page needs packages that are not installed: {', '.join(missing)}. They are the "
            f"extra `app`: {install_command('app')}."
        )
    point = next(iter(entry_points(group="dppa.commands", name="app")), None)
    if point is None:
        raise NotAllowed(
            f"The page's command is not installed: {install_command('app')}. In the repository, "
            "make app opens the page."
        )
    point.load()(context.args)
