"""Runs a search for the page: limited in time, resumable, reported trial by trial.
assets/js/panes/search.js draws it."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget
from dppa_core.evaluation.scores import Exam
from dppa_core.evaluation.side_by_side import compared
from dppa_core.evaluation.side_by_side_values import comparison_sentence
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe, recipe_hash
from dppa_core.system.recent import Recent
from dppa_core.tuning.search.axes import axes_of
from dppa_core.tuning.search.climb import TrialScores, climb, climb_made_by
from dppa_core.tuning.search.greedy_factors import Trial
from dppa_core.tuning.search.joint_run import JointTrial, joint_made_by, search_jointly
from dppa_core.tuning.search.space import parse_knobs
from dppa_core.tuning.search.trial import density_of, domains_for, remembered_profiles

from ...session.from_recipe import session_from_recipe
from ...session.session import Session
from ...session.state import state_of
from ...work.job import Bounded
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from .search_words import SearchRequest, knob_words, value_text

if TYPE_CHECKING:
    from dppa_core.evaluation.examiner import Examiner
    from dppa_core.tuning.search.studied import StudyTrial

PUBLIC_SECONDS, OWN_SECONDS = 240.0, 3600.0
"""Time limit of one run; the next one resumes from its trials."""
UNCHANGED = {"merge": "as it is"}
"""The values of a trial of a joint search without numbers: the merge with its own factors for each
model."""


def run_search(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> dict[str, Any]:
    """Start or resume a search; runs in its own thread. Emits ("trial", row). Raises OutOfBudget
    once the time limit of one run is over."""
    seconds = PUBLIC_SECONDS if studio.public else OWN_SECONDS
    bounded = Bounded(stop, seconds)
    run = {"climb": _run_climb, "joint": _run_joint}.get(request.way, _run_study)
    try:
        best, result = run(request, studio, cache, emit, bounded)
        take = taken_over(request.session, best)
        merges = map(studio.identity, (best, request.recipe))
        key = ("tested", *merges, request.limit, request.contents)
        test = cache.find(key) or cache.keep(key, _test(request, best, studio, bounded))
        return {"front": [], **result, "take": take, **test}
    except Cancelled as error:
        if bounded.overran:
            raise OutOfBudget(
                f"One run here takes up to {seconds / 60:.0f} minutes. Start goes on from there."
            ) from error
        raise


def _run_climb(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    domains = domains_for(request.recipe, request.tasks)
    facts = climb_made_by(request.recipe, domains, request.limit, public=studio.public)
    store = _trial_store(cache, facts, lambda: TrialScores(None, facts))

    def watch(model: str, trial: Trial, _before: bool) -> None:
        band = max((k for k, factor in enumerate(trial.amplification) if factor), default=0)
        row = {"model": model, "factors": list(trial.amplification), "band": band}
        emit(("trial", row | {"score": trial.score}))

    examiner = _examiner(studio)
    with store.alone(stop) as state:
        climbed = climb(
            *(request.recipe, partial(examiner.score, stop=stop)),
            tasks=request.tasks,
            limit=request.limit,
            state=state,
            watch=watch,
            public=studio.public,
            beside=examiner.at_once(request.recipe),
        )
    models = climbed.to_json()["models"]
    best = [{name: model[name] for name in ("model", "factors", "score")} for model in models]
    return climbed.recipe, {"best": best}


def _run_joint(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    domains = domains_for(request.recipe, request.tasks)
    facts = joint_made_by(request.recipe, domains, request.limit, public=studio.public)
    store, rows = _trial_store(cache, facts, lambda: TrialScores(None, facts)), list[Any]()
    profiles = remembered_profiles(public=studio.public)

    def watch(trial: JointTrial) -> None:
        row = {
            "number": len(rows),
            "values": dict(trial.values) or UNCHANGED,
            "state": "complete",
            "goals": [trial.retention],
            "retentions": dict(trial.retentions),
            "density": density_of(trial.recipe, profiles),
            "take": taken_over(request.session, trial.recipe),
        }
        rows.append(row)
        emit(("trial", row))

    examiner = _examiner(studio)
    with store.alone(stop) as state:
        joint = search_jointly(
            *(request.recipe, partial(examiner.score, stop=stop)),
            tasks=request.tasks,
            limit=request.limit,
            per_model=request.per_model,
            state=state,
            watch=watch,
            public=studio.public,
            beside=examiner.at_once(request.recipe),
        )
    return joint.recipe, {"best": rows[joint.place]}


def _run_study(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    from optuna.storages import InMemoryStorage  # noqa: PLC0415  (a second)

    from dppa_core.tuning.search.optuna_study import run_study, study_made_by  # noqa: PLC0415
    from dppa_core.tuning.search.studied import StudySettings  # noqa: PLC0415

    knobs, grid = parse_knobs(request.vary, request.recipe), request.way == "grid"
    settings = StudySettings(knobs, request.goals, request.trials, request.limit, every=grid)
    domains = domains_for(request.recipe, request.tasks)
    facts = study_made_by(request.recipe, domains, request.limit, public=studio.public)
    store = _trial_store(
        cache, facts | {"vary": request.vary, "goals": request.goals}, InMemoryStorage
    )

    def watch(trial: StudyTrial) -> None:
        emit(("trial", _row(trial, request.session)))

    examiner = _examiner(studio)
    with store.alone(stop) as storage:
        study = run_study(
            *(request.recipe, settings, partial(examiner.score, stop=stop)),
            tasks=request.tasks,
            storage=storage,
            watch=watch,
            earlier=watch,
            stop=stop,
            public=studio.public,
            beside=examiner.at_once(request.recipe),
        )
    best = _row(study.best, request.session)
    return study.recipe, {"best": best, "front": list(study.front)}


def _examiner(studio: Studio) -> Examiner:
    """An examiner that keeps no marks: a search asks each merge once."""
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    return Examiner(studio.pool(), public=studio.public, keep=False)


def _test(request: SearchRequest, best: MergeRecipe, studio: Studio, stop: Stop) -> dict[str, Any]:
    """The best merge against the original one on as many test items: a sentence, and whether the
    best one answered fewer of them, beyond chance."""
    if recipe_hash(best) == recipe_hash(request.recipe):
        return {"test": "The given merge itself is the best of those tried.", "worse": False}
    examiner = _examiner(studio)
    domains = dict.fromkeys(domains_for(request.recipe, request.tasks))

    def hits(merge: MergeRecipe, domain: str) -> tuple[bool, ...]:
        return examiner.score(Exam(merge, domain, "test", request.limit), stop=stop).hits

    gap = compared({d: (hits(best, d), hits(request.recipe, d)) for d in domains})
    text = comparison_sentence(gap, "what was found", "the given merge")
    return {
        "test": f"On test questions: {text}",
        "worse": gap.significant and gap.difference.value < 0,
    }


@dataclass(frozen=True, slots=True)
class TrialStore:
    """Storage of a search's trials, for one run at a time."""

    value: Any
    lock: threading.Lock

    @contextmanager
    def alone(self, stop: Stop) -> Iterator[Any]:
        """Wait for a cancelled run to end, then hold the trials exclusively."""
        while not self.lock.acquire(timeout=0.1):
            check(stop)
        try:
            yield self.value
        finally:
            self.lock.release()


def _trial_store(cache: Recent, facts: Mapping[str, Any], make: Callable[[], Any]) -> TrialStore:
    key = json.dumps(facts, sort_keys=True)
    store: TrialStore | None = cache.find(key)
    return store or cache.keep(key, TrialStore(make(), threading.Lock()))


def _row(trial: StudyTrial, session: Session) -> dict[str, Any]:
    take = taken_over(session, parse_recipe(trial.recipe)) if trial.state == "complete" else None
    row = trial.to_json()
    names = ("number", "values", "state", "goals", "retentions", "density")
    return {name: row[name] for name in names} | {"take": take}


def taken_over(session: Session, recipe: MergeRecipe) -> dict[str, Any] | None:
    """The state of a session with this merge; None if the controls cannot show it. Models that are
    switched off stay in the list, and unchanged coefficients keep their number or curve."""
    try:
        taken = session_from_recipe(recipe, 0)
    except InvalidValue:
        return None
    now = {model.reference: model for model in taken.models}
    weights = {model.model: model.coefficient for model in recipe.models}
    models = tuple(
        model
        if model.reference not in now or model.weight == weights[model.reference]
        else now[model.reference]
        for model in session.models
    )
    return state_of(replace(taken, models=models))


def stream_search(
    request: SearchRequest, studio: Studio, cache: Recent
) -> Iterator[dict[str, Any]]:
    """Yield values for the browser, a few times a second, until there is a result. Closing the
    iterator stops the search; its trials are kept for resuming the same search."""
    about = _about(request)
    key = ("trials", replace(request, trials=0), request.contents)
    earlier: list[dict[str, Any]] = cache.find(key) or []
    trials: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    yield {"state": "running", **about, **_standing(request, earlier)}
    job = studio.start(
        "search", lambda emit, stop: results.append(run_search(request, studio, cache, emit, stop))
    )
    for batch in job.batches(every=0.3):
        trials += [event[1] for event in batch if event[0] == "trial"]
        if len(trials) > len(earlier):  # earlier trials are sent again first
            earlier = cache.keep(key, list(trials))
        if batch:
            yield {"state": "running", **about, **_standing(request, earlier)}
    about["trials"] = earlier if job.error else trials
    yield about | end_of(job) | ({} if job.error else {"result": results[0]})


def _about(request: SearchRequest) -> dict[str, Any]:
    """The part of the values for the browser that does not change."""
    knobs = parse_knobs(request.vary, request.recipe) if request.vary else ()
    names = [knob.name for knob in knobs]
    if request.way == "joint":
        axes = axes_of(request.recipe, per_model=request.per_model)
        names = [*UNCHANGED, *(axis.name for axis in axes)]
    grid = knobs if request.way == "grid" else ()
    sides = [{"name": knob.name, "values": list(knob.values())} for knob in grid]
    return {
        "id": secrets.token_hex(4),
        "way": request.way,
        "goals": request.goals,
        "sides": sides,
        "limit": request.limit,
        "result": None,
        "words": {name: knob_words(name) for name in names},
    }


def _standing(request: SearchRequest, trials: list[dict[str, Any]]) -> dict[str, Any]:
    what = _trial_words(request.way, trials) if trials else "Starting"
    return {"trials": list(trials), "done": len(trials), "total": request.trials, "what": what}


def _trial_words(way: str, trials: list[dict[str, Any]]) -> str:
    """The settings of the last trial."""
    last = trials[-1]
    if way == "climb":
        factors = " / ".join(f"{factor:g}" for factor in last["factors"])
        return f"{len(trials)} settings tried, the last × {factors}"
    values = last["values"].items()
    return ", ".join(f"{knob_words(name)} {value_text(name, value)}" for name, value in values)
