"""Exports whose tokens and chat template a merge has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dppa_core.checkpoints.sources.references import stacked_models
from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS, is_template
from dppa_core.checkpoints.vocabulary.token_rows import BASE_WORD, ZERO, TokenRow
from dppa_core.recipes.yaml_text import MergeRecipe

_WORDS = ("union", "base")
_SHORTEST = 20
"""Characters of the shortest template that mergekit takes as a text."""


def tokens_in_mergekit(
    recipe: MergeRecipe, place: Callable[[str], str], base: str, notes: list[str]
) -> dict[str, Any]:
    """The keys of tokenizer and chat template; differences go into the notes.

    Args:
        place: Reference -> the name or path for mergekit.
        base: The base_model for mergekit; empty if it has none.
    """
    written = _chat_template(recipe, notes)
    if recipe.keeps_vocabulary:
        return written
    rows, owner = recipe.token_rows, recipe.vocabulary
    if rows.pad_to_multiple_of is None:
        notes.append("mergekit leaves out the rows without a token, which are kept here.")
    if (rows.lacking == "base") != bool(base):
        rule = "the base's" if base else "the mean of the models that have it"
        notes.append(f"In mergekit the row of a token that some models lack is {rule}.")
    of_base = owner == "base" and base != recipe.base
    named = recipe.base if of_base else owner
    source = named if named in _WORDS else place(stacked_models(named)[0])
    if named not in _WORDS and source in _WORDS:  # a folder of that name
        source = f"./{source}"
    if not rows.tokens and rows.pad_to_multiple_of in (None, 1):
        return written | {"tokenizer_source": source}

    def row_of(row: TokenRow) -> dict[str, Any]:
        model = recipe.base if row.source == BASE_WORD else row.source
        origin: Any = {"kind": "zero"} if row.source == ZERO else place(stacked_models(model)[0])
        keys = {"token": row.token, "token_id": row.token_id}
        named = {key: value for key, value in keys.items() if value is not None}
        if named:
            origin = {"kind": "model_token", "model": origin, **named}
        return {"source": origin, **({"force": True} if row.force else {})}

    tokens = {token: row_of(row) for token, row in rows.tokens.items()}
    size = rows.pad_to_multiple_of or 1
    tokenizer = {"source": source, **({"tokens": tokens} if tokens else {})}
    return written | {"tokenizer": tokenizer | ({"pad_to_multiple_of": size} if size > 1 else {})}


def _chat_template(recipe: MergeRecipe, notes: list[str]) -> dict[str, str]:
    template, owner = recipe.chat_template, recipe.vocabulary
    if template == "common":
        return {"chat_template": "auto"}
    if template == "llama3-mergekit":
        return {"chat_template": "llama3"}
    if template in FORMATS and template != "llama3":
        return {"chat_template": template}
    if template in FORMATS or (is_template(template) and len(template) >= _SHORTEST):
        return {"chat_template": FORMATS.get(template, template)}
    own = template == owner or (template == "base" and owner == "union")
    if template != "auto" and not own:
        notes.append(
            "mergekit takes the chat template of the tokenizer's model; the recipe names another."
        )
    return {}
