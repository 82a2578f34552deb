"""What a mergekit recipe says of the merged model: its dtype, tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict

from dppa_core.checkpoints.sources.open import ModelRef, needs_download
from dppa_core.checkpoints.sources.references import stacked_models
from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS, is_template
from dppa_core.checkpoints.vocabulary.token_rows import UNSET, ZERO, TokenRow, TokenRows
from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.parameter_fields import as_boolean
from dppa_core.recipes.checks import within
from dppa_core.recipes.mergekit.documents import reference_of
from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.slices import Names

_DTYPES = ("bfloat16", "float16", "float32")
_IN_FLOAT32 = ("slerp", "passthrough")
"""Methods that mergekit computes in float32, whatever `dtype` says, or not at all."""
_ALWAYS_FLOAT32 = ("ram", "ramplus_tl")
"""Methods that are always computed in float32 here."""


class OutputKeys(TypedDict):
    """Fields of our recipe."""

    dtype: str
    vocabulary: str
    token_rows: TokenRows
    chat_template: str


def read_output(source: MergekitSource, names: Names) -> OutputKeys:
    """The keys of the merged model; what is left out becomes a note."""
    vocabulary = _vocabulary(source, names)
    return {
        "dtype": source.problems.run(lambda: _dtype(source), "base"),
        "vocabulary": vocabulary,
        "token_rows": source.problems.run(lambda: _token_rows(source), UNSET),
        "chat_template": _chat_template(source, vocabulary),
    }


def _dtype(source: MergekitSource) -> str:
    computed, written = (
        str(source.data.get(key) or "").removeprefix("torch.") for key in ("dtype", "out_dtype")
    )
    for dtype in (computed, written):
        if dtype not in ("", *_DTYPES):
            raise NoCounterpart(f"dtype {shown(dtype)}: allowed are {', '.join(_DTYPES)}.")
    if computed not in ("", "float32") and source.method not in _IN_FLOAT32:
        source.note(
            f"mergekit computes in {computed} where the recipe says so; here sums are float32 and "
            f"rounded once.{'' if source.method in _ALWAYS_FLOAT32 else _as_published(computed)}"
        )
    return written or computed or "base"


def _as_published(dtype: str) -> str:
    return (
        f" A line `arithmetic: {dtype}` in the recipe rounds as mergekit does; `dppa "
        f"compare-semantics RECIPE --with {dtype}` says how much that changes."
    )


def _tokenizer(source: MergekitSource) -> Mapping[Any, Any]:
    """The key `tokenizer`, or the older `tokenizer_source`; empty if there is none."""
    value = source.data.get("tokenizer")
    if isinstance(value, Mapping):
        return {"source": "union", **value}
    value = source.data.get("tokenizer_source") if value is None else value
    return {} if value is None else {"source": value}


def _references(source: MergekitSource) -> dict[str, str]:
    """mergekit's name of each model -> ours."""
    models = {stacked_models(model)[0]: model for model, _ in source.models}
    return models | {stacked_models(source.base)[0]: "base"}


def _vocabulary(source: MergekitSource, names: Names) -> str:
    """The source of the tokenizer."""
    tokenizer = _tokenizer(source)
    if not tokenizer:
        return "base"
    named = reference_of(tokenizer["source"])
    choices = _references(source) | {"base": "base", "union": "union"}
    if named is not None and named not in choices and _is_at_hand(named, names):
        choices[named] = named if "/" in named else f"./{named}"
    if named not in choices:
        source.note(
            f"tokenizer {shown(tokenizer['source'])} is left out, and the merge has the base's: "
            "it is not on this disk. Fetch it and import again."
        )
    if named in ("base", "union") and not source.names_base and len(source.models) > 1:
        source.note(
            "The recipe has no base_model: mergekit begins with the tokenizer of any of its "
            "models, here it is the first."
        )
    chosen = choices.get(named or "", "base")
    if chosen != "base" and any(len(stacked_models(model)) > 1 for model, _ in source.models):
        source.note(
            "A stack has the tokens of its first model. Where its last has others, their rows in "
            "the head are zero or left out here; mergekit keeps these rows."
        )
    return chosen


def _is_at_hand(reference: str, names: Names) -> bool:
    """Return True if a model is known, and opens without a download."""
    return bool(names(reference)) and not needs_download(ModelRef.parse(reference))


def _token_rows(source: MergekitSource) -> TokenRows:
    """Rows as mergekit has them: those of the tokens, without a model's own padding."""
    tokenizer = _tokenizer(source)
    if not tokenizer:
        return UNSET
    tokens, size = tokenizer.get("tokens") or {}, tokenizer.get("pad_to_multiple_of") or 1
    if not isinstance(tokens, Mapping):
        raise InvalidRecipe(f"tokenizer: tokens must map tokens to sources, got {shown(tokens)}.")
    if type(size) is not int:
        raise InvalidRecipe(
            f"tokenizer: pad_to_multiple_of must be a whole number, got {shown(size)}."
        )
    read = {
        str(token): source.problems.run(partial(_token_row, source, str(token), entry), None)
        for token, entry in tokens.items()
    }
    rows = {token: row for token, row in read.items() if row is not None}
    lacking = "base" if source.names_base else "mean"
    return within("tokenizer", lambda: TokenRows(rows, size, lacking))


def _token_row(source: MergekitSource, token: str, entry: Any) -> TokenRow | None:
    """The row of one token; None if it has no source, so that nothing is set."""
    place = f"tokenizer: tokens: {shown(token)}"
    if not isinstance(entry, Mapping):
        raise InvalidRecipe(f"{place} must be a mapping with the key 'source', got {shown(entry)}.")
    origin, force = entry.get("source"), as_boolean(entry.get("force")) is True
    if origin is None:
        source.note(
            f"{place} has no source, so that nothing is set; mergekit stops where it would be."
        )
        return None
    models, details = _references(source), origin if isinstance(origin, Mapping) else {}
    if details.get("kind") == "zero" or (origin == ZERO and ZERO not in models):
        return TokenRow(ZERO, force=force)
    of_token = details.get("kind") == "model_token"
    named = reference_of(details.get("model") if of_token else origin)
    if named not in models:
        raise InvalidRecipe(
            f"{place}: the source {shown(origin)} is none of the recipe's models "
            f"({', '.join(models)}), nor {{kind: zero}}."
        )
    name, number = (details.get(key) if of_token else None for key in ("token", "token_id"))
    if of_token and (name is None) == (number is None):
        raise InvalidRecipe(f"{place}: a model_token needs one of 'token' and 'token_id'.")
    if number is not None and type(number) is not int:
        raise InvalidRecipe(f"{place}: token_id must be a whole number, got {shown(number)}.")
    text = None if name is None else str(name)
    return within(place, lambda: TokenRow(models[named], text, number, force))


def _chat_template(source: MergekitSource, vocabulary: str) -> str:
    name = source.data.get("chat_template")
    if name in (None, ""):  # the tokenizer's own
        return "auto" if vocabulary in ("base", "union") else vocabulary
    if name == "auto":
        return "common"
    if name == "llama3":
        return "llama3-mergekit"
    models = _references(source)
    if isinstance(name, str) and (name in FORMATS or name == "none" or is_template(name)):
        return name
    if name in models:
        return models[name]
    source.note(
        f"chat_template {shown(name)} is left out: it is the base's here, or that of the first "
        f"model that has one. Known by name are {', '.join(FORMATS)}."
    )
    return "auto"
