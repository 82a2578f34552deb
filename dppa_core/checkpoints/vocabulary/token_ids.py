"""Moves token ids in files to another vocabulary, and adds tokens to a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from dppa_core.checkpoints.vocabulary.rows import Target
from dppa_core.checkpoints.vocabulary.tokenizer_files import ADDED, FAST, SETTINGS
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary

_LISTS = ("suppress_tokens", "begin_suppress_tokens")
_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def moved_ids(
    values: Mapping[str, Any], old: Vocabulary, new: Vocabulary
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Generation settings with token ids of another vocabulary.

    Returns:
        The settings, and the omitted tokens, which the new vocabulary lacks.
    """
    texts = {row: token for token, row in old.ids.items()}
    moved, lost = dict(values), dict[str, None]()
    for key, value in values.items():
        if not (key.endswith("_token_id") or key in _LISTS) or value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        rows = []
        for row in ids:
            token = texts.get(row) if type(row) is int else None
            if token is not None and token in new.ids:
                rows.append(new.ids[token])
            else:
                lost[token or str(row)] = None
        if not rows:
            del moved[key]
        else:
            moved[key] = rows if isinstance(value, list) else rows[0]
    return moved, tuple(lost)


def without_tokens(files: Mapping[str, bytes], tokens: Collection[str]) -> dict[str, bytes]:
    """Files of a tokenizer without some of its tokens, and without the merges that make them."""
    contents, gone = dict(files), frozenset(tokens)
    if FAST in contents:
        value = json.loads(contents[FAST])
        entries = value.get("added_tokens") or []
        value["added_tokens"] = [entry for entry in entries if entry["content"] not in gone]
        model = value["model"]
        if isinstance(model["vocab"], dict):
            vocab = model["vocab"].items()
            model["vocab"] = {token: row for token, row in vocab if token not in gone}
        merges = model.get("merges")
        if isinstance(merges, list):
            pairs = ((pair, pair.split(" ") if isinstance(pair, str) else pair) for pair in merges)
            model["merges"] = [
                pair for pair, parts in pairs if gone.isdisjoint((*parts, "".join(parts)))
            ]
        contents[FAST] = json_bytes(value)
    if ADDED in contents:
        added = json.loads(contents[ADDED]).items()
        contents[ADDED] = json_bytes({token: row for token, row in added if token not in gone})
    settings = json.loads(contents.get(SETTINGS, b"{}"))
    listed = settings.get("added_tokens_decoder")
    if isinstance(listed, dict):
        kept = {row: entry for row, entry in listed.items() if entry["content"] not in gone}
        contents[SETTINGS] = json_bytes({**settings, "added_tokens_decoder": kept})
    return contents


def with_added(
    files: Mapping[str, bytes], target: Target, definitions: Mapping[str, Mapping[str, Any]]
) -> dict[str, bytes]:
    """Files of the base's tokenizer with the added tokens of a union.

    Args:
        files: Name -> content.
        definitions: Token -> its entry in the tokenizer.json it comes from; empty where unknown.
    """
    contents = dict(files)
    rows = {token: target.vocabulary.ids[token] for token, _ in target.added}
    entries = {token: {"special": True, **_FLAGS, **definitions[token]} for token in rows}
    if FAST in contents:
        value = json.loads(contents[FAST])
        added = [{**entries[token], "id": row, "content": token} for token, row in rows.items()]
        value["added_tokens"] = [*(value.get("added_tokens") or []), *added]
        contents[FAST] = json_bytes(value)
    if ADDED in contents or FAST not in contents:
        contents[ADDED] = json_bytes({**json.loads(contents.get(ADDED, b"{}")), **rows})
    settings = json.loads(contents.get(SETTINGS, b"{}"))
    if isinstance(settings.get("added_tokens_decoder"), dict):
        for token, row in rows.items():
            entry = {key: entries[token][key] for key in ("special", *_FLAGS)}
            settings["added_tokens_decoder"][str(row)] = {"content": token, **entry}
        contents[SETTINGS] = json_bytes(settings)
    return contents


def json_bytes(value: Any) -> bytes:
    """A JSON file as transformers writes it."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
