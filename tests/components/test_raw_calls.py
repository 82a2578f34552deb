"""A client need not be the page: every handler is called with what no page would send."""

import asyncio
import logging
import random
from typing import Any

import gradio as gr
import pytest
from gradio.exceptions import ComponentProcessingError
from gradio.state_holder import SessionState
from starlette.requests import Request

DRAWS = 6
"""Calls of each handler, always the same ones."""
ODD: tuple[Any, ...] = (
    *(None, "", "null", "[]", "[[1,2]]", '{"a":1}', '{"prompt":5}', "x" * 5000, "${x}" * 50),
    *(True, 0, -1, 1e308, float("nan"), [], [[1, 2], [3]], {}, {"a": [1]}),
)
ANYBODY = gr.Request(
    Request({"type": "http", "headers": [], "query_string": b"s=abc", "method": "GET", "path": "/"})
)


async def call(page: gr.Blocks, event: Any, values: list[Any]) -> None:
    """Call a handler as a client does, up to its first answer."""
    try:
        answer = await page.process_api(
            event, values, state=SessionState(page), request=ANYBODY, session_hash="odd"
        )
    except (gr.Error, ComponentProcessingError):  # a notice; a value that Gradio itself refuses
        return
    if answer.get("iterator") is not None:
        await answer["iterator"].aclose()  # ends the work


def test_no_value_of_a_strange_client_is_a_bug(
    page: gr.Blocks, caplog: pytest.LogCaptureFixture
) -> None:
    rng, called = random.Random(0), 0

    async def all_of_them() -> None:
        nonlocal called
        for event in page.fns.values():
            usual = [one.get_config().get("value") for one in event.inputs]
            for _ in range(DRAWS if event.fn and usual else 0):
                values, place = list(usual), rng.randrange(len(usual))
                values[place] = rng.choice(ODD)
                await call(page, event, values)
                called += 1
                bugs = [one for one in caplog.records if one.levelno >= logging.ERROR]
                assert not bugs, f"{event.name}, input {place}: {values[place]!r:.60}"

    asyncio.run(all_of_them())
    assert called > 100
