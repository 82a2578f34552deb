"""Gradio's page, which believes nothing it is sent.

Knows values, not what they mean. Gradio takes a mapping of a certain form for a file, and opens or
fetches what it names, from any address; and it writes values that do not fit into the log. This
page has no such input: its structures travel as text.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr

REFUSED = "This is no question of this page."
DEEPEST = 4
"""Lists in lists: the values of an event, and of one of them."""


class _NoConfiguration(dict[int, Any]):
    """Keeps nothing, and computes nothing since it claims to hold every component already."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: int) -> dict[str, Any]:
        return {}

    def __setitem__(self, key: int, value: Any) -> None:
        pass


class GuardedBlocks(gr.Blocks):
    """Refuses, before Gradio looks at them, values that no page of ours sends.

    Nor does it keep them: for deep links, which are closed, Gradio copies the configuration of all
    components for every session, in 10 to 20 ms, and keeps the last value that each was sent.
    """

    @property
    def state_holder(self) -> Any:
        """The sessions that Gradio remembers."""
        return self._holder

    @state_holder.setter
    def state_holder(self, holder: Any) -> None:
        self._holder = holder
        holder.blocks = SimpleNamespace(default_config=self.default_config, blocks={})

    async def process_api(
        self, block_fn: Any, inputs: list[Any], state: Any = None, *given: Any, **named: Any
    ) -> dict[str, Any]:
        """Answer an event with no login but that of the visitor's session.

        A body may hold a token, and Gradio hands it to handlers as the login of its sender.
        """
        if state is not None:
            state.config_values = _NoConfiguration()
        named["oauth_token"] = None
        return await super().process_api(block_fn, inputs, state, *given, **named)

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
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error as error:
            error.print_exception = False
            raise
        except ValueError:  # of a component: it names the value
            raise gr.Error(REFUSED, print_exception=False) from None


def plain(value: Any, depth: int = DEEPEST) -> bool:
    """Whether a value is text, a number or nothing, or a list of such."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(plain(one, depth - 1) for one in value)
    return not isinstance(value, dict)
