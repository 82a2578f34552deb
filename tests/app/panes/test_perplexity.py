"""Perplexity of a text on the page, without a browser: checks, models, messages."""

import json
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.state import state_of
from components.views.score.perplexity import MAX_TEXT_CHARACTERS, perplexity_value, read_perplexity
from components.work.kinds import PERPLEXITY
from components.work.progress_stream import stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.recipes.yaml_text import recipe_hash

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = first_session()
TEXT = "Tom has 12 apples and buys 5 more. " * 60


@pytest.fixture
def studio(zoo_env: object) -> Studio:
    return Studio(public=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" ", "no text yet: type or paste one"),
        (None, "no text yet"),
        ("x" * (MAX_TEXT_CHARACTERS + 1), "The text has 20001 characters, and at most 20000 fit"),
    ],
)
def test_what_a_browser_sends_is_checked(text: object, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        read_perplexity(text, None, SESSION)


def test_the_merge_is_first_and_the_base_last_by_their_names_on_the_page() -> None:
    found = read_perplexity(TEXT, None, SESSION)
    labels = [one.label for one in found.entrants]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    assert found.recipe == recipe_hash(SESSION.recipe()) and found.text == TEXT.strip()
    other = json.dumps({"slot": "B", "state": state_of(replace(SESSION, rate=0.5))})
    second = read_perplexity(TEXT, other, SESSION)
    assert [one.label for one in second.entrants][:2] == ["merge A", "merge B"]


def test_everybody_reads_the_same_text_and_it_is_read_once(studio: Studio) -> None:
    reading = read_perplexity(TEXT, None, SESSION)
    told: list[dict[str, Any]] = []
    for _ in range(2):
        told += stream_run(studio, PERPLEXITY, partial(perplexity_value, reading, studio))
    done = [value for value in told if value["state"] == "done"]
    assert len(done) == 2 and done[0]["result"] == done[1]["result"]
    rows = done[0]["result"]["rows"]
    assert [row["model"] for row in rows[3:]] == ["zoo:math", "zoo:finance", "zoo:law", "zoo:base"]
    assert len({row["tokens"] for row in rows}) == 1 and rows[0]["windows"] > 1
    for row in rows:
        low, high = row["perplexity"]["ci95"]
        assert 1 < low <= row["perplexity"]["value"] <= high


def test_reading_can_be_stopped(studio: Studio) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        perplexity_value(read_perplexity(TEXT, None, SESSION), studio, lambda *step: None, stop)
