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
from dppa_core.tuning.search.climb import ClimbResult
from dppa_core.tuning.search.joint_sampler import JointResult
from dppa_core.tuning.search.results import SearchResult, SearchTrial, StudyState
from dppa_core.tuning.search.scoring import ProfileOf, density_of, domains_for, remembered_profiles
from dppa_core.tuning.search.search_loop import new_state, run_search
from dppa_core.tuning.search.state import made_by

from ...session.from_recipe import session_from_recipe
from ...session.session import Session
from ...session.state import state_of
from ...work.job import Bounded
from ...work.kinds import SEARCH
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from .search_words import GOALS, SearchRequest, knob_words, value_text

if TYPE_CHECKING:
    from dppa_core.evaluation.examiner import Examiner

PUBLIC_SECONDS, OWN_SECONDS = 240.0, 3600.0
"""Time limit of one run; a search resumes from its trials."""
UNCHANGED = {"merge": "as it is"}
"""The values of a joint trial without numbers: a merge with other factors for each model."""


def run_request(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> dict[str, Any]:
    """Start or resume a search; runs in its own thread. Emits ("trial", row). Raises OutOfBudget
    once the time limit of one run is over."""
    seconds = seconds_of_run(studio)
    bounded = Bounded(stop, seconds)
    try:
        result, best = _searched(request, studio, cache, emit, bounded)
        front = list(result.front) if isinstance(result, StudyState) else []
        take = taken_over(request.session, result.recipe)
        merges = map(studio.identity, (result.recipe, request.recipe))
        key = ("tested", *merges, request.options.limit, request.contents)
        test = cache.find(key) or cache.keep(key, tested(request, result.recipe, studio, bounded))
        return {"front": front, "best": best, "take": take, **test}
    except Cancelled as error:
        if bounded.overran:
            raise OutOfBudget(
                f"One run here takes up to {seconds / 60:.0f} minutes. Start goes on from there."
            ) from error
        raise


def seconds_of_run(studio: Studio) -> float:
    """The time limit of one run."""
    return PUBLIC_SECONDS if studio.public else OWN_SECONDS


def _searched(
    request: SearchRequest, studio: Studio, cache: Recent, emit: Emit, stop: Stop
) -> tuple[SearchResult, Any]:
    """The result, and the best trial as a row; of a climb the best of each model."""
    options, rows = request.options, dict[int, dict[str, Any]]()
    domains = domains_for(request.recipe, request.tasks)
    facts = made_by(request.recipe, options, domains, public=studio.public)
    varied = {"vary": options.vary or options.grid, "goals": options.objectives}
    store = _trial_store(cache, facts | varied, partial(new_state, options, facts))
    profiles = remembered_profiles(public=studio.public)

    def watch(trial: SearchTrial) -> None:
        climbing = options.way == "climb"
        row = _climb_row(trial) if climbing else _row(trial, request.session, profiles)
        rows[trial.number] = row
        emit(("trial", row))

    examiner = _examiner(studio)
    with store.alone(stop) as state:
        result = run_search(
            *(request.recipe, options, partial(examiner.score, stop=stop)),
            tasks=request.tasks,
            state=state,
            watch=watch,
            stop=stop,
            public=studio.public,
            beside=examiner.parallel_exams(request.recipe),
        )
    if isinstance(result, JointResult | StudyState):
        return result, rows[result.best.number]
    climbs = result.searches if isinstance(result, ClimbResult) else ()
    best = [_climb_row(climb.best) for climb in climbs]
    return result, [{name: row[name] for name in ("model", "factors", "score")} for row in best]


def _examiner(studio: Studio) -> Examiner:
    """An examiner that keeps no marks: a search asks each merge once."""
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    return Examiner(studio.pool(), public=studio.public, keep=False)


def tested(request: SearchRequest, best: MergeRecipe, studio: Studio, stop: Stop) -> dict[str, Any]:
    """The best merge against the original one on as many test items: a sentence, and whether the
    best one answered fewer of them, beyond chance."""
    if recipe_hash(best) == recipe_hash(request.recipe):
        return {"test": "The given merge itself is the best of those tried.", "worse": False}
    examiner = _examiner(studio)
    domains = dict.fromkeys(domains_for(request.recipe, request.tasks))

    def hits(merge: MergeRecipe, domain: str) -> tuple[bool, ...]:
        return examiner.score(Exam(merge, domain, "test", request.options.limit), stop=stop).hits

    gap = compared({d: (hits(best, d), hits(request.recipe, d)) for d in domains})
    text = comparison_sentence(gap, "what was found", "the given merge")
    worse = gap.significant and gap.difference.value < 0
    return {"test": f"On test questions: {text}", "worse": worse}


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


def _climb_row(trial: SearchTrial) -> dict[str, Any]:
    band = max((k for k, factor in enumerate(trial.amplification) if factor), default=0)
    row = {"model": trial.model, "factors": list(trial.amplification), "band": band}
    return row | {"score": trial.goals[0]}


def _row(trial: SearchTrial, session: Session, profiles: ProfileOf) -> dict[str, Any]:
    recipe = parse_recipe(trial.recipe) if trial.state == "complete" else None
    return {
        "number": trial.number,
        "values": dict(trial.values) or UNCHANGED,
        "state": trial.state,
        "goals": trial.goals,
        "retentions": dict(trial.retentions),
        "density": trial.density or (density_of(recipe, profiles) if recipe else 0.0),
        "take": taken_over(session, recipe) if recipe else None,
    }


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
    key = ("trials", replace(request, options=replace(request.options, trials=0)), request.contents)
    earlier: list[dict[str, Any]] = cache.find(key) or []
    trials: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    yield {"state": "running", **about, **_standing(request, earlier)}
    job = studio.start(
        SEARCH, lambda emit, stop: results.append(run_request(request, studio, cache, emit, stop))
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
    options = request.options
    parameters = options.parameters(request.recipe) if options.in_study else ()
    names = [parameter.name for parameter in parameters]
    if options.joint:
        axes = axes_of(request.recipe, per_model=options.per_model)
        names = [*UNCHANGED, *(axis.name for axis in axes)]
    sides = parameters if options.grid else ()
    return {
        "id": secrets.token_hex(4),
        "way": options.way,
        "goals": options.objectives if options.in_study else GOALS["retention"],
        "sides": [{"name": side.name, "values": list(side.values())} for side in sides],
        "limit": options.limit,
        "result": None,
        "words": {name: knob_words(name) for name in names},
    }


def _standing(request: SearchRequest, trials: list[dict[str, Any]]) -> dict[str, Any]:
    words = _trial_words(request.options.way, trials) if trials else "Starting"
    total = request.options.trials
    return {"trials": list(trials), "done": len(trials), "total": total, "what": words}


def _trial_words(way: str, trials: list[dict[str, Any]]) -> str:
    """The settings of the last trial."""
    last = trials[-1]
    if way == "climb":
        factors = " / ".join(f"{factor:g}" for factor in last["factors"])
        return f"{len(trials)} settings tried, the last × {factors}"
    values = last["values"].items()
    return ", ".join(f"{knob_words(name)} {value_text(name, value)}" for name, value in values)
