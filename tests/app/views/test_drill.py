"""The view of one matrix, without a browser: answers, cache and refusals."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.session.presets import first_session
from components.session.session import Session
from components.views.see import matrix as drill
from components.views.see.matrix import CellChoice, drill_payload, read_cell
from components.work.studio import Studio
from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.system.recent import Recent

DOWN = "layers.1.mlp.down_proj"


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=True)


def look(session: Session, studio: Studio, looks: Recent | None = None) -> list[dict[str, Any]]:
    cell = CellChoice("zoo:math", 1, "down")
    return list(drill_payload(session, cell, studio, looks or Recent(5)))


def test_the_profile_comes_at_once_and_the_rows_after_it(studio: Studio) -> None:
    first, second = look(first_session(), studio)
    assert first["lines"] is None and first["modules"] == [DOWN]
    (lines,) = second["lines"]
    assert lines["module"] == DOWN and len(lines["rows"]) == len(lines["columns"]) == 5
    assert [row[1] for row in lines["rows"]] == sorted((r[1] for r in lines["rows"]), reverse=True)


def test_rows_follow_an_override_of_the_matrix(studio: Studio) -> None:
    session = replace(first_session(), overrides=((DOWN, 0.0),))
    kept = sum(row[2] for row in look(session, studio)[-1]["lines"][0]["rows"])
    plan = plan_pruning(cached_profile("zoo:base", "zoo:math"), session.levels)
    fewer = sum(row[2] for row in look(first_session(), studio)[-1]["lines"][0]["rows"])
    assert kept > fewer > 0 and plan.modules


def test_a_matrix_is_read_once_for_the_same_plan(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Recent(5)
    before = look(first_session(), studio, looks)[-1]
    monkeypatch.setattr(drill, "_lines", None)
    assert look(first_session(), studio, looks)[-1] == before
    with pytest.raises(TypeError):
        look(replace(first_session(), rate=0.5), studio, looks)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": "zoo:code", "layer": 1, "kind": "q"}'])
def test_what_is_no_cell_of_a_listed_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_cell(text, first_session())


@pytest.mark.parametrize(
    "place", ['"layer": true, "kind": "q"', '"layer": "1", "kind": "q"', '"layer": 1']
)
def test_a_place_is_a_layer_and_a_kind(place: str) -> None:
    with pytest.raises(InvalidValue, match="something unreadable"):
        read_cell(f'{{"model": "zoo:math", {place}}}', first_session())


def test_a_matrix_that_is_not_there_is_named(studio: Studio) -> None:
    cell = read_cell('{"model": "zoo:math", "layer": 99, "kind": "q"}', first_session())
    with pytest.raises(UnknownName, match="No matrix 'q' in layer 99"):
        list(drill_payload(first_session(), cell, studio, Recent(5)))
