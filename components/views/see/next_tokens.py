"""The likeliest next tokens of the merge, its base and its domain models, side by side.
assets/js/pinned/next.js asks, draws, and applies the temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import DppaError
from dppa_core.models.reply import LONGEST_ANSWER
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

from ...session.conversation import Turn
from ...session.json_form import asked_keys
from ...session.session import Session
from ...work.error_notices import message
from ...work.question import (
    MERGED,
    ChatQuestion,
    Recipes,
    checked_text,
    target_choices,
    whole,
)
from ...work.studio import Emit, Studio

LONGEST_TEXT = 20 * LONGEST_ANSWER
"""Characters of an answer so far."""


@dataclass(frozen=True, slots=True)
class NextRequest:
    """A place in an answer."""

    number: int
    prompt: str
    text: str
    """The answer up to that place; may be empty."""
    recipe: str
    """Hash of the merge that wrote it; empty for the current one."""
    turn: str
    """The turn of the conversation; empty for the pinned answer."""


def read_next(value: object) -> NextRequest:
    """Read JSON text; raises InvalidValue."""
    asked = asked_keys(value, id=int, text=str, recipe=str, turn=str)
    prompt, text = checked_text("question", asked.get("prompt")), whole(asked["text"])
    return NextRequest(asked["id"], prompt, text[:LONGEST_TEXT], asked["recipe"], asked["turn"])


def next_payload(
    asked: NextRequest,
    session: Session,
    turns: tuple[Turn, ...],
    recipes: Recipes,
    studio: Studio,
) -> Iterator[dict[str, Any]]:
    """Yield the tables of more and more models; a model that fails has a note instead. `recipes`
    are earlier merges; a turn that continues `turns` is read with what came before."""
    earlier = {recipe_hash(recipe): recipe for recipe in recipes}
    merge = earlier.get(asked.recipe) or session.recipe()
    question = _question(asked, turns, merge)
    rows: list[dict[str, Any]] = []

    def work(emit: Emit, stop: Stop) -> None:
        for _, name in target_choices(session):
            emit((name, *_read(question, name, asked.text, studio, stop)))

    for batch in studio.start("next", work).to_its_end():
        rows += [{"target": name, "note": note, **read} for name, read, note in batch]
        if batch:
            yield {"id": asked.number, "recipe": recipe_hash(merge), "rows": rows}


def _question(asked: NextRequest, turns: tuple[Turn, ...], merge: MergeRecipe) -> ChatQuestion:
    """The question, with the turns before it that it continues."""
    question = ChatQuestion(asked.prompt, (), {MERGED: merge})
    for place, turn in enumerate(turns):
        if turn.id == asked.turn:
            before = turns[max(place - turn.earlier, 0) : place]
            return replace(question, settings=turn.settings, before=before)
    return question


def _read(
    question: ChatQuestion, name: str, text: str, studio: Studio, stop: Stop
) -> tuple[dict[str, Any], str]:
    target, prompt = question.target(name), question.said_to(name)
    try:
        with studio.people.one():
            return asdict(studio.answerer().reading(target, prompt, text, stop)), ""
    except DppaError as error:
        return {}, message(error)
