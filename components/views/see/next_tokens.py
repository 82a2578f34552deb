"""The likeliest next tokens of the merge, its base and its domain models, side by side.
assets/js/pinned/next.js requests and draws them, and applies the temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from dppa_core.errors import DppaError
from dppa_core.models.reply import MAX_TOKENS, Prompt
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

from ...session.conversation import Turn
from ...session.json_form import asked_keys
from ...session.session import Session
from ...work.error_notices import message
from ...work.kinds import NEXT
from ...work.question import MERGED, ChatQuestion, Recipes, checked_text, target_choices, whole
from ...work.studio import Emit, Studio

MAX_TEXT_CHARACTERS = 20 * MAX_TOKENS
"""Of an answer so far."""


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
    fields = asked_keys(value, id=int, text=str, recipe=str, turn=str)
    prompt = checked_text("question", fields.get("prompt"))
    text = whole(fields["text"])[:MAX_TEXT_CHARACTERS]
    return NextRequest(fields["id"], prompt, text, fields["recipe"], fields["turn"])


def next_payload(
    request: NextRequest,
    session: Session,
    turns: tuple[Turn, ...],
    recipes: Recipes,
    studio: Studio,
) -> Iterator[dict[str, Any]]:
    """Yield the tables of more and more models; a model that fails has a note instead. `recipes`
    are earlier merges; a turn that continues `turns` is read with what came before."""
    earlier = {recipe_hash(recipe): recipe for recipe in recipes}
    merge = earlier.get(request.recipe) or session.recipe()
    question = _question(request, turns, merge)
    rows: list[dict[str, Any]] = []

    def work(emit: Emit, stop: Stop) -> None:
        for _, name in target_choices(session):
            target, prompt = question.target(name), question.said_to(name)
            emit((_row(name, target, prompt, request.text, studio, stop),))

    for batch in studio.start(NEXT, work).to_its_end():
        rows += [row for (row,) in batch]
        if batch:
            yield {"id": request.number, "recipe": recipe_hash(merge), "rows": rows}


def _question(request: NextRequest, turns: tuple[Turn, ...], merge: MergeRecipe) -> ChatQuestion:
    """The question, with the earlier turns that it continues."""
    question = ChatQuestion(request.prompt, (), {MERGED: merge})
    for index, turn in enumerate(turns):
        if turn.id == request.turn:
            before = turns[max(index - turn.earlier, 0) : index]
            return replace(question, settings=turn.settings, before=before)
    return question


def _row(
    name: str, target: str | MergeRecipe, prompt: Prompt, text: str, studio: Studio, stop: Stop
) -> dict[str, Any]:
    """The table of one model, or a note why it has none."""
    try:
        with studio.people.counted():
            reading = studio.answerer().reading(target, prompt, text, stop)
    except DppaError as error:
        return {"target": name, "note": message(error)}
    return {"target": name, "note": "", **asdict(reading)}
