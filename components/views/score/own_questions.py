"""A visitor's own questions for every model of the score: right or wrong, item by item.
assets/js/panes/own-questions.js draws the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.report import as_json
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tasks.item_files import read_items
from dppa_core.tasks.own_items import OwnDomain

from ...session.session import Session
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.progress_stream import stream_run
from ...work.question import whole
from ...work.rate_limits import Allowance
from ...work.studio import Emit, Studio
from ...work.visitor import visitor_of
from .score_values import contestants

NAME, REPLY_TOKENS = "questions", 48
"""The domain's name; most tokens of a reply, if the questions do not say (as the examiner's)."""
DIVIDED = 40
"""So many questions are divided between test and search; of fewer, a half says too little."""


@dataclass(frozen=True, slots=True)
class TextLimits:
    """Most characters of the text, and most questions in it."""

    letters: int
    questions: int


PUBLIC, OWN = TextLimits(20_000, 60), TextLimits(100_000, 1_000)


@dataclass(frozen=True, slots=True)
class OwnQuestions:
    """A checked request: the questions, and the models."""

    domain: OwnDomain
    who: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""

    @property
    def tokens(self) -> int:
        """Most tokens that all models write."""
        asked = len(self.domain.of_split("test")) * len(self.who)
        return asked * (self.domain.tokens or REPLY_TOKENS)


def limits_of(studio: Studio) -> TextLimits:
    """The limits of a public page, or of one's own copy."""
    return PUBLIC if studio.public else OWN


def read_domain(text: object, limits: TextLimits, *splits: str) -> OwnDomain:
    """A visitor's questions; InvalidValue for a mistake, or where one of `splits` is empty."""
    said = whole(text).strip() if isinstance(text, str) else ""
    if not said:
        raise InvalidValue("There are no questions yet: type or paste some, or open a file.")
    if len(said) > limits.letters:
        raise InvalidValue(
            f"The questions have {len(said)} characters, and at most {limits.letters} fit. "
            "`dppa evaluate --items FILE` takes 20 MB."
        )
    if said.startswith("["):
        raise InvalidValue(
            "One question a line, each in { }, without [ ] around them or commas between."
        )
    form = "jsonl" if said.startswith("{") else "csv"
    file = f"Your questions, read as .{form}"
    domain = read_items(said.encode(), file, NAME, most=limits.questions)
    for split in splits:
        domain.of_split(split)
    return domain


def read_own(text: object, other: object, session: Session, limits: TextLimits) -> OwnQuestions:
    """Check the values of a handler; `other` is the slot that is not shown. Raises InvalidValue."""
    domain = read_domain(text, limits)
    if len(domain.items) < DIVIDED:
        domain = domain.undivided()
    return OwnQuestions(domain, contestants(session, other), recipe_hash(session.recipe()))


def answered(asked: OwnQuestions, studio: Studio, emit: Emit, stop: Stop) -> dict[str, Any]:
    """Ask every model; runs in its own thread."""
    from dppa_core.evaluation.run import measure  # noqa: PLC0415  (torch)

    found = measure(
        studio.examiner(),
        asked.who,
        (asked.domain,),
        progress=lambda *told: emit(told),
        stop=stop,
    )
    rows = []
    for row, one in zip(as_json(found)["rows"], asked.who, strict=True):
        cell = row["domains"][NAME]
        names = ("accuracy", "ci95", "n", "retention")
        model = None if isinstance(one.target, MergeRecipe) else one.target
        marks = found.marks[one.key, asked.domain]
        told = {"hits": list(marks.hits), "replies": list(marks.replies)}
        rows.append(
            {"key": one.key, "label": one.label, "model": model, **told}
            | {name: cell[name] for name in names}
        )
    items = [
        {"question": one.question, "prompt": one.prompt, "answer": one.answer, "scorer": one.task}
        for one in asked.domain.of_split("test")
    ]
    return {
        "rows": rows,
        "items": items,
        "all": len(asked.domain.items),
        "divided": DIVIDED,
        "recipe": asked.recipe,
    }


def add_own_questions(
    other: gr.HTML, controls: Controls, studio: Studio, allowance: Allowance
) -> gr.Textbox:
    """A fold: the questions, the buttons, the tables; the browser puts the slot that is not shown
    into `other`. Returns the box of the questions, by which a search may go."""
    limits = limits_of(studio)
    with gr.Accordion("Questions of your own", open=False, elem_id="questions-box"):
        text = gr.Textbox(
            label="Questions with answers",
            info=f"JSON lines or CSV with a header. Up to {DIVIDED - 1}: all are asked. From "
            f"{DIVIDED} on: half, always the same, are asked here, the others are for Search.",
            placeholder='{"question": "What is 2 + 3?", "answer": "5"}',
            lines=4,
            max_lines=10,
            max_length=limits.letters,
            elem_id="questions-text",
        )
        runs = build_run("questions", "Ask all models")

    def on_questions(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        asked = read_own(values[text], values.get(other), controls.session(values), limits)
        allowance.spend(visitor_of(None), asked.tokens)
        return stream_run(studio, "score", lambda *told: answered(asked, studio, *told))

    wire_run("questions", runs, on_questions, controls.inputs | {text, other})
    return text
