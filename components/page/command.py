"""The command that serves the page: `dppa app`, also run by app.py."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

NAME = "dppa app"


def command(arguments: Sequence[str]) -> None:
    """Serve the page with the options of `dppa app`."""
    parser = argparse.ArgumentParser(prog=NAME, description="Serve the page until Ctrl-C.")
    parser.add_argument("--port", type=int, help="where to listen, 1 to 65535; 7860 by default")
    port = parser.parse_args(arguments).port
    if port is not None:
        os.environ["GRADIO_SERVER_PORT"] = str(port)
    serve()


def serve() -> None:
    """Serve until interrupted or terminated; a wrong setting ends it with one line."""
    gc.disable()  # a start makes 300,000 lasting objects; collecting during it is wasted time
    from dppa_core.checkpoints.sources.open import open_checkpoint  # noqa: PLC0415
    from dppa_core.errors import DppaError  # noqa: PLC0415
    from dppa_core.system.heap import few_arenas  # noqa: PLC0415

    from ..server.first_fetch import fetch_at_start  # noqa: PLC0415
    from ..server.logs import start_log  # noqa: PLC0415  (Gradio: after `gc.disable`)
    from ..server.settings import check_temporary_folder, read_settings  # noqa: PLC0415
    from ..session.presets import first_session  # noqa: PLC0415
    from ..work.malloc_and_gc import keep_what_is_there  # noqa: PLC0415
    from ..work.studio import Studio  # noqa: PLC0415

    few_arenas()
    with ExitStack() as ending:
        try:
            settings = read_settings()
            check_temporary_folder()
            open_checkpoint("zoo:base")  # nothing can be shown without it
            start_log(settings.log, public=settings.public)
            fetch_at_start(settings.fetched)
            studio = Studio(public=settings.public, apart=True)
            ending.callback(studio.close)
            if settings.warm:  # the answering process imports torch while this one imports Gradio
                studio.warm_up(first_session().recipe())
            # Gradio reads the environment too, and ends with a trace if a variable is invalid.
            from ..server.serving import until_told  # noqa: PLC0415
            from .workbench import build_page, start  # noqa: PLC0415

            page = build_page(studio)
            start(page, settings)
        except DppaError as error:
            sys.exit(str(error))
        ending.pop_all()
    keep_what_is_there()
    until_told(page)
