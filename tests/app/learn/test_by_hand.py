"""By-hand blocks of lessons: valid requests, and the answers."""

import json

import pytest

from components.learn.blocks.context import BlockContext
from components.learn.blocks.registry import answer
from components.session.presets import first_session
from components.work.studio import Studio
from dppa_core.errors import InvalidValue, UnknownName


@pytest.fixture
def context(studio: Studio) -> BlockContext:
    return BlockContext(studio, first_session(), lambda *_: None, None)  # type: ignore[arg-type]


def test_an_edited_cell_goes_all_the_way(context: BlockContext) -> None:
    before = answer("by-hand", {}, context)
    weights = dict(before["weights"])
    weights["A"] = [*weights["A"][:35], weights["base"][35] + 100.0]
    after = answer("by-hand", {"start": "heavy", "weights": weights, "factor": 2}, context)
    steps = {step["key"]: step for step in json.loads(json.dumps(after))["steps"]}
    assert steps["delta"]["grids"][1]["shown"][35] == "100"
    # The largest of all: in partition 1, so it is doubled and added to the base's -25.
    assert steps["partitions"]["grids"][0]["marks"][35] == "p1"
    assert steps["amplified"]["grids"][0]["shown"][35] == "200"
    assert steps["merged"]["cells"][35] == "−25 + 1 × 200 + 1 × 0 = 175"


def test_failures_are_listed_before_any_is_run(context: BlockContext) -> None:
    listed = answer("break-it", {}, context)["cases"]
    assert len(listed) == 7 and all(row["repair"] for row in listed)
    case = answer("break-it", {"case": "float16", "repaired": True}, context)
    assert json.loads(json.dumps(case))["repaired"]


@pytest.mark.parametrize("case", ["../x", 7, None])
def test_no_other_failure_can_be_asked_for(context: BlockContext, case: object) -> None:
    with pytest.raises((InvalidValue, UnknownName)):
        answer("break-it", {"case": case}, context)
    with pytest.raises(InvalidValue, match="repaired"):
        answer("break-it", {"case": "float16", "repaired": "yes"}, context)
