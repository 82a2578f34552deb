"""Whether another visitor's questions are answered right during an attack: as the library answers
them in this process, without a server."""

import json
from collections.abc import Sequence

import httpx

from benchmarks.load.tab import PROMISED
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe

QUESTIONS = (
    "Tom has 12 apples and buys 5 more. How many apples does Tom have?",
    "What is 17 minus 9?",
)
TOKENS = 24


def expected(recipe: MergeRecipe) -> list[str]:
    """The right answers of a merge to QUESTIONS."""
    from dppa_core.answering.in_process import OwnAnswerer  # noqa: PLC0415  (torch)
    from dppa_core.merging.in_memory.model_pool import ModelPool  # noqa: PLC0415
    from dppa_core.models.reply import GenerationSettings, ReplyToken  # noqa: PLC0415

    answerer, texts = OwnAnswerer(ModelPool()), list[str]()
    for question in QUESTIONS:
        events = answerer.replies(recipe, question, GenerationSettings(TOKENS))
        tokens = [event for event in events if isinstance(event, ReplyToken) and not event.last]
        texts.append(tokens[-1].text)
    answerer.close()
    return texts


async def answers(web: httpx.AsyncClient, recipe: MergeRecipe) -> Sequence[str]:
    """What a server answers, by its endpoint; empty where it does not."""
    texts = []
    for question in QUESTIONS:
        data = [dump_recipe(recipe), question, "merged", TOKENS, 0.0, 0]
        body = json.dumps({"data": data}).encode()
        call = await web.post("/gradio_api/call/chat", content=body, headers=PROMISED)
        event = call.json()["event_id"] if call.status_code == httpx.codes.OK else "none"
        stream = (await web.get(f"/gradio_api/call/chat/{event}")).text
        complete = stream.partition("event: complete\ndata: ")[2].partition("\n")[0]
        texts.append(json.loads(complete)[0] if complete else "")
    return texts
