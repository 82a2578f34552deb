"""Restoring a whole session from the history, a preset, a link or a recipe file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources import zoo
from dppa_core.checkpoints.sources.open import ModelRef, asks_hub
from dppa_core.errors import InvalidValue, shown
from dppa_core.recipes.mergekit.documents import is_mergekit
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.local_names import local_names
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, parse_recipe, recipe_hash

from ...session.json_form import asked_keys
from ...session.link import LONGEST_LINK
from ...session.session import Session
from ...session.state import state_of
from ...widgets.browser_parts import live
from ...widgets.header import PANES, VIEWS
from ...work.plans import PLAIN
from ...work.question import checked_text
from ...work.studio import Studio

MAX_RECIPE_CHARACTERS = 50_000
FILE_NAME = "recipe.yaml"


def build_tune(session: Session, living: Mapping[str, Any]) -> gr.HTML:
    """Build undo, redo, reset, two slots, presets of one's own, recipe files and the link; `living`
    says where figures to embed are, and what they can show."""
    space = os.environ.get("SPACE_ID", "")
    value = {
        "start": state_of(session),
        # Inside a Space the page's own address is not the one people see.
        "address": f"https://huggingface.co/spaces/{space}" if space else "",
        "living": dict(living),
        "longest": {"link": LONGEST_LINK, "recipe": MAX_RECIPE_CHARACTERS},
    }
    return live("tune", value, events=("restore", "read", "write"))


def opened_beside(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parts that a link opens beside its settings: the pinned question (`q`), the `tab` of the
    plots, the `pane`. Raises InvalidValue: an empty or long question, or an unknown name."""
    text = parameters.get("q")
    if text is not None and not text.strip():
        raise InvalidValue("It says q= without a question. Write the question behind it, or no q.")
    question = checked_text("question of this link", text, 0)
    opens = {"question": question} if question else {}
    for key, names in (("tab", VIEWS), ("pane", PANES)):
        name = parameters.get(key)
        if name and name not in names:
            raise InvalidValue(
                f"The {key} of a link is one of {', '.join(names)}; got {shown(name)}."
            )
        opens |= {key: name} if name else {}
    return opens


def numbered_value(value: object, key: str) -> tuple[int, Any]:
    """Read {"id": number, key: …}; the answer repeats the number. Raises InvalidValue."""
    fields = asked_keys(value, id=int)
    if not 0 <= fields["id"] < 2**31:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    return fields["id"], fields.get(key)


def read_recipe(text: object, studio: Studio) -> tuple[MergeRecipe, tuple[str, ...]]:
    """The recipe of a text, and the differences of a merge by mergekit.

    Raises:
        InvalidRecipe: neither a recipe of ours nor of mergekit.
        NoCounterpart: a recipe of mergekit that ours cannot express.
    """
    if not isinstance(text, str) or len(text) > MAX_RECIPE_CHARACTERS:
        raise InvalidValue(
            f"A recipe is a text of up to {MAX_RECIPE_CHARACTERS} characters. Another kind of "
            "file, such as a file of weights, is the usual cause."
        )
    if not is_mergekit(text):
        return parse_recipe(text), ()
    imported = import_mergekit(text, lambda model: _tensor_names(model, studio))
    return imported.recipe, imported.notes


def _tensor_names(model: str, studio: Studio) -> tuple[str, ...]:
    """Names of a model's tensors, see `local_names`; NotAllowed for others than a page offers."""
    ModelRef.parse(model, public=studio.public)
    return local_names(model)


def file_value(session: Session, number: int) -> dict[str, Any]:
    """The recipe as a file for the browser to save; InvalidValue if there is nothing to merge."""
    recipe = session.recipe()
    saved = {"name": FILE_NAME, "text": dump_recipe(recipe), "recipe": recipe_hash(recipe)}
    return {"saved": saved, "id": number}


def is_at_hand(session: Session, studio: Studio) -> bool:
    """Return True if the session can be drawn without measuring."""
    return all(
        studio.measured(session.base, model.reference, kind)
        for model in session.models
        for kind in {"magnitude", session.significance}
    )


def is_embedded(session: Session) -> bool:
    """Return True if all its models are embedded, with a ranking that needs no text."""
    names = (session.base, *(model.reference for model in session.models))
    return session.significance in PLAIN and all(map(zoo.is_embedded, names))


def hub_names(session: Session, studio: Studio) -> list[str]:
    """Names of the models for which opening a session would ask the Hub, with this computer's
    login. Raises DppaError for a reference that is none."""
    names = (session.base, *(model.reference for model in session.models))
    refs = (ModelRef.parse(name, public=studio.public) for name in names)
    return sorted({model.location for ref in refs for model in ref.models if asks_hub(model)})
