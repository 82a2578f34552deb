"""The pinned question: its answer follows the merge, while a slider moves and at rest.
assets/js/pinned/ asks and draws."""

from __future__ import annotations

import math
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget, shown
from dppa_core.models.reply import GenerationSettings
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.system.recent import Recent
from dppa_core.tasks import DOMAINS, example_items, example_of, score
from dppa_core.tasks.item_files import read_items
from dppa_core.tasks.own_items import OwnItem

from ...session.json_form import asked_keys
from ...session.session import Session
from ...widgets.browser_parts import live
from ...work.job import Bounded
from ...work.progress_stream import growing
from ...work.question import checked_text
from ...work.rate_limits import PINNED_ANSWERS, Bucket
from ...work.studio import ANSWER_WORKERS, Studio
from ...work.visitor import Visitor

LONGEST = 48
"""Most tokens of a pinned answer."""
BUSY = 2 * ANSWER_WORKERS
"""Answers in progress from which on only sliders at rest are answered."""
SECONDS = 20.0
"""Time limit of one pinned answer on a public page."""
KNOWN = 4096


@dataclass(frozen=True, slots=True)
class PinnedView:
    """The components of the pinned question."""

    answer: gr.HTML
    next: gr.HTML
    """Hidden: requests next tokens and carries them."""
    breaks: gr.HTML
    """Requests curves, and draws them."""


def build_pinned() -> PinnedView:
    """The question, its answer, and what may come next."""
    examples = [
        {"domain": domain, "prompt": item.prompt}
        for domain in DOMAINS
        for item in example_items(domain)
    ]
    answer = live("pinned", {"examples": examples}, events=("move", "rest"))
    following = live("next", None, events=("look",))
    return PinnedView(answer, following, live("breaks", None, events=("trace", "halt")))


@dataclass(frozen=True, slots=True)
class PinnedQuestion:
    """A request of the page."""

    number: int
    """Returned with its answer."""
    prompt: str
    moving: bool
    """Whether a slider still moves: such an answer may be left out."""
    item: OwnItem | None = None
    """The visitor's own question by which it is marked."""


def read_pinned(value: object) -> PinnedQuestion:
    """Read JSON text; raises InvalidValue."""
    asked = asked_keys(value, id=int, moving=bool)
    prompt = checked_text("question", asked.get("prompt"))
    line = asked.get("line")
    item = _own_item(line, prompt) if isinstance(line, str) and line else None
    return PinnedQuestion(asked["id"], prompt, asked["moving"], item)


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
        self._studio, self._known, self._of_tab = studio, Recent(KNOWN), Recent(1000)
        self._bucket = Bucket(*PINNED_ANSWERS) if studio.public else None
        self._seconds = SECONDS if studio.public else math.inf

    def value(self, session: Session, asked: PinnedQuestion, visitor: Visitor) -> dict[str, Any]:
        """The answer of the session's merge; `later` says why there is none now. Raises DppaError
        if the session is no merge, or cannot answer."""
        recipe = session.recipe()
        key = (recipe_hash(recipe), asked.prompt, asked.item, self._studio.identity(recipe))
        found = self._known.find(key)
        if found is None:
            later = self._later(asked, visitor)
            if later:
                return {"later": later}
            found = self._known.keep(key, self._written(recipe, asked, visitor))
        return {"question": asked.prompt, "recipe": key[0], **found}

    def _later(self, asked: PinnedQuestion, visitor: Visitor) -> str:
        if not self._studio.ready:
            return "starting"
        if asked.moving and self._studio.people.waiting >= BUSY:
            return "busy"
        if self._bucket and not self._bucket.take(visitor):
            return "often"
        return ""

    def _written(self, recipe: Any, asked: PinnedQuestion, visitor: Visitor) -> dict[str, Any]:
        replaced, before = threading.Event(), self._of_tab.find(visitor.tab)
        self._of_tab.keep(visitor.tab, replaced)
        if before is not None and not asked.moving:
            before.set()
        stop = Bounded(replaced, self._seconds)
        settings = GenerationSettings(LONGEST)
        events = self._studio.answerer().replies(recipe, asked.prompt, settings, stop)
        try:
            with self._studio.works.timed("pinned"), self._studio.people.one(), closing(events):
                *_, answer = growing(events)
        except Cancelled:
            if not stop.overran:
                raise
            raise OutOfBudget(
                f"The pinned answer took longer than {SECONDS:.0f} s and was stopped. Many "
                "visitors at once are the usual cause: move a slider to ask again."
            ) from None
        item = asked.item or example_of(asked.prompt)
        right = None if item is None else score(item, answer["text"])
        return {**answer, "right": right, "expected": item.answer if item else ""}
