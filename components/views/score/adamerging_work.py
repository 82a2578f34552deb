"""AdaMerging for the page: limited in time and memory, reported checkpoint by checkpoint.
assets/js/panes/adamerging.js draws it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget
from dppa_core.evaluation.side_by_side import domains_of
from dppa_core.progress import Stop
from dppa_core.tuning.adamerging.settings import check_additive, with_coefficients
from dppa_core.tuning.adamerging.snapshot import Snapshot, best_of
from dppa_core.tuning.adamerging.texts import Domain, task_domains

from ...session.state import session_from_state
from ...work.job import Bounded
from ...work.kinds import SEARCH
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from .search_words import ADAMERGING, SearchRequest
from .search_work import seconds_of_run, taken_over, tested


def stream_adamerging(request: SearchRequest, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield values for the browser, a few times a second, until there is a result. Closing the
    iterator stops the run; the checkpoints so far stay."""
    settings = request.adamerging
    about: dict[str, Any] = {
        "id": secrets.token_hex(4),
        "way": ADAMERGING,
        "models": [model.model for model in request.recipe.models],
        "settings": asdict(settings),
        "result": None,
        "trials": [],
    }
    standing: dict[str, Any] = {"done": 0, "total": 0, "what": "Starting"}
    yield {"state": "running", **about, **standing}
    results: list[dict[str, Any]] = []
    job = studio.start(
        SEARCH, lambda emit, stop: results.append(run_adamerging(request, studio, emit, stop))
    )
    for batch in job.batches(every=0.3):
        for name, value in batch:
            if name == "trial":
                about["trials"] = [*about["trials"], value]
            else:
                standing = value
        if batch:
            yield {"state": "running", **about, **standing}
    yield about | end_of(job) | ({} if job.error else {"result": results[0]})


def run_adamerging(
    request: SearchRequest, studio: Studio, emit: Emit, stop: Stop
) -> dict[str, Any]:
    """Find the coefficients; runs in its own thread. Emits ("trial", checkpoint) and ("standing",
    progress). Raises OutOfBudget once the time limit of one run is over."""
    from dppa_core.tuning.adamerging.adamerge import adamerge  # noqa: PLC0415  (torch)

    seconds = seconds_of_run(studio)
    bounded, snapshots = Bounded(stop, seconds), list[Snapshot]()
    check_additive(request.recipe)

    def watch(snapshot: Snapshot) -> None:
        snapshots.append(snapshot)
        best = best_of(snapshots) is snapshot
        emit(("trial", {**_row(snapshot, request), "best": best}))

    def progress(done: int, total: int, items: str) -> None:
        what = f"{items}; {_words(snapshots[-1])}" if snapshots else items
        emit(("standing", {"done": done, "total": total, "what": what}))

    try:
        result = adamerge(
            *(request.recipe, _domains(request), request.adamerging),
            byte_budget=studio.pool().byte_budget // 2,
            public=studio.public,
            progress=progress,
            watch=watch,
            stop=bounded,
        )
        progress(request.adamerging.steps, request.adamerging.steps, "asking test questions")
        best = _row(result.best, request)
        merge = session_from_state(best["take"]).recipe() if best["take"] else result.recipe
        test = tested(request, merge, studio, bounded)
    except Cancelled as error:
        if bounded.overran:
            raise OutOfBudget(
                f"One run here takes up to {seconds / 60:.0f} minutes: choose fewer steps or "
                "questions. The checkpoints so far stay, and each can be taken over."
            ) from error
        raise
    return {"best": best, "take": best["take"], "ended_early": result.ended_early, **test}


def _domains(request: SearchRequest) -> tuple[Domain, ...]:
    """The texts of each model's domain: embedded ones, or the visitor's own questions."""
    names = request.questions or domains_of(
        request.recipe,
        "which prompts are of its domain? Only embedded models have known ones. Tick By your own "
        "questions, and give each model a list.",
    )
    return task_domains(names, request.adamerging)


def own_batch(request: SearchRequest) -> SearchRequest:
    """The request with batches that a visitor's own lists can fill; raises InvalidValue for two
    models with one list."""
    lists = request.questions
    if len(set(lists)) < len(lists):
        raise InvalidValue(
            "AdaMerging reads prompts of each model's own domain: give each model a list of its "
            "own questions."
        )
    counts = [len(domain.of_split("search")) for domain in lists]
    prompts = [count - min(request.adamerging.held_out, count // 2) for count in counts]
    batch = max(1, min([request.adamerging.batch, *prompts]))
    return replace(request, adamerging=replace(request.adamerging, batch=batch))


def _row(snapshot: Snapshot, request: SearchRequest) -> dict[str, Any]:
    """A checkpoint for the browser; `take` is the state of the page with its coefficients."""
    rows = [list(row) for row in snapshot.coefficients]
    return {
        "number": snapshot.step,
        "coefficients": rows,
        "entropy": snapshot.entropy,
        "accuracy": snapshot.accuracy,
        "domains": [asdict(figures) for figures in snapshot.domains.values()],
        "collapsed": snapshot.collapsed,
        "take": taken_over(request.session, with_coefficients(request.recipe, rows)),
    }


def _words(snapshot: Snapshot) -> str:
    right = f"{100 * (snapshot.accuracy or 0):.0f}\u202f%"
    return f"at step {snapshot.step} {right} of the held-out answers were right"
