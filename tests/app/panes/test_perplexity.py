"""Perplexity of a text on the page, without a browser: checks, models, messages."""

import json
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.state import state_of
from components.views.score.perplexity import MAX_TEXT_CHARACTERS, perplexity_value, read_perplexity
from components.work.kinds import PERPLEXITY
from components.work.progress_stream import stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.evaluation.perplexity import read_text
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


def test_a_field_and_a_file_that_ends_with_a_newline_are_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(f"{TEXT.strip()}\n")
    assert read_text(tmp_path / "text.txt") == read_perplexity(TEXT, None, SESSION).text


def test_the_merge_is_first_and_the_base_last_by_their_names_on_the_page() -> None:
    first = read_perplexity(TEXT, None, SESSION)
    labels = [entrant.label for entrant in first.entrants]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    assert first.recipe == recipe_hash(SESSION.recipe()) and first.text == TEXT.strip()
    slot = json.dumps({"slot": "B", "state": state_of(replace(SESSION, rate=0.5))})
    second = read_perplexity(TEXT, slot, SESSION)
    assert [entrant.label for entrant in second.entrants][:2] == ["merge A", "merge B"]


def test_everybody_reads_the_same_text_and_it_is_read_once(studio: Studio) -> None:
    reading = read_perplexity(TEXT, None, SESSION)
    values: list[dict[str, Any]] = []
    for _ in range(2):
        values += stream_run(studio, PERPLEXITY, partial(perplexity_value, reading, studio))
    ends = [value for value in values if value["state"] == "done"]
    assert len(ends) == 2 and ends[0]["result"] == ends[1]["result"]
    rows = ends[0]["result"]["rows"]
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
