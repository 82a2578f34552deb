"""The pinned question: its answer follows the merge, while a slider moves and at rest.
assets/js/pinned/ requests and draws it."""

from __future__ import annotations

import json
import math
import threading
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget, shown
from dppa_core.models.reply import GenerationSettings
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.recent import Recent
from dppa_core.tasks import DOMAINS, answer_reader, example_items, example_of, score
from dppa_core.tasks.item_files import read_items
from dppa_core.tasks.own_items import OwnItem

from ...session.json_form import asked_keys
from ...session.presets import presets
from ...session.session import Session
from ...session.shipped import shipped
from ...widgets.browser_parts import live
from ...work.job import Bounded
from ...work.kinds import PINNED
from ...work.progress_stream import growing
from ...work.question import checked_text
from ...work.rate_limits import PINNED_ANSWERS, Bucket
from ...work.studio import ANSWER_WORKERS, Studio
from ...work.visitor import Visitor
from .answer_curve import MAX_TOKENS, build_curve

MAX_WAITING = 2 * ANSWER_WORKERS
"""Answers in progress from which on only sliders at rest are answered."""


OPENS = "finance"
"""The domain whose first example the stage opens with: its answer breaks at one rate, for good."""


@dataclass(frozen=True, slots=True)
class PinnedView:
    """The components of the pinned question."""

    answer: gr.HTML
    next: gr.HTML
    """Hidden: requests next tokens and carries them."""
    breaks: gr.HTML
    """Requests curves, and draws them."""


def examples() -> list[dict[str, Any]]:
    """The example questions of all domains, with their answers and how a script reads one."""
    return [
        {
            "domain": domain,
            "prompt": item.prompt,
            "answer": item.answer,
            "read": answer_reader(item),
        }
        for domain in DOMAINS
        for item in example_items(domain)
    ]


def answers_file() -> Path:
    """Answers to the examples, written by `python -m scripts.living --answers`."""
    return shipped("assets/data/living.json")


def opening_answers() -> dict[str, Any]:
    """The answers of the file: `alone`, model -> question -> text; `merged`, preset -> the same."""
    answers: dict[str, Any] = json.loads(answers_file().read_text(encoding="utf-8"))
    return answers


def opening_question() -> str:
    """The question that the stage opens with."""
    return example_items(OPENS)[0].prompt


def _opening_html() -> str:
    """The question and the first preset's answer, until scripts draw them."""
    question = opening_question()
    answer = opening_answers()["merged"][next(iter(presets()))][question]
    return (
        f'<section class="pinned opening"><p class="pinned-head">{escape(question)}</p>'
        f"<p>{escape(answer)}</p></section>"
    )


def build_pinned() -> PinnedView:
    """Build the question, its answer, and the hidden parts of next tokens and curves."""
    value = {
        "examples": examples(),
        "alone": opening_answers()["alone"],
        "opens": opening_question(),
    }
    answer = live("pinned", value, events=("move", "rest"), skeleton=_opening_html())
    next_tokens = live("next", None, events=("look",))
    return PinnedView(answer, next_tokens, build_curve())


@dataclass(frozen=True, slots=True)
class PinnedQuestion:
    """A request of the page."""

    number: int
    """Returned with its answer."""
    prompt: str
    moving: bool
    """True while a slider moves: such an answer may be left out."""
    item: OwnItem | None = None
    """The visitor's own question, by which the answer is marked."""


def read_pinned(value: object) -> PinnedQuestion:
    """Read JSON text; raises InvalidValue."""
    fields = asked_keys(value, id=int, moving=bool)
    prompt = checked_text("question", fields.get("prompt"))
    line = fields.get("line")
    item = _own_item(line, prompt) if isinstance(line, str) and line else None
    return PinnedQuestion(fields["id"], prompt, fields["moving"], item)


def _own_item(line: str, prompt: str) -> OwnItem:
    (item,) = read_items(line.encode(), "The pinned question.jsonl", "own", most=1).items
    if item.prompt != prompt:
        raise InvalidValue(
            f"The page sent the answer of another question, {shown(item.prompt)}: reload it."
        )
    return item


class PinnedAnswers:
    """Pinned answers of all visitors; equal questions to equal recipes share one. Thread-safe."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._answers, self._stops_by_tab = studio, Recent(4096), Recent(1000)
        self._bucket = Bucket(*PINNED_ANSWERS) if studio.public else None
        self._seconds = PINNED.seconds if studio.public else math.inf

    def value(self, session: Session, question: PinnedQuestion, visitor: Visitor) -> dict[str, Any]:
        """The answer of the session's merge; `later` is the reason if there is none now. Raises
        DppaError if the session is no merge, or cannot answer."""
        recipe = session.recipe()
        key = (recipe_hash(recipe), question.prompt, question.item, self._studio.identity(recipe))
        answer = self._answers.find(key)
        if answer is None:
            later = self._later(question, visitor)
            if later:
                return {"later": later}
            answer = self._answers.keep(key, self._write(recipe, question, visitor))
        return {"question": question.prompt, "recipe": key[0], **answer}

    def _later(self, question: PinnedQuestion, visitor: Visitor) -> str:
        if not self._studio.ready:
            return "starting"
        if question.moving and self._studio.people.waiting >= MAX_WAITING:
            return "busy"
        if self._bucket and not self._bucket.take(visitor):
            return "often"
        return ""

    def _write(
        self, recipe: MergeRecipe, question: PinnedQuestion, visitor: Visitor
    ) -> dict[str, Any]:
        """Write the answer; at rest, the earlier question of this tab is stopped."""
        replaced, earlier = threading.Event(), self._stops_by_tab.find(visitor.tab)
        self._stops_by_tab.keep(visitor.tab, replaced)
        if earlier is not None and not question.moving:
            earlier.set()
        stop = Bounded(replaced, self._seconds)
        settings = GenerationSettings(MAX_TOKENS)
        events = self._studio.answerer().replies(recipe, question.prompt, settings, stop)
        try:
            with (
                self._studio.works.timed(PINNED.name),
                self._studio.people.counted(),
                closing(events),
            ):
                *_, answer = growing(events)
        except Cancelled:
            if not stop.overran:
                raise
            raise OutOfBudget(
                f"The pinned answer took longer than {PINNED.seconds:.0f} s and was stopped. Many "
                "visitors at once are the usual cause: move a slider to ask again."
            ) from None
        item = question.item or example_of(question.prompt)
        right = None if item is None else score(item, answer["text"])
        return {**answer, "right": right, "expected": item.answer if item else ""}
