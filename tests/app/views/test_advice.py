"""Advice on the page without a model: it can be applied, and refusals are explained."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.state import session_from_state
from components.views.see.advice import advice_value, tries
from components.work.studio import Studio
from dppa_core.errors import NotAllowed
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.advice import gather_facts
from dppa_core.tuning.advice.advice import advise
from dppa_core.tuning.advice.facts import DomainModelFacts, ProbeFacts, ProfileFacts, TreatedFacts

SESSION = first_session()
PROFILE = ProfileFacts(0.1, 0.005, 0.7, 0.01, (0.001, 0.002, 0.004))


def facts(*kept: float) -> tuple[DomainModelFacts, ...]:
    """As many models that keep these shares, with a factor too large for the paper's climb."""
    return tuple(
        DomainModelFacts(
            model.reference,
            PROFILE,
            ProbeFacts("math", 64, 0.0, 0.8, (Interval(share, share, share),)),
            TreatedFacts(0.8, (4.2, 1.0)),
        )
        for model, share in zip(SESSION.models, kept, strict=False)
    )


def test_a_verdict_per_model_with_figures_signs_and_settings_to_go_to(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[dict[str, Any]] = []

    def gather(recipe: object, examiner: Any, **settings: Any) -> tuple[DomainModelFacts, ...]:
        options.append(settings)
        settings["progress"](1, 2, "math, math")
        return facts(0.5, 0.95)

    monkeypatch.setattr(gather_facts, "gather", gather)
    events: list[tuple[Any, ...]] = []
    advice = advice_value(SESSION, studio, lambda *step: events.append(step), threading.Event())
    assert [row["size"] for row in advice["models"]] == ["large", "small"]
    assert all("DARE at 90 % keeps" in row["why"][1] for row in advice["models"])
    assert "yes" in [sign["found"] for sign in advice["signs"]]  # 4.2 is beyond every search's
    assert advice["recipe"] == recipe_hash(SESSION.recipe())
    assert [row["label"] for row in advice["tries"]] == [
        "Task arithmetic",
        "Magnitude at 80 %",
        "DARE at 90 %",
    ]
    assert events == [(1, 2, "math, math")]
    assert options[0]["limit"] == 64 and options[0]["public"] is studio.public


def test_what_is_set_is_that_method_at_that_rate_and_all_else_stays() -> None:
    session = replace(SESSION, method=MethodChoice("ties"), rate=0.5, factors=(1.3, 1.0))
    _, magnitude, dppa = tries(advise(facts(0.5)), session)
    assert dppa["label"] == "DPPA at 80 %" and magnitude["label"] == "Magnitude at 80 %"
    taken = session_from_state(dppa["take"])
    assert (taken.method.name, taken.rate, taken.factors) == ("dppa", 0.8, (1.3, 1.0))
    assert taken.models == session.models


def test_strangers_name_no_folder_of_this_computer(zoo_env: object) -> None:
    model = replace(SESSION.models[0], reference="/etc")
    session = replace(SESSION, models=(model,))
    stop = threading.Event()
    with pytest.raises(NotAllowed):
        advice_value(session, Studio(public=True), lambda *step: None, stop)
