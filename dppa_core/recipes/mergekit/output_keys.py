"""What a mergekit recipe says of the merged model: its dtype, tokenizer and chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from dppa_core.checkpoints.sources.references import stacked_models
from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS
from dppa_core.errors import NoCounterpart, shown
from dppa_core.recipes.mergekit.documents import reference_of
from dppa_core.recipes.mergekit.reader import MergekitSource

_DTYPES = ("bfloat16", "float16", "float32")
_IN_FLOAT32 = ("slerp", "passthrough")
"""Methods that mergekit computes in float32, whatever `dtype` says, or not at all."""
_ALWAYS_FLOAT32 = ("ram", "ramplus_tl")
"""Methods that are always computed in float32 here."""


class OutputKeys(TypedDict):
    """Fields of our recipe."""

    dtype: str
    vocabulary: str
    chat_template: str


def read_output(source: MergekitSource) -> OutputKeys:
    """The keys of the merged model; what is left out becomes a note."""
    return {
        "dtype": source.problems.run(lambda: _dtype(source), "base"),
        "vocabulary": _vocabulary(source),
        "chat_template": _chat_template(source),
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


def _vocabulary(source: MergekitSource) -> str:
    """The source of the tokenizer, from `tokenizer` or the older `tokenizer_source`."""
    tokenizer = source.data.get("tokenizer", source.data.get("tokenizer_source"))
    if isinstance(tokenizer, Mapping):
        if tokenizer.get("tokens"):
            source.note(
                "tokenizer: tokens is left out: a row is the model's own, else the base's, "
                "else the mean of those that have it."
            )
        if tokenizer.get("pad_to_multiple_of"):
            source.note(
                "tokenizer: pad_to_multiple_of is left out: the merge has the rows of its tokens, "
                "and those of padding that the tokenizer's model has."
            )
        tokenizer = tokenizer.get("source", "union")
    if tokenizer is None:
        return "base"
    named, base = reference_of(tokenizer), stacked_models(source.base)[0]
    choices = {stacked_models(model)[0]: model for model, _ in source.models}
    choices |= {"base": "base", "union": "union", base: "base"}
    if named not in choices:
        source.note(f"tokenizer {shown(tokenizer)} is left out: it is none of the recipe's models.")
    return choices.get(named or "", "base")


def _chat_template(source: MergekitSource) -> str:
    name = source.data.get("chat_template")
    if name == "llama3":
        source.note(
            "mergekit's template llama3 writes a line end behind each message; here, as in "
            "Llama 3's own, there is none."
        )
    if isinstance(name, str) and name in FORMATS:
        return name
    if name not in (None, "", "auto"):
        source.note(
            f"chat_template {shown(name)} is left out: it is the base's here, or that of the first "
            f"model that has one. Known by name are {', '.join(FORMATS)}."
        )
    return "auto"
