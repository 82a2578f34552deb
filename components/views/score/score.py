"""The score: base, domain models, plain merges and the merge answer the same test questions.
assets/js/panes/score.js draws the table."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.charts.tables import capital
from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.scores import Exam, Marks, Target
from dppa_core.evaluation.side_by_side import AGAINST, RECIPE, Entrant, SideBySide
from dppa_core.evaluation.side_by_side_values import side_by_side_json
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS, items

from ...session.session import Session
from ...session.state import other_session
from ...widgets.browser_parts import live, static
from ...widgets.controls import Controls, slider
from ...widgets.runs import build_run, wire_run
from ...work import progress_stream
from ...work.kinds import SCORE
from ...work.studio import Emit, Studio
from .score_values import (
    ScoreProgress,
    contestants,
    plain_sentence,
    retention_sentence,
    score_value,
    verdict_sentence,
)

MIN_ITEMS, MAX_ITEMS = 4, 400
"""Questions of a domain: the fewest, which are also the step, and the most."""
IDLE: dict[str, Any] = {"state": "idle", "limit": 0, "domains": list(DOMAINS), "rows": []}
"""The value of the table before the first score."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A checked request."""

    entrants: tuple[Entrant, ...]
    """The rows of the table."""
    targets: Mapping[tuple[str, str], Target]
    """(key of an entrant, domain) -> scored target: some methods merge for each domain."""
    limit: int
    id: str

    @property
    def total(self) -> int:
        """Questions in all."""
        return len(self.entrants) * len(DOMAINS) * self.limit

    def exam(self, entrant: Entrant, domain: str) -> Exam:
        """The exam of an entrant in a domain."""
        return Exam(self.targets[entrant.key, domain], domain, "test", self.limit)


def read_score(number: Any, slot: object, session: Session) -> ScoreRequest:
    """Check the number of questions, and the slot that is not open."""
    limit = int(check_number("Questions", number, MIN_ITEMS, MAX_ITEMS))
    if limit % MIN_ITEMS or limit != number:
        raise InvalidValue(
            f"Questions come in fours, so that every task is asked equally often; got "
            f"{shown(number)}."
        )
    against = other_session(slot, session)
    merged, *others = contestants(session, slot)
    if session.method.names_domain:
        merged = replace(merged, label=f"{merged.label}, by domain")
    entrants = (merged, *others)
    targets = {(entrant.key, domain): entrant.target for entrant in entrants for domain in DOMAINS}
    for domain in DOMAINS:
        targets[RECIPE, domain] = session.asked_about(domain).recipe()
        if against is not None:
            targets[AGAINST, domain] = against.asked_about(domain).recipe()
    return ScoreRequest(entrants, targets, limit, secrets.token_hex(4))


def first_progress(request: ScoreRequest, studio: Studio) -> ScoreProgress:
    """The progress at the start; earlier scores are not repeated."""
    unknown = [
        (entrant, domain)
        for entrant in request.entrants
        for domain in DOMAINS
        if studio.examiner().cached_marks(request.exam(entrant, domain)) is None
    ]
    if not unknown:
        return ScoreProgress("scoring")
    return replace(_preparation(request, *unknown[0], studio), left=len(unknown) * request.limit)


def _preparation(
    request: ScoreRequest, entrant: Entrant, domain: str, studio: Studio
) -> ScoreProgress:
    """The step before a model can be scored."""
    target = request.targets[entrant.key, domain]
    if isinstance(target, MergeRecipe) and not studio.merged(target):
        return ScoreProgress("merging", "Merging the weights")
    return ScoreProgress("scoring", f"Loading {entrant.label}")


def score_events(request: ScoreRequest, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Score every model on every domain; runs in its own thread. Emits ("standing", ScoreProgress)
    and ("score", key of the entrant, domain, marks)."""
    standing = first_progress(request, studio)

    def merging(count: int, total: int, _item: str) -> None:
        step = f"Merging the weights: {count} of {total} tensors"
        emit(("standing", standing.now("merging", step)))

    for entrant in request.entrants:
        for domain in DOMAINS:
            exam = request.exam(entrant, domain)
            marks = studio.examiner().cached_marks(exam)
            if marks is None:
                ready = _preparation(request, entrant, domain, studio)
                emit(("standing", standing.now(ready.activity, ready.step)))
                with studio.lend(exam.target, merging, stop):
                    standing = standing.now("scoring", f"Asking {entrant.label} about {domain}")
                    emit(("standing", standing))
                    marks, standing = _ask(exam, studio, standing, emit, stop)
            else:
                standing = replace(standing, answered=standing.answered + request.limit)
            emit(("standing", standing))
            emit(("score", entrant.key, domain, marks))


def _ask(
    exam: Exam, studio: Studio, standing: ScoreProgress, emit: Emit, stop: Stop
) -> tuple[Marks, ScoreProgress]:
    """One model's marks on one domain, and the progress after it."""
    begun = time.monotonic()

    def after(count: int) -> ScoreProgress:
        return standing.after(count, time.monotonic() - begun)

    marks = studio.examiner().marks(
        exam, progress=lambda count: emit(("standing", after(count))), stop=stop
    )
    return marks, after(len(marks.hits))


def stream_score(request: ScoreRequest, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield the growing table, a few times a second; it starts with cached scores."""
    questions = {domain: items(domain, "test", request.limit) for domain in DOMAINS}
    table = SideBySide("test", request.entrants, questions)
    standing = ScoreProgress("waiting", "Starting")
    yield request_value(request, table, "running", standing)
    job = studio.start(SCORE, partial(score_events, request, studio))
    sent = time.monotonic()
    for batch in job.batches(every=0.25):
        for event in batch:
            if event[0] == "score":
                table = replace(table, marks={**table.marks, event[1:3]: event[3]})
            else:
                standing = event[1]
        if batch or time.monotonic() - sent > 2:
            sent = time.monotonic()
            yield request_value(request, table, "running", standing)
    yield request_value(request, table, standing=standing, **progress_stream.end_of(job))


def request_value(
    request: ScoreRequest, table: SideBySide, state: str, standing: ScoreProgress, note: str = ""
) -> dict[str, Any]:
    """The value of the table for the browser."""
    value = {"sentence": "", **score_value(table, state, request.limit)}
    if state == "done":
        value |= _comparison_value(table)
        kept = retention_sentence(value["details"][0])
        value["sentence"] = f"{kept} {value['plain']}".strip()
    seconds = standing.seconds_left()
    return value | {
        "id": request.id,
        "done": standing.answered,
        "total": request.total,
        "activity": standing.activity,
        "what": standing.step,
        "seconds_left": None if seconds is None else round(seconds, 1),
        "note": note,
    }


def _comparison_value(table: SideBySide) -> dict[str, Any]:
    """Retention, loss and forgetting of every row, and the comparison with the other slot."""
    values = side_by_side_json(table)
    comparison = values["comparison"] or {}
    return {
        "details": values["rows"],
        "comparison": capital(comparison.get("sentence", "")),
        "plain": plain_sentence(table),
        "verdict": verdict_sentence(table),
    }


def stopped_value(value: object) -> dict[str, Any]:
    """The table after Stop: finished scores stay; an idle table stays unchanged."""
    if not isinstance(value, Mapping) or not isinstance(value.get("rows"), list):
        return IDLE
    return progress_stream.stopped_value(value)


_OWN_MODELS_HINT = (
    '<p class="how">These questions are those of the embedded models: sums, headlines, clauses. '
    'For models of your own, take <em>Questions of your own</em><span class="of-tasks">, <em>Ready '
    "tasks</em></span> or <em>Perplexity of a text</em>, below.</p>"
    '<button type="button" class="link">Ask these all the same</button>'
)
"""Shown in place of the button if no domain model is embedded."""


def add_score(controls: Controls, studio: Studio) -> gr.HTML:
    """Add the number of questions, the buttons, the table. Returns the hidden part with the slot
    that is not open, which only the browser knows."""
    static(_OWN_MODELS_HINT, "score-others")
    limit = slider(
        "score-limit",
        (MIN_ITEMS, MAX_ITEMS, MIN_ITEMS),
        20,
        "Questions (per domain)",
        "4 to 400, in steps of four: so every task is asked equally often. With 20 only "
        "differences above about 20 points of 100 are seen, with 400 above about 5.",
    )
    runs = build_run("score", "Score all models", "Stop", value=IDLE)
    slot = live("score-other", None)

    def on_score(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        request = read_score(values[limit], values.get(slot), controls.session(values))
        return stream_score(request, studio)

    inputs = controls.inputs | {limit, slot}
    wire_run("score", runs, on_score, inputs, SCORE, stopped=stopped_value)
    return slot
