"""Restoring a whole session from the history, a preset, a link or a recipe file."""

from __future__ import annotations

import os
from typing import Any

import gradio as gr

from components.session.json_form import asked_keys
from components.session.link import LONGEST_LINK
from components.session.session import Session
from components.session.state import state_of
from components.widgets.browser_parts import live
from components.work.plans import PLAIN
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, parse_recipe, recipe_hash

LONGEST_RECIPE = 50_000
"""Most characters of a recipe file."""
FILE_NAME = "recipe.yaml"


def build_tune(session: Session) -> gr.HTML:
    """Undo, redo, reset, two slots, presets of one's own, recipe files and the link."""
    space = os.environ.get("SPACE_ID", "")
    value = {
        "start": state_of(session),
        # Inside a Space the page's own address is not the one people see.
        "address": f"https://huggingface.co/spaces/{space}" if space else "",
        "longest": {"link": LONGEST_LINK, "recipe": LONGEST_RECIPE},
    }
    return live("tune", value, events=("restore", "read", "write"))


def asked(value: object, key: str) -> tuple[int, Any]:
    """Read {"id": number, key: …}; the answer repeats the number. Raises InvalidValue."""
    data = asked_keys(value, id=int)
    if not 0 <= data["id"] < 2**31:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    return data["id"], data.get(key)


def asked_recipe(value: object) -> tuple[int, MergeRecipe]:
    """The number of the request, and its recipe; raises InvalidRecipe if it is none."""
    number, text = asked(value, "recipe")
    if not isinstance(text, str) or len(text) > LONGEST_RECIPE:
        raise InvalidValue(
            f"A recipe is a text of up to {LONGEST_RECIPE} characters. Another kind of file, such "
            "as a file of weights, is the usual cause."
        )
    return number, parse_recipe(text)


def file_value(session: Session, number: int) -> dict[str, Any]:
    """The recipe as a file for the browser to save; InvalidValue if there is nothing to merge."""
    recipe = session.recipe()
    saved = {"name": FILE_NAME, "text": dump_recipe(recipe), "recipe": recipe_hash(recipe)}
    return {"saved": saved, "id": number}


def is_at_hand(session: Session, studio: Studio) -> bool:
    """Whether the session can be drawn without measuring."""
    return all(
        studio.measured(session.base, model.reference, kind)
        for model in session.models
        for kind in {"magnitude", session.significance}
    )


def is_embedded(session: Session) -> bool:
    """Whether all its models are embedded, with a ranking that needs no text."""
    names = (session.base, *(model.reference for model in session.models))
    plain = session.significance in PLAIN
    return plain and all(name.startswith("zoo:") and "+" not in name for name in names)
