"""Losses by the dtype, counted on request, without a browser."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.session import Session
from components.views.see.counts import losses_payload, read_model
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.rounding import count_rounded
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.system.recent import Recent


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=True)


def counted(session: Session, studio: Studio, counts: Recent | None = None) -> dict[str, Any]:
    model = read_model(json.dumps("zoo:law"), session)
    return list(losses_payload(session, model, studio, counts or Recent(5)))[-1]


def test_losses_are_those_of_the_models_own_factors_and_coefficient(studio: Studio) -> None:
    session = replace(first_session(), factors=(0.02, 0.01))
    session = replace(session, models=tuple(replace(m, coefficient=0.5) for m in session.models))
    value = counted(session, studio)
    plan = plan_pruning(cached_profile("zoo:base", "zoo:law"), session.levels)
    lost = count_rounded(plan, (0.02, 0.01), 0.5).lost
    assert (value["factors"], value["weight"], value["dtype"]) == ([0.02, 0.01], 0.5, "bfloat16")
    for layer, row in enumerate(value["layers"]):
        inside = [n for n, module in enumerate(plan.modules) if module.layer == layer]
        assert row == lost[inside].sum(axis=0).tolist() and sum(row) > 0


def test_losses_are_those_of_the_chosen_dtype(studio: Studio) -> None:
    session = replace(first_session(), factors=(0.02, 0.01), dtype="float32")
    value = counted(session, studio)
    assert (value["dtype"], value["dtype_choice"]) == ("float32", "float32")
    assert sum(map(sum, value["layers"])) < sum(
        map(sum, counted(replace(session, dtype="base"), studio)["layers"])
    )


def test_the_same_settings_are_counted_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Recent(5)
    before = counted(first_session(), studio, counts)
    monkeypatch.setattr("components.views.see.counts._by_layer", None)
    assert counted(first_session(), studio, counts) == before
    with pytest.raises(TypeError):
        counted(replace(first_session(), factors=(2.0, 1.0)), studio, counts)


@pytest.mark.parametrize("method", [MethodChoice("ties"), MethodChoice("ties", prune_first=True)])
def test_nothing_is_counted_where_the_method_decides_while_it_merges(
    studio: Studio, method: MethodChoice
) -> None:
    assert counted(replace(first_session(), method=method), studio)["layers"] is None


@pytest.mark.parametrize("text", ["", "7", "[]", '"zoo:code"'])
def test_a_model_that_is_not_listed_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_model(text, first_session())
