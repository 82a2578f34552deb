"""The page, which believes nothing it is sent.

Knows values, not what they mean. Gradio takes a mapping of a certain form for a file, and opens or
fetches what it names, from any address; and it writes values that do not fit into the log. This
page has no such input: its structures travel as text.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from components.work.downloads.files import Exports
from components.work.gradio_inside import ForgetfulBlocks
from components.work.studio import Studio

REFUSED = "This is no question of this page."
DEEPEST = 4
"""Lists in lists: the values of an event, and of one of them."""


class GuardedBlocks(ForgetfulBlocks):
    """Refuses, before Gradio looks at them, values that no page of ours sends."""

    studio: Studio
    exports: Exports

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """The values as a handler takes them.

        Raises:
            gr.Error: they do not fit; a visitor reads why, and the log does not.
        """
        known = block_fn.fn is not None and len(inputs) >= len(block_fn.inputs)
        if not (known and plain(inputs)):
            raise gr.Error(REFUSED, print_exception=False)
        try:
            given: list[Any] = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error as error:
            error.print_exception = False
            raise
        except ValueError:  # of a component: it names the value
            raise gr.Error(REFUSED, print_exception=False) from None
        return given


def plain(value: Any, depth: int = DEEPEST) -> bool:
    """Whether a value is text, a number or nothing, or a list of such."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(plain(one, depth - 1) for one in value)
    return not isinstance(value, dict)
