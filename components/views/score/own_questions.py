"""A visitor's own questions for every model of the score: right or wrong, item by item.
assets/js/panes/own-questions.js draws the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.evaluation.side_by_side_values import side_by_side_json
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.own_items import OwnDomain

from ...session.session import Session
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.progress_stream import stream_run
from ...work.rate_limits import Allowance
from ...work.studio import Emit, Studio
from ...work.visitor import visitor_of
from .own_lists import OwnLists, QuestionBox, build_lists, limits_of, wire_offer
from .score_values import contestants

REPLY_TOKENS = 48
"""Most tokens of a reply, if the questions do not say (as the examiner's)."""
DIVIDED = 40
"""So many questions are divided between test and search; of fewer, a half says too little."""


@dataclass(frozen=True, slots=True)
class OwnQuestions:
    """A checked request: the lists of questions, and the models."""

    domains: tuple[OwnDomain, ...]
    who: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""

    @property
    def tokens(self) -> int:
        """Most tokens that all models write."""
        each = (len(one.of_split("test")) * (one.tokens or REPLY_TOKENS) for one in self.domains)
        return sum(each) * len(self.who)


def read_own(lists: OwnLists, other: object, session: Session) -> OwnQuestions:
    """The request of a handler; `other` is the slot that is not shown. Raises InvalidValue."""
    domains = tuple(one.undivided() if len(one.items) < DIVIDED else one for one in lists.domains)
    who = contestants(session, other, lists.by_model)
    return OwnQuestions(domains, who, recipe_hash(session.recipe()))


def answered(asked: OwnQuestions, studio: Studio, emit: Emit, stop: Stop) -> dict[str, Any]:
    """Ask every model; runs in its own thread."""
    from dppa_core.evaluation.entrant_measurements import measure  # noqa: PLC0415  (torch)

    found = measure(
        studio.examiner(),
        asked.who,
        asked.domains,
        progress=lambda *told: emit(told),
        stop=stop,
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
        for domain in asked.domains
    ]
    return {
        "rows": _rows(asked, found),
        "lists": lists,
        "divided": DIVIDED,
        "recipe": asked.recipe,
    }


def _rows(asked: OwnQuestions, found: SideBySide) -> list[dict[str, Any]]:
    """A row for each model, with a cell for each list."""
    rows = []
    for row, one in zip(side_by_side_json(found)["rows"], asked.who, strict=True):
        cells = []
        for domain in asked.domains:
            marks, names = found.marks[one.key, domain], ("accuracy", "ci95", "n", "retention")
            told = {"hits": list(marks.hits), "replies": list(marks.replies)}
            cells.append(told | {name: row["domains"][domain][name] for name in names})
        model = None if isinstance(one.target, MergeRecipe) else one.target
        about = {"key": one.key, "label": one.label, "model": model, "cells": cells}
        rows.append(about | {"mean_retention": row["mean_retention"]})
    return rows


def add_own_questions(
    other: gr.HTML, controls: Controls, studio: Studio, allowance: Allowance
) -> QuestionBox:
    """A fold: the lists, the buttons, the tables; the browser puts the slot that is not shown into
    `other`. Returns the lists, by which a search may go."""
    limits = limits_of(studio)
    with gr.Accordion("Questions of your own", open=False, elem_id="questions-box"):
        box = build_lists(limits, DIVIDED)
        runs = build_run("questions", "Ask all models")
    wire_offer(box, controls, studio)

    def on_questions(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        asked = read_own(box.read(values, session, limits), values.get(other), session)
        allowance.spend(visitor_of(None), asked.tokens)
        return stream_run(studio, "score", lambda *told: answered(asked, studio, *told))

    wire_run("questions", runs, on_questions, controls.inputs | box.inputs | {other})
    return box
