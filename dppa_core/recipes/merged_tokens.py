"""The keys vocabulary and chat_template of a recipe: whose tokens and template the merge has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dppa_core.checkpoints.sources.references import checked_reference, kept_delta
from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS, MAX_TEMPLATE, is_template
from dppa_core.checkpoints.vocabulary.token_rows import BASE_WORD, ZERO, TokenRow, TokenRows
from dppa_core.errors import InvalidRecipe, shown
from dppa_core.parameter_fields import as_boolean, check_keys
from dppa_core.recipes.checks import within

CHOICES = {
    "vocabulary": ("base", "union"),
    "chat_template": ("auto", "base", "common", "none", *FORMATS),
}
"""Key of a recipe -> allowed words besides the models; see `MergeRecipe`."""
_KEYS = ("source", "lacking", "tokens", "pad_to_multiple_of")
_KINDS: dict[str, tuple[type, str]] = {
    "source": (str, "base, zero, or a model"),
    "token": (str, "a text"),
    "token_id": (int, "a whole number"),
    "force": (bool, "true or false"),
}


def checked_choice(key: str, value: Any, references: Sequence[str]) -> str:
    """A vocabulary or chat template: an allowed word, or a model by reference or index; a template
    may be a text in Jinja, a vocabulary that of a model that is not merged."""
    words = CHOICES[key]
    if type(value) is int and 0 <= value < len(references):
        value = references[value]
        if value in words:
            raise InvalidRecipe(
                f"{key}: the model {value!r} has the name of a choice; write ./{value}."
            )
    if isinstance(value, str) and (value.strip() in words or value.strip() in references):
        return value.strip()
    if key == "chat_template" and isinstance(value, str) and is_template(value):
        if len(value) > MAX_TEMPLATE:
            raise InvalidRecipe(
                f"chat_template has {len(value)} characters; at most {MAX_TEMPLATE} are read."
            )
        return value
    if key == "vocabulary" and isinstance(value, str) and "/" in value:
        return within(key, lambda: checked_reference(value))
    text = ", a text in Jinja" if key == "chat_template" else ""
    other = ", or another one by its path or owner/name" if key == "vocabulary" else ""
    raise InvalidRecipe(
        f"{key} must be {', '.join(words)}{text}, one of the models ({', '.join(references)}) or "
        f"its index{other}, got {shown(value)}."
    )


def token_keys(data: Mapping[Any, Any], references: Sequence[str]) -> dict[str, Any]:
    """Fields of a recipe from its keys chat_template and vocabulary: a word, or a mapping."""
    fields = _vocabulary(data.get("vocabulary", "base"), references)
    named = [*references, fields["vocabulary"]]
    template = checked_choice("chat_template", data.get("chat_template", "auto"), named)
    return {"chat_template": template, **fields}


def _vocabulary(value: Any, references: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {"vocabulary": checked_choice("vocabulary", value, references)}
    check_keys(value, _KEYS, "vocabulary")
    size = value.get("pad_to_multiple_of")
    if size is not None and type(size) is not int:
        raise InvalidRecipe(
            f"vocabulary: pad_to_multiple_of must be a whole number, got {shown(size)}."
        )
    tokens, lacking = value.get("tokens") or {}, value.get("lacking", "base")
    if not isinstance(tokens, Mapping) or not all(isinstance(token, str) for token in tokens):
        raise InvalidRecipe(f"vocabulary: tokens must map tokens to sources, got {shown(tokens)}.")
    rows = {token: _token_row(token, entry, references) for token, entry in tokens.items()}
    origin = value.get("source", "base")
    named = _reference(origin, references) if isinstance(origin, str) else origin
    source = checked_choice("vocabulary", named, references)
    made = within("vocabulary", lambda: TokenRows(rows, size, lacking))
    return {"vocabulary": source, "token_rows": made}


def _reference(name: Any, references: Sequence[str]) -> Any:
    """The model with that index or name, which may leave out the forms that keep its delta."""
    if type(name) is int and 0 <= name < len(references):
        return references[name]
    kept = {delta.model: model for model in references if (delta := kept_delta(model))}
    return kept.get(name, name) if isinstance(name, str) else name


def _token_row(token: str, entry: Any, references: Sequence[str]) -> TokenRow:
    place = f"vocabulary: tokens: {shown(token)}"
    values = dict(entry) if isinstance(entry, Mapping) else {"source": entry}
    check_keys(values, tuple(_KINDS), place)
    values["source"] = _reference(values.get("source", ""), references)
    for key, (kind, words) in _KINDS.items():
        value = values.get(key, kind())
        if kind is bool and (boolean := as_boolean(value)) is not None:
            values[key] = value = boolean
        if type(value) is not kind or (key == "source" and not value):
            raise InvalidRecipe(f"{place}: {key} must be {words}, got {shown(value)}.")
    return within(place, lambda: TokenRow(**values))


def checked_token_rows(rows: TokenRows, base: str, references: Sequence[str]) -> TokenRows:
    """Rules whose sources are models of the recipe; the base by its reference becomes `base`."""
    tokens = {}
    for token, row in rows.tokens.items():
        source = BASE_WORD if row.source == base else row.source
        if source not in (BASE_WORD, ZERO, *references):
            raise InvalidRecipe(
                f"vocabulary: tokens: {shown(token)}: source must be base, zero, or one of the "
                f"models ({', '.join(references)}), got {shown(source)}."
            )
        tokens[token] = replace(row, source=source)
    return replace(rows, tokens=tokens)
