"""Turns errors of handlers into notices on the page.

A DppaError is a message for people and is shown as it is, without paths of temporary folders. Any
other error is a bug: it is logged with its trace, and the person sees a neutral sentence.
"""

from __future__ import annotations

import functools
import html
import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gradio as gr

from dppa_core.errors import Cancelled, DppaError
from dppa_core.system.shortage import shortage
from dppa_core.system.temporary import without_temporary

NEUTRAL = (
    "An error in this program stopped the work. Nothing was changed; the details are in the log of "
    "the server."
)
SECONDS = 12
_CODE = re.compile("`([^`]+)`")
"""A command or a setting in a sentence."""

_log = logging.getLogger("dppa.page")


def message(error: BaseException) -> str:
    """The text shown for an error; bugs and missing resources of this computer are logged."""
    if isinstance(error, DppaError):
        return without_temporary(str(error))
    lacking = shortage(error)
    if lacking is not None:
        _log.error("%s", lacking)
        return str(lacking)
    _log.error("a handler failed", exc_info=error)
    return NEUTRAL


class Notices(AbstractContextManager[object]):
    """A context whose errors reach the page as notices."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, gr.Error | GeneratorExit | KeyboardInterrupt):
            return
        title = "Stopped" if isinstance(error, Cancelled) else "That did not work"
        # Gradio shows a notice as HTML; quoted input must stay text.
        text = _CODE.sub(r"<code>\1</code>", html.escape(message(error), quote=False))
        raise gr.Error(text, title=title, duration=SECONDS, print_exception=False) from error


def show_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler, function or generator, so that its errors become notices."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with Notices():
                yield from handler(*args, **kwargs)

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Notices():
            return handler(*args, **kwargs)

    return call
