"""The curve of an answer over a control: varied settings, and where the answer changes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.session import Session
from components.views.see.answer_curve import (
    AXES,
    CurveRequest,
    Point,
    curve_payload,
    first_changes,
    read_curve,
    varied,
)
from components.work.studio import Studio
from dppa_core.answering.answerer import Ready
from dppa_core.errors import InvalidValue
from dppa_core.models.reply import Reading, ReplyToken
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent

MODEL = "zoo:math"


def points(texts: dict[float, str]) -> list[Point]:
    return [Point(x, 0.0, text) for x, text in texts.items()]


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        ({0.0: "a", 0.5: "a", 0.9: "b", 0.99: "a"}, [(0.5, 0.9)]),
        ({0.0: "a", 0.5: "a"}, []),
        ({-1.0: "c", -0.5: "b", 0.0: "a", 1.0: "a", 2.0: "b"}, [(1.0, 2.0), (-0.5, 0.0)]),
    ],
)
def test_the_first_changes_up_and_down(texts: dict[float, str], changes: list[Any]) -> None:
    assert first_changes(points(texts), 0.0) == changes


def test_one_control_is_varied_and_the_rest_stays() -> None:
    session = replace(first_session(), factors=(1.5, 1.2))
    request = CurveRequest(1, "a", "rate", MODEL, 1)
    assert varied(session, request, 0.9) == replace(session, rate=0.9)
    factor = varied(session, replace(request, axis="factor"), 2.0)
    assert factor == replace(session, factors=(1.5, 2.0))
    unlinked = varied(replace(session, linked=False), replace(request, axis="factor"), 2.0)
    assert unlinked.factors_of(MODEL) == (1.5, 2.0) and unlinked.factors_of("zoo:law") == (1.5, 1.2)
    weighed = varied(session, replace(request, axis="coefficient"), 0.5)
    assert [model.coefficient for model in weighed.models] == [
        0.5 if model.reference == MODEL else model.coefficient for model in session.models
    ]


@dataclass
class Scripted:
    """Answers "good" up to a rate of 0.933, and counts the merges."""

    merges: int = 0

    def replies(self, target: Any, prompt: str, settings: Any, stop: Any) -> Iterator[Any]:
        rate = target.models[0].levels[-1] if isinstance(target, MergeRecipe) else 0
        yield Ready(1, prompt)
        yield ReplyToken(1, "good" if rate <= 0.933 else "bad", 4, 0.0, 0.0, True)

    def reading(self, target: Any, prompt: str, text: str, stop: Any) -> Reading:
        self.merges += 1
        return Reading(target.models[0].levels[-1], (), ())


def traced(session: Session, studio: Studio, cache: Recent) -> list[dict[str, Any]]:
    request = CurveRequest(7, "own?", "rate", MODEL, 0)
    return list(curve_payload(session, request, studio, cache))


def test_it_is_narrowed_down_to_where_the_answer_changes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, cache = Scripted(), Recent(1000)
    monkeypatch.setattr(studio, "answerer", lambda: script)
    *_, last = traced(first_session(), studio, cache)
    assert last["done"] and last["id"] == 7 and last["by"] == "math" and last["reference"] == "good"
    ((low, high),) = last["changes"]
    assert low <= 0.933 < high and high - low == pytest.approx(AXES["rate"].step)
    xs = [x for x, _, _ in last["points"]]
    assert xs == sorted(set(xs)) and {0, 0.5, 0.99} <= set(xs)
    assert all(loss == x for x, loss, _ in last["points"])
    before = script.merges
    assert traced(replace(first_session(), rate=0.3), studio, cache)[-1] == last
    assert script.merges == before, "earlier points are kept, whatever the slider says now"


@pytest.mark.parametrize(
    "change",
    [{"axis": "strength"}, {"model": "zoo:base"}, {"band": 2}, {"band": True}, {"prompt": ""}],
)
def test_unreadable_requests_are_refused(change: dict[str, Any]) -> None:
    good = {"id": 1, "prompt": "a", "axis": "factor", "model": MODEL, "band": 1}
    assert read_curve(json.dumps(good), first_session()).band == 1
    with pytest.raises(InvalidValue):
        read_curve(json.dumps(good | change), first_session())
