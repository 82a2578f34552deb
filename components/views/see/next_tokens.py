"""The likeliest next tokens of the merge, its base and its domain models, side by side.

assets/js/pinned/next.js asks, draws, and applies the temperature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from components.session.answer_settings import LONGEST_ANSWER
from components.session.conversation import Turn, said_before
from components.session.json_form import parsed
from components.session.session import Session
from components.widgets.browser_parts import live
from components.work.error_notices import message
from components.work.question import MERGED, Recipes, checked_text, target_choices, whole
from components.work.studio import Emit, Studio
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.models.reply import Conversation, Prompt
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

LONGEST_TEXT = 20 * LONGEST_ANSWER
"""Characters of an answer so far."""


def build_next() -> gr.HTML:
    """A hidden element that requests next tokens and carries them."""
    return live("next", None, events=("look",))


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
    asked = parsed(value)
    if (
        not isinstance(asked, Mapping)
        or type(asked.get("id")) is not int
        or not isinstance(asked.get("text"), str)
        or not isinstance(asked.get("recipe"), str)
        or not isinstance(asked.get("turn"), str)
    ):
        raise InvalidValue(f"The place in the answer has an unreadable form: {asked!r:.80}.")
    prompt, text = checked_text("question", asked.get("prompt")), whole(asked["text"])
    return NextRequest(asked["id"], prompt, text[:LONGEST_TEXT], asked["recipe"], asked["turn"])


def next_payload(
    asked: NextRequest,
    session: Session,
    turns: tuple[Turn, ...],
    recipes: Recipes,
    studio: Studio,
) -> Iterator[dict[str, Any]]:
    """Yield the tables of more and more models; a model that fails has a note instead.

    Args:
        turns: The conversation; a turn that continues it is read with what came before.
        recipes: Earlier merges of the conversation.
    """
    merge = _merge(asked, session, recipes)
    targets = [(name, merge if name == MERGED else name) for _, name in target_choices(session)]
    rows: list[dict[str, Any]] = []

    def work(emit: Emit, stop: Stop) -> None:
        for name, target in targets:
            prompt = _prompt(asked, name, turns)
            emit((name, *_read(target, prompt, asked.text, studio, stop)))

    for batch in studio.start("next", work).to_its_end():
        rows += [{"target": name, "note": note, **read} for name, read, note in batch]
        if batch:
            yield {"id": asked.number, "recipe": recipe_hash(merge), "rows": rows}


def _merge(asked: NextRequest, session: Session, recipes: Recipes) -> MergeRecipe:
    earlier = {recipe_hash(recipe): recipe for recipe in recipes}
    return earlier.get(asked.recipe) or session.recipe()


def _prompt(asked: NextRequest, name: str, turns: tuple[Turn, ...]) -> Prompt:
    for place, turn in enumerate(turns):
        if turn.id == asked.turn:
            before = said_before(turns[max(place - turn.earlier, 0) : place], name)
            if before or turn.settings.system:
                return Conversation(asked.prompt, before, turn.settings.system)
    return asked.prompt


def _read(
    target: str | MergeRecipe, prompt: Prompt, text: str, studio: Studio, stop: Stop
) -> tuple[dict[str, Any], str]:
    try:
        with studio.people.one():
            return asdict(studio.answerer().reading(target, prompt, text, stop)), ""
    except DppaError as error:
        return {}, message(error)
