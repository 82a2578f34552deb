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
    from dppa_core.tuning.search.studied import StudyTrial

PUBLIC_SECONDS, OWN_SECONDS = 240.0, 3600.0
"""Time limit of one run; the next one resumes from its trials."""
AS_GIVEN = {"merge": "as it is"}
"""The setting of a joint search that its numbers cannot tell: other factors for each model."""


def hunted(
    hunt: SearchRequest, studio: Studio, known: Recent, emit: Emit, stop: Stop
) -> dict[str, Any]:
    """Start or resume a search; runs in its own thread. Emits ("standing", what), ("trial", row).
    Raises OutOfBudget once the time limit of one run is over."""
    seconds = PUBLIC_SECONDS if studio.public else OWN_SECONDS
    bounded = Bounded(stop, seconds)
    run = {"climb": _climbed, "joint": _joint}.get(hunt.way, _studied)
    try:
        found, result = run(hunt, studio, known, emit, bounded)
        take = taken_over(hunt.session, found)
        told = ("tested", *map(studio.identity, (found, hunt.recipe)), hunt.limit, hunt.contents)
        tested = known.find(told) or known.keep(told, _tested(hunt, found, studio, bounded))
        return {"front": [], **result, "take": take, **tested}
    except Cancelled as error:
        if bounded.overran:
            raise OutOfBudget(
                f"One run here takes up to {seconds / 60:.0f} minutes. Start goes on from there."
            ) from error
        raise


def _climbed(
    hunt: SearchRequest, studio: Studio, known: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    domains = domains_for(hunt.recipe, hunt.tasks)
    facts = climb_made_by(hunt.recipe, domains, hunt.limit, public=studio.public)
    kept = _kept(known, facts, lambda: TrialScores(None, facts))

    def watch(model: str, trial: Trial, _before: bool) -> None:
        band = max((k for k, factor in enumerate(trial.amplification) if factor), default=0)
        row = {"model": model, "factors": list(trial.amplification), "band": band}
        emit(("trial", row | {"score": trial.score}))

    examiner = Examiner(studio.pool(), public=studio.public, keep=False)
    ask = partial(examiner.score, stop=stop)
    with kept.alone(stop) as memory:
        found = climb(
            *(hunt.recipe, ask),
            tasks=hunt.tasks,
            limit=hunt.limit,
            state=memory,
            watch=watch,
            public=studio.public,
            beside=examiner.at_once(hunt.recipe),
        )
    models = found.to_json()["models"]
    best = [{name: one[name] for name in ("model", "factors", "score")} for one in models]
    return found.recipe, {"best": best}


def _joint(
    hunt: SearchRequest, studio: Studio, known: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    domains = domains_for(hunt.recipe, hunt.tasks)
    facts = joint_made_by(hunt.recipe, domains, hunt.limit, public=studio.public)
    kept, rows = _kept(known, facts, lambda: TrialScores(None, facts)), list[dict[str, Any]]()
    profiles = remembered_profiles(public=studio.public)

    def watch(one: JointTrial) -> None:
        row = {"number": len(rows), "values": dict(one.values) or AS_GIVEN, "state": "complete"}
        scores = {"goals": [one.retention], "retentions": dict(one.retentions)}
        found = {"density": density_of(one.recipe, profiles)}
        rows.append(row | scores | found | {"take": taken_over(hunt.session, one.recipe)})
        emit(("trial", rows[-1]))

    examiner = Examiner(studio.pool(), public=studio.public, keep=False)
    ask = partial(examiner.score, stop=stop)
    with kept.alone(stop) as memory:
        found = search_jointly(
            *(hunt.recipe, ask),
            tasks=hunt.tasks,
            limit=hunt.limit,
            per_model=hunt.per_model,
            state=memory,
            watch=watch,
            public=studio.public,
            beside=examiner.at_once(hunt.recipe),
        )
    return found.recipe, {"best": rows[found.place]}


def _studied(
    hunt: SearchRequest, studio: Studio, known: Recent, emit: Emit, stop: Stop
) -> tuple[MergeRecipe, dict[str, Any]]:
    from optuna.storages import InMemoryStorage  # noqa: PLC0415  (a second)

    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.optuna_study import run_study, study_made_by  # noqa: PLC0415
    from dppa_core.tuning.search.studied import StudySettings  # noqa: PLC0415

    knobs, every = parse_knobs(hunt.vary, hunt.recipe), hunt.way == "grid"
    trials = len(knobs[0].values()) * len(knobs[1].values()) if every else hunt.trials
    settings = StudySettings(knobs, hunt.goals, trials, hunt.limit, every=every)
    domains = domains_for(hunt.recipe, hunt.tasks)
    facts = study_made_by(hunt.recipe, domains, hunt.limit, public=studio.public)
    facts |= {"vary": hunt.vary, "goals": hunt.goals}
    kept = _kept(known, facts, InMemoryStorage)

    def tell(one: StudyTrial) -> None:
        emit(("trial", _row(one, hunt.session)))

    examiner = Examiner(studio.pool(), public=studio.public, keep=False)
    with kept.alone(stop) as storage:
        found = run_study(
            hunt.recipe,
            settings,
            partial(examiner.score, stop=stop),
            tasks=hunt.tasks,
            storage=storage,
            watch=tell,
            earlier=tell,
            stop=stop,
            public=studio.public,
            beside=examiner.at_once(hunt.recipe),
        )
    best = _row(found.best, hunt.session)
    return found.recipe, {"best": best, "front": list(found.front)}


def _tested(hunt: SearchRequest, found: MergeRecipe, studio: Studio, stop: Stop) -> dict[str, Any]:
    """The found merge against the given one on as many test items: a sentence, and whether the
    found one answered fewer of them, beyond chance."""
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

    if recipe_hash(found) == recipe_hash(hunt.recipe):
        return {"test": "The given merge itself is the best of those tried.", "worse": False}
    examiner = Examiner(studio.pool(), public=studio.public, keep=False)
    domains = dict.fromkeys(domains_for(hunt.recipe, hunt.tasks))

    def hits(merge: MergeRecipe, domain: str) -> tuple[bool, ...]:
        return examiner.score(Exam(merge, domain, "test", hunt.limit), stop=stop).hits

    one = compared({d: (hits(found, d), hits(hunt.recipe, d)) for d in domains})
    told = comparison_sentence(one, "what was found", "the given merge")
    return {
        "test": f"On test questions: {told}",
        "worse": one.significant and one.difference.value < 0,
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


def _kept(known: Recent, facts: Mapping[str, Any], make: Callable[[], Any]) -> TrialStore:
    key = json.dumps(facts, sort_keys=True)
    found: TrialStore | None = known.find(key)
    return found or known.keep(key, TrialStore(make(), threading.Lock()))


def _row(one: StudyTrial, session: Session) -> dict[str, Any]:
    take = taken_over(session, parse_recipe(one.recipe)) if one.state == "complete" else None
    row = one.to_json()
    names = ("number", "values", "state", "goals", "retentions", "density")
    return {name: row[name] for name in names} | {"take": take}


def taken_over(session: Session, recipe: MergeRecipe) -> dict[str, Any] | None:
    """The state of a session with this merge; None if the controls cannot show it. Models that are
    switched off stay in the list, and unchanged coefficients keep their number or curve."""
    try:
        found = session_from_recipe(recipe, 0)
    except InvalidValue:
        return None
    now = {model.reference: model for model in found.models}
    weights = {model.model: model.coefficient for model in recipe.models}
    models = tuple(
        model
        if model.reference not in now or model.weight == weights[model.reference]
        else now[model.reference]
        for model in session.models
    )
    return state_of(replace(found, models=models))


def stream_hunt(hunt: SearchRequest, studio: Studio, known: Recent) -> Iterator[dict[str, Any]]:
    """Yield values for the browser, a few times a second, until there is a result. Closing the
    iterator stops the search; its trials are kept for resuming the same search."""
    knobs = parse_knobs(hunt.vary, hunt.recipe) if hunt.vary else ()
    names = [one.name for one in knobs]
    if hunt.way == "joint":
        names = [*AS_GIVEN, *(axis.name for axis in axes_of(hunt.recipe, per_model=hunt.per_model))]
    grid = hunt.way == "grid"
    sides = [{"name": k.name, "values": list(k.values())} for k in knobs] if grid else []
    total = len(sides[0]["values"]) * len(sides[1]["values"]) if sides else hunt.trials
    about: dict[str, Any] = {
        "id": secrets.token_hex(4),
        "way": hunt.way,
        "goals": hunt.goals,
        "sides": sides,
        "limit": hunt.limit,
        "result": None,
        "words": {name: knob_words(name) for name in names},
    }
    told = ("told", replace(hunt, trials=0), hunt.contents)
    before: list[dict[str, Any]] = known.find(told) or []
    trials: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    yield {"state": "running", **about, **_standing(hunt, before, total)}
    job = studio.start(
        "search", lambda emit, stop: results.append(hunted(hunt, studio, known, emit, stop))
    )
    for batch in job.batches(every=0.3):
        trials += [event[1] for event in batch if event[0] == "trial"]
        if len(trials) > len(before):  # earlier trials are sent again first
            before = known.keep(told, list(trials))
        if batch:
            yield {"state": "running", **about, **_standing(hunt, before, total)}
    about["trials"] = before if job.error else trials
    yield about | end_of(job) | ({} if job.error else {"result": results[0]})


def _standing(hunt: SearchRequest, trials: list[dict[str, Any]], total: int) -> dict[str, Any]:
    what = _what(hunt, trials)
    return {"trials": list(trials), "done": len(trials), "total": total, "what": what}


def _what(hunt: SearchRequest, trials: list[dict[str, Any]]) -> str:
    if not trials:
        return "Starting"
    last = trials[-1]
    if hunt.way == "climb":
        factors = " / ".join(f"{factor:g}" for factor in last["factors"])
        return f"{len(trials)} settings tried, the last × {factors}"
    values = last["values"].items()
    return ", ".join(f"{knob_words(name)} {value_text(name, value)}" for name, value in values)
