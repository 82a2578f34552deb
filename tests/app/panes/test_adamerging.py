"""AdaMerging on the page without a browser: its numbers, its limits, what it refuses."""

import threading
from dataclasses import replace
from typing import Any

import pytest

import components.views.score.search_work as search_work
from components.session.from_recipe import every_layer_spelled_out
from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.session import Session
from components.session.state import session_from_state
from components.views.score.adamerging_work import (
    own_batch,
    run_adamerging,
    stream_adamerging,
)
from components.views.score.own_lists import PUBLIC_LIMITS, read_lists
from components.views.score.search_words import SearchRequest, lists_of_models, read_search
from components.work.job import EventJobs, jobs_of_event
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidRecipe, InvalidValue, OutOfBudget
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import check_additive, with_coefficients
from dppa_core.tuning.adamerging.texts import task_domains
from tests.helpers.own_questions import APPLES, CLAUSES

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = first_session()
ROWS = CLAUSES.splitlines(keepends=True)[1:]


def asked(session: Session = SESSION, **changed: Any) -> SearchRequest:
    usual = {"way": "adamerging", "limit": 8, "per": "model", "objective": "entropy"}
    request = read_search(usual | {"steps": 10, "start": 1} | changed, session)
    quick = replace(request.adamerging, prompts=8, batch=2, longest=4, every=5)
    return replace(request, adamerging=quick)


@pytest.mark.parametrize(("per", "objective"), [("model", "entropy"), ("layer", "experts")])
def test_every_number_is_that_of_the_run_and_the_best_is_taken_over(
    studio: Studio, per: str, objective: str
) -> None:
    request = asked(per=per, objective=objective)
    *running, last = stream_adamerging(request, studio)
    assert {value["state"] for value in running} == {"running"} and last["state"] == "done", last
    domains = task_domains(DOMAINS, request.adamerging)
    expected = adamerge(SESSION.recipe(), domains, request.adamerging)
    assert [row["number"] for row in last["trials"]] == [0, 5, 10]
    for row, snapshot in zip(last["trials"], expected.snapshots, strict=True):
        assert (row["entropy"], row["accuracy"]) == (snapshot.entropy, snapshot.accuracy)
        assert row["coefficients"] == [list(values) for values in snapshot.coefficients]
        assert [one["entropy"] for one in row["domains"]] == [
            figures.entropy for figures in snapshot.domains.values()
        ]
        assert row["collapsed"] == snapshot.collapsed
        merge = with_coefficients(SESSION.recipe(), row["coefficients"])
        taken = session_from_state(row["take"]).recipe()
        assert recipe_hash(taken) == recipe_hash(every_layer_spelled_out(merge, 0))
    best = [row for row in last["trials"] if row["best"]][-1]
    assert best["number"] == expected.best.step == last["result"]["best"]["number"]
    assert last["result"]["take"] == best["take"] and last["result"]["test"]


def test_progress_tells_steps_entropy_and_right_answers(studio: Studio) -> None:
    values = list(stream_adamerging(asked(), studio))
    texts = [(value["done"], value["total"], value["what"]) for value in values[:-1]]
    assert texts[0] == (0, 0, "Starting")
    events: list[Any] = []
    run_adamerging(asked(), studio, events.append, threading.Event())
    words = [value["what"] for name, value in events if name == "standing"]
    assert any(text.startswith("entropy ") and "at step 5 " in text for text in words)
    assert words[-1].startswith("asking test questions; at step 10 ")


def test_a_method_is_refused_in_the_words_of_the_command(studio: Studio) -> None:
    session = replace(SESSION, method=MethodChoice("ties"))
    last = list(stream_adamerging(asked(session), studio))[-1]
    with pytest.raises(InvalidRecipe) as refusal:
        check_additive(session.recipe())
    assert (last["state"], last["note"]) == ("failed", str(refusal.value))
    assert "\n" not in last["note"] and not last["trials"]


def test_a_run_for_strangers_is_bounded_in_time_and_memory(
    zoo_env: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(public=True)
    monkeypatch.setattr(search_work, "PUBLIC_SECONDS", 0.0)
    with pytest.raises(OutOfBudget, match="up to 0 minutes: choose fewer steps"):
        run_adamerging(asked(), studio, lambda event: None, threading.Event())
    monkeypatch.undo()
    monkeypatch.setattr(studio.pool(), "_byte_budget", 100_000)
    with pytest.raises(OutOfBudget, match="this page may use 0.0 GB. Choose a smaller model"):
        run_adamerging(asked(), studio, lambda event: None, threading.Event())


def test_cancel_ends_the_run_and_keeps_its_checkpoints(studio: Studio) -> None:
    stop, rows = threading.Event(), list[dict[str, Any]]()

    def emit(event: tuple[Any, ...]) -> None:
        if event[0] == "trial":
            rows.append(event[1])
            stop.set()

    with pytest.raises(Cancelled):
        run_adamerging(asked(), studio, emit, stop)
    assert [row["number"] for row in rows] == [0] and rows[0]["take"]
    jobs = EventJobs()
    token = jobs_of_event.set(jobs)
    values = stream_adamerging(asked(steps=200), studio)
    while not next(values)["trials"]:
        pass
    values.close()
    jobs_of_event.reset(token)
    assert all(job.stop.is_set() for job in jobs._jobs)


def test_prompts_may_be_a_visitors_own_a_list_for_each_model(studio: Studio) -> None:
    two = replace(SESSION, models=(SESSION.models[0], SESSION.models[2]))
    request = asked(two)

    def by(**lists: str) -> SearchRequest:
        texts = {f"zoo:{name}".replace("zoo:all", ""): text for name, text in lists.items()}
        owns = lists_of_models(read_lists(texts, two, PUBLIC_LIMITS), request.recipe)
        return own_batch(replace(request, questions=owns))

    more = "".join(line.replace("Clause", name) for name in "AB" for line in ROWS)
    mine = by(math=APPLES, law=CLAUSES + more)
    counts = [len(domain.of_split("search")) for domain in mine.questions]
    assert mine.adamerging.batch == min(2, *(count - count // 2 for count in counts))
    last = list(stream_adamerging(mine, studio))[-1]
    assert last["state"] == "done", last.get("note")
    assert [one["n"] for one in last["trials"][0]["domains"]] == [c // 2 for c in counts]
    few = by(math=APPLES, law=CLAUSES)
    assert "add some" in list(stream_adamerging(few, studio))[-1]["note"]
    with pytest.raises(InvalidValue, match="give each model a list of its own"):
        by(all=APPLES)


def test_a_model_of_no_known_domain_needs_questions(studio: Studio) -> None:
    first, *others = SESSION.models
    named = replace(SESSION, models=(replace(first, reference="zoo:base"), *others))
    last = list(stream_adamerging(asked(named), studio))[-1]
    assert last["state"] == "failed" and "Tick By your own questions" in last["note"]
