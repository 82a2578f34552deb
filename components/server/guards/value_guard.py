"""Checks the values of an event before Gradio reads them.

Gradio treats a mapping of a certain form as a file and opens or fetches it from any address, and
logs invalid values. This page has no such input: its structures travel as JSON text.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from ...work.downloads.files import Exports
from ...work.gradio_inside import ForgetfulBlocks
from ...work.studio import Studio

REFUSED = "The page does not send such a request."
DEEPEST = 4
"""Allowed nesting of lists: the values of an event, and of one of them."""


class GuardedBlocks(ForgetfulBlocks):
    """Refuses values that the page never sends, before Gradio reads them."""

    studio: Studio
    exports: Exports

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """The values in the form a handler takes; invalid ones raise gr.Error, and nothing is
        logged."""
        complete = block_fn.fn is not None and len(inputs) >= len(block_fn.inputs)
        if not (complete and plain(inputs)):
            raise gr.Error(REFUSED, print_exception=False)
        try:
            values: list[Any] = await super().preprocess_data(
                block_fn, inputs, state, explicit_call
            )
        except gr.Error as error:
            error.print_exception = False
            raise
        except ValueError:  # from a component; it quotes the value
            raise gr.Error(REFUSED, print_exception=False) from None
        return values


def plain(value: Any, depth: int = DEEPEST) -> bool:
    """Return True for text, a number, None, or a list of these."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(plain(item, depth - 1) for item in value)
    return not isinstance(value, dict)
