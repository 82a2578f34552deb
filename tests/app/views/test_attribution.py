"""The attribution view without a browser: checks, kept results, cancelling."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.session.presets import first_session
from components.views.see.attribution import AttributionRequest, attribution_value, read_attribution
from components.work.kinds import ATTRIBUTION
from components.work.progress_stream import IDLE, stopped_value, stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.evaluation.analysis import attribution_run
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.recent import Recent

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=True)


def read(**changed: Any) -> AttributionRequest:
    values = {"prompt": "How many?", "answer": "", "by": "layer"} | changed
    return read_attribution(**values, session=first_session())


def inquiry(
    prompt: str = "How many?", answer: str | None = "Five.", by: str = "layer"
) -> AttributionRequest:
    recipe = MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "task_arithmetic")
    return AttributionRequest(recipe, prompt, answer, by)


def values_of(request: AttributionRequest, studio: Studio, cache: Recent) -> list[dict[str, Any]]:
    return list(stream_run(studio, ATTRIBUTION, partial(attribution_value, request, studio, cache)))


def test_an_empty_answer_asks_for_the_merges_own() -> None:
    request = read(prompt="  How many? ")
    assert (request.prompt, request.answer, request.by) == ("How many?", None, "layer")
    assert read(answer=" 5 ").answer == "5"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"prompt": " "}, "There is no question yet"),
        ({"prompt": None}, "There is no question yet"),
        ({"prompt": "x" * 2001}, "The question has 2001 characters, and at most 2000 fit"),
        ({"answer": "x" * 2001}, "The answer has 2001 characters, and at most 2000 fit"),
        ({"by": "head"}, "one layer or one module at a time, got 'head'"),
        ({"by": ["layer"]}, r"got \['layer'\]"),
    ],
)
def test_what_a_browser_sends_is_checked(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        read(**changed)


def test_the_browser_is_told_how_far_it_is_and_then_the_numbers(studio: Studio) -> None:
    values = values_of(inquiry(), studio, Recent(4))
    assert [value["state"] for value in values[:-1]] == ["running"] * (len(values) - 1)
    result = values[-1]["result"]
    assert values[-1]["state"] == "done" and len(result["effects"]) == 3
    assert result["effects"][0]["change"] == result["effects"][0]["loss"] - result["loss"]


def test_what_was_measured_once_is_not_measured_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Recent(4)
    first = values_of(inquiry(), studio, cache)[-1]
    monkeypatch.setattr(attribution_run, "attribute", None)  # must not be needed
    assert values_of(inquiry(), studio, cache)[-1]["result"] == first["result"]
    assert values_of(inquiry(by="module"), studio, cache)[-1]["state"] == "failed"


def test_a_foreseen_error_is_said(studio: Studio) -> None:
    last = values_of(inquiry(answer="many " * 200), studio, Recent(4))[-1]
    assert last["state"] == "failed" and "the model reads at most" in last["note"]


def test_an_abandoned_page_ends_the_work(studio: Studio) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        attribution_value(inquiry(), studio, Recent(4), lambda *step: None, stop)


def test_cancel_leaves_what_is_at_rest() -> None:
    assert stopped_value({"state": "running", "id": "1f"}) == {"state": "stopped", "id": "1f"}
    assert stopped_value({"state": "done"}) == {"state": "done"}
    assert stopped_value("nonsense") == IDLE
