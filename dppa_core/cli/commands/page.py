"""`dppa app`: the page, where it is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from dppa_core.errors import NotAllowed

OWN_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}


def page(context: typer.Context) -> None:
    """Serve the page, DPPA Studio, on this computer; its own --help lists its options.

    The package `dppa-studio[app]` contains it.
    """
    point = next(iter(entry_points(group="dppa.commands", name="app")), None)
    try:
        serve = None if point is None else point.load()
    except ImportError as error:
        raise NotAllowed(
            f"The page cannot be imported ({error}). Installing the library alone is the usual "
            "cause: pip install 'dppa-studio[app]'."
        ) from error
    if serve is None:
        raise NotAllowed(
            "The page belongs to the installed package: pip install 'dppa-studio[app]'. In the "
            "repository make app opens it."
        )
    serve(context.args)
