"""Every handler called with values that the page never sends, as any client can."""

import asyncio
import logging
import random
import zlib
from collections.abc import Sequence
from typing import Any

import gradio as gr
import pytest
from gradio.exceptions import ComponentProcessingError
from gradio.state_holder import SessionState
from starlette.requests import Request

from components.work.error_notices import show_errors
from tests.helpers.cases import FEW_CASES

ODD: tuple[Any, ...] = (
    *(
        '{"a":NaN}',
        '{"a":1e999}',
        '"\\ud83d"',
        "\ud83d",
        None,
        "",
        "null",
        "[]",
        "[[1,2]]",
        '{"a":1}',
        '{"prompt":5}',
        "x" * 5000,
        "${x}" * 50,
    ),
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


def places(name: str, count: int) -> Sequence[int]:
    """The inputs to replace: all, or with DPPA_CASES=one two of them, others for each handler."""
    if not FEW_CASES or count < 3:
        return range(count)
    first = zlib.crc32(name.encode()) % count
    return first, (first + count // 2) % count


async def call_oddly(page: gr.Blocks, caplog: pytest.LogCaptureFixture) -> set[str]:
    """Every handler, with its `places` in turn replaced by something odd; their names."""
    rng, called = random.Random(0), set()
    for event in page.fns.values():
        if event.fn is None:
            continue
        usual = [one.get_config().get("value") for one in event.inputs]
        for place in places(event.name, len(usual)) or [None]:
            values = list(usual)
            if place is not None:
                values[place] = rng.choice(ODD)
            await call(page, event, values)
            bugs = [one for one in caplog.records if one.levelno >= logging.ERROR]
            assert not bugs, f"{event.name}, input {place}: {values[place or 0]!r:.60}"
        called.add(event.name)
    return called


def test_no_value_of_a_strange_client_is_a_bug(
    page: gr.Blocks, caplog: pytest.LogCaptureFixture
) -> None:
    called = asyncio.run(call_oddly(page, caplog))
    assert called == {event.name for event in page.fns.values() if event.fn} and len(called) > 40


@pytest.mark.parametrize("kind", ["raises", "works"])
def test_a_handler_that_believes_its_values_would_be_found(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Shows that the test above finds new handlers by itself."""

    @show_errors
    def on_new(number: Any) -> Any:
        return {"sum": number["a"] + 1} if kind == "raises" else {}

    with gr.Blocks() as page:
        number = gr.JSON(value={"a": 3})
        gr.Button().click(on_new, number, number)
    if kind == "raises":
        with pytest.raises(AssertionError, match="on_new, input 0"):
            for _ in range(5):
                asyncio.run(call_oddly(page, caplog))
    else:
        assert asyncio.run(call_oddly(page, caplog)) == {"on_new"}
