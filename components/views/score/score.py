"""The score: base, domain models, plain merges and the merge answer the same test questions.
assets/js/panes/score.js draws the table."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.scores import Exam, Marks, Target, marked_score
from dppa_core.evaluation.side_by_side import AGAINST, RECIPE, Entrant, SideBySide
from dppa_core.evaluation.side_by_side_values import side_by_side_json
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks import DOMAINS, Item, items

from ...session.session import Session
from ...session.state import other_session
from ...widgets.browser_parts import live, static
from ...widgets.controls import Controls, slider
from ...widgets.runs import build_run, wire_run
from ...work import progress_stream
from ...work.studio import Emit, Studio
from .score_values import (
    ScoreProgress,
    ScoreRow,
    contestants,
    plain_sentence,
    retention_sentence,
    score_value,
    verdict_sentence,
)

FOURS, MOST_ITEMS = 4, 400
"""Fewest questions a domain, also their step; most questions."""
Known = dict[tuple[str, str], Marks]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A checked request."""

    rows: tuple[ScoreRow, ...]
    targets: Mapping[tuple[str, str], Target]
    """(target of a row, domain) -> scored target: some methods merge for each domain."""
    limit: int
    base: str
    id: str
    who: tuple[Entrant, ...]
    """The rows, as the evaluation knows them."""

    @property
    def total(self) -> int:
        """Questions in all."""
        return len(self.rows) * len(DOMAINS) * self.limit

    def of(self, row: str, domain: str) -> Exam:
        """The exam of a row's target in a domain."""
        return Exam(self.targets[row, domain], domain, "test", self.limit)


def read_exam(number: Any, given: object, session: Session) -> ScoreRequest:
    """Check the number of questions, and the slot that is not shown (`given`)."""
    limit = int(check_number("Questions", number, FOURS, MOST_ITEMS))
    if limit % FOURS or limit != number:
        raise InvalidValue(
            f"Questions come in fours, so that every task is asked equally often; got "
            f"{shown(number)}."
        )
    other = other_session(given, session)
    who = contestants(session, given)
    rows = tuple(_row(one, session) for one in who)
    targets = {
        (row.target, domain): one.target
        for row, one in zip(rows, who, strict=True)
        for domain in DOMAINS
    }
    for domain in DOMAINS:
        targets["merged", domain] = session.asked_about(domain).recipe()
        if other is not None:
            targets["other", domain] = other.asked_about(domain).recipe()
    return ScoreRequest(rows, targets, limit, session.base, secrets.token_hex(4), who)


def _row(one: Entrant, session: Session) -> ScoreRow:
    if isinstance(one.target, str):
        return ScoreRow(one.target, one.label)
    if one.key == RECIPE:
        by_domain = ", by domain" if session.method.names_domain else ""
        return ScoreRow("merged", one.label + by_domain, recipe_hash(one.target))
    if one.key == AGAINST:
        return ScoreRow("other", one.label, recipe_hash(one.target))
    return ScoreRow(one.key, one.label)


def first_standing(exam: ScoreRequest, studio: Studio) -> ScoreProgress:
    """The progress at the start of an exam; earlier scores are not repeated."""
    asking = [
        (row, domain)
        for row in exam.rows
        for domain in DOMAINS
        if studio.examiner().known(exam.of(row.target, domain)) is None
    ]
    if not asking:
        return ScoreProgress("scoring")
    return replace(_readying(exam, *asking[0], studio), left=len(asking) * exam.limit)


def _readying(exam: ScoreRequest, row: ScoreRow, domain: str, studio: Studio) -> ScoreProgress:
    """The preparation before a model can be scored."""
    target = exam.targets[row.target, domain]
    if isinstance(target, MergeRecipe) and not studio.merged(target):
        return ScoreProgress("merging", "Merging the weights")
    return ScoreProgress("scoring", f"Loading {row.label}")


def exam_events(exam: ScoreRequest, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Score every model on every domain; runs in its own thread. Emits ("standing", ScoreProgress)
    and ("score", target, domain, marks)."""
    standing = first_standing(exam, studio)
    for row in exam.rows:
        for domain in DOMAINS:
            target = exam.targets[row.target, domain]
            known = studio.examiner().known(exam.of(row.target, domain))
            if known is None:
                ready = _readying(exam, row, domain, studio)
                emit(("standing", standing.now(ready.activity, ready.what)))
                with studio.lend(target, _merge_teller(standing, emit), stop):
                    standing = standing.now("scoring", f"Asking {row.label} about {domain}")
                    emit(("standing", standing))
                    known, standing = _ask(exam, (row.target, domain), studio, standing, emit, stop)
            else:
                standing = replace(standing, done=standing.done + exam.limit)
            emit(("standing", standing))
            emit(("score", row.target, domain, known))


def _merge_teller(standing: ScoreProgress, emit: Emit) -> Progress:
    def tell(done: int, total: int, _what: str) -> None:
        what = f"Merging the weights: {done} of {total} tensors"
        emit(("standing", standing.now("merging", what)))

    return tell


def _ask(
    exam: ScoreRequest,
    cell: tuple[str, str],
    studio: Studio,
    before: ScoreProgress,
    emit: Emit,
    stop: Stop,
) -> tuple[Marks, ScoreProgress]:
    """One model's marks on one domain, and the progress after it."""
    begun = time.monotonic()

    def tell(count: int) -> None:
        emit(("standing", before.after(count, time.monotonic() - begun)))

    marks = studio.examiner().marks(exam.of(*cell), progress=tell, stop=stop)
    return marks, before.after(exam.limit, time.monotonic() - begun)


def stream_exam(exam: ScoreRequest, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield the growing table, a few times a second; it starts with cached scores."""
    scores: Known = {}
    standing = ScoreProgress("waiting", "Starting")
    yield exam_value(exam, scores, "running", standing)
    job = studio.start("score", lambda emit, stop: exam_events(exam, studio, emit, stop))
    shown = time.monotonic()
    for batch in job.batches(every=0.25):
        for event in batch:
            if event[0] == "score":
                scores[event[1], event[2]] = event[3]
            else:
                standing = event[1]
        if batch or time.monotonic() - shown > 2:
            shown = time.monotonic()
            yield exam_value(exam, scores, "running", standing)
    yield exam_value(exam, scores, standing=standing, **progress_stream.end_of(job))


def exam_value(
    exam: ScoreRequest, scores: Known, state: str, standing: ScoreProgress, note: str = ""
) -> dict[str, Any]:
    """The value of an exam for the browser."""
    asked = {domain: items(domain, "test", exam.limit) for domain in DOMAINS}
    scored = {cell: marked_score(asked[cell[1]], marks) for cell, marks in scores.items()}
    value = score_value(exam.rows, DOMAINS, scored, state, exam.limit)
    seconds = standing.seconds_left()
    progress = {
        "id": exam.id,
        "done": standing.done,
        "total": exam.total,
        "activity": standing.activity,
        "what": standing.what,
        "seconds_left": None if seconds is None else round(seconds, 1),
    }
    if state == "done":
        value |= compared(exam, asked, scores)
        kept = retention_sentence(value["details"][0])
        value["sentence"] = f"{kept} {value['plain']}".strip()
    return {"sentence": "", **value, **progress, "note": note}


def compared(
    exam: ScoreRequest, asked: Mapping[str, tuple[Item, ...]], marks: Known
) -> dict[str, Any]:
    """Retention, loss and forgetting of every row, and the comparison with the other slot."""
    keys = {row.target: one.key for row, one in zip(exam.rows, exam.who, strict=True)}
    who = tuple(replace(one, label=row.label) for row, one in zip(exam.rows, exam.who, strict=True))
    known = {(keys[target], domain): one for (target, domain), one in marks.items()}
    side = SideBySide("test", who, asked, known)
    found, plain = side_by_side_json(side), plain_sentence(side)
    comparison = found["comparison"] or {}
    sentence = comparison.get("sentence", "")
    said = {"comparison": sentence[:1].upper() + sentence[1:], "plain": plain}
    return {"details": found["rows"], **said, "verdict": verdict_sentence(side)}


def stopped_value(value: object) -> dict[str, Any]:
    """The table after Stop: finished scores stay; an idle table stays unchanged."""
    if not isinstance(value, Mapping) or not isinstance(value.get("rows"), list):
        return score_value((), DOMAINS, {}, "idle", 0)
    return progress_stream.stopped_value(value)


_OTHERS = (
    '<p class="how">These questions are those of the embedded models: sums, headlines, clauses. '
    'For models of your own, take <em>Questions of your own</em><span class="of-tasks">, <em>Ready '
    "tasks</em></span> or <em>Perplexity of a text</em>, below.</p>"
    '<button type="button" class="link">Ask these all the same</button>'
)
"""Shown in place of the button if no domain model is embedded."""


def add_score(controls: Controls, studio: Studio) -> gr.HTML:
    """The number of questions, the buttons, the table. Returns the hidden part with the slot that
    is not shown, which only the browser knows."""
    static(_OTHERS, "score-others")
    limit = slider(
        "score-limit",
        (FOURS, MOST_ITEMS, FOURS),
        20,
        "Questions (per domain)",
        "4 to 400, in steps of four: so every task is asked equally often. With 20 only "
        "differences above about 20 points of 100 are seen, with 400 above about 5.",
    )
    idle = score_value((), DOMAINS, {}, "idle", 0)
    runs = build_run("score", "Score all models", "Stop", value=idle)
    other = live("score-other", None)

    def on_score(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        exam = read_exam(values[limit], values.get(other), controls.session(values))
        return stream_exam(exam, studio)

    inputs = controls.inputs | {limit, other}
    wire_run("score", runs, on_score, inputs, stopped=stopped_value)
    return other
