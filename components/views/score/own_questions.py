"""A visitor's own questions for every model of the score: right or wrong, item by item.
assets/js/panes/own-questions.js draws the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.evaluation.side_by_side_values import side_by_side_json
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks.own_items import OwnDomain

from ...session.session import Session
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.kinds import SCORE
from ...work.progress_stream import stream_run
from ...work.rate_limits import Allowance
from ...work.studio import Studio
from ...work.visitor import visitor_of
from .own_lists import Lists, QuestionBox, build_lists, limits_of, wire_offer
from .score_values import contestants, model_of

REPLY_TOKENS = 48
"""Most tokens of a reply, if the questions do not say (as the examiner's)."""
MIN_DIVIDED = 40
"""Questions from which on a list is divided between test and search; half of fewer is too few."""


@dataclass(frozen=True, slots=True)
class OwnQuestions:
    """A checked request: the lists of questions, and the models."""

    domains: tuple[OwnDomain, ...]
    entrants: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""

    @property
    def tokens(self) -> int:
        """Most tokens that all models write."""
        return len(self.entrants) * sum(
            len(domain.of_split("test")) * (domain.tokens or REPLY_TOKENS)
            for domain in self.domains
        )


def read_own(lists: Lists, slot: object, session: Session) -> OwnQuestions:
    """The request of a handler; `slot` is the slot that is not open. Raises InvalidValue."""
    domains = tuple(
        domain.undivided() if len(domain.items) < MIN_DIVIDED else domain
        for domain in lists.values()
    )
    entrants = contestants(session, slot, lists)
    return OwnQuestions(domains, entrants, recipe_hash(session.recipe()))


def answers_value(
    request: OwnQuestions, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Ask every model; runs in its own thread."""
    from dppa_core.evaluation.entrant_measurements import measure  # noqa: PLC0415  (torch)

    results = measure(
        studio.examiner(), request.entrants, request.domains, progress=progress, stop=stop
    )
    lists = [
        {
            "name": str(domain),
            "all": len(domain.items),
            "items": [
                {"question": x.question, "prompt": x.prompt, "answer": x.answer, "scorer": x.task}
                for x in domain.of_split("test")
            ],
        }
        for domain in request.domains
    ]
    return {
        "rows": _rows(request, results),
        "lists": lists,
        "divided": MIN_DIVIDED,
        "recipe": request.recipe,
    }


def _rows(request: OwnQuestions, results: SideBySide) -> list[dict[str, Any]]:
    """A row for each model, with a cell for each list."""
    rows, names = [], ("accuracy", "ci95", "n", "retention")
    for row, entrant in zip(side_by_side_json(results)["rows"], request.entrants, strict=True):
        cells = []
        for domain in request.domains:
            marks = results.marks[entrant.key, domain]
            cell = {"hits": list(marks.hits), "replies": list(marks.replies)}
            cells.append(cell | {name: row["domains"][domain][name] for name in names})
        about = {"key": entrant.key, "label": entrant.label, "model": model_of(entrant)}
        rows.append({**about, "cells": cells, "mean_retention": row["mean_retention"]})
    return rows


def add_own_questions(
    slot: gr.HTML, controls: Controls, studio: Studio, allowance: Allowance
) -> QuestionBox:
    """Add a fold: the lists, the buttons, the tables; the browser puts the slot that is not open
    into `slot`. Returns the lists, which a search can use."""
    limits = limits_of(studio)
    with gr.Accordion("Questions of your own", open=False, elem_id="questions-box"):
        box = build_lists(limits, MIN_DIVIDED)
        runs = build_run("questions", "Ask all models")
    wire_offer(box, controls, studio)

    def on_questions(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        request = read_own(box.read(values, session, limits), values.get(slot), session)
        allowance.spend(visitor_of(None), request.tokens)
        return stream_run(studio, SCORE, partial(answers_value, request, studio))

    wire_run("questions", runs, on_questions, controls.inputs | box.inputs | {slot}, SCORE)
    return box
