"""Model references as text: one printable line of bounded length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from dppa_core.errors import InvalidValue, shown
from dppa_core.forms.store import parse_store_text

MAX_REFERENCE_LENGTH = 4096
"""Characters; no path is longer."""
STACK = "stack:"
KEPT = "kept:"
MOST_LAYERS = 256
"""Layers of a stack."""
_PIECE = re.compile(r"([^,\s].*?)\[(\d{1,4}:\d{1,4}(?:,\d{1,4}:\d{1,4})*)\](?:,|$)", re.ASCII)
_MOST_SHOWN = 4


_KEPT = re.compile(re.escape(KEPT) + r"(\S+) of (.+) on (.+)")


class KeptDelta(NamedTuple):
    """A fine-tune of whose delta a store keeps a part."""

    store: str
    """The forms as text, see `parse_store_text`."""
    model: str
    base: str


class LayerRange(NamedTuple):
    """Layers of one model, from `start` to before `stop`."""

    model: str
    start: int
    stop: int


def checked_reference(text: object, subject: str = "A model reference") -> str:
    """A reference, or a folder's path, as text without surrounding space.

    Raises:
        InvalidValue: not a text, empty, too long, or with unprintable characters (NUL, line ends).
    """
    text = str(text) if isinstance(text, Path) else text
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue(
            f"{subject} must be a text such as zoo:math, or a folder, got {shown(text)}."
        )
    text = text.strip()
    if len(text) > MAX_REFERENCE_LENGTH:
        raise InvalidValue(
            f"{subject} has {len(text)} characters; no path has more than {MAX_REFERENCE_LENGTH}."
        )
    if not text.isprintable():
        raise InvalidValue(
            f"{subject} holds a character that cannot be printed: {shown(text)}. "
            "A line end that was copied along is the usual cause."
        )
    return text


def short_name(reference: str) -> str:
    """A short name of a model: math for zoo:math, BASE+ADAPTER.

    For a Hub model the name without owner and commit; for a folder or pack the last part of its
    path.
    """
    kept = kept_delta(reference)
    if kept:
        return f"{short_name(kept.model)} ({parse_store_text(kept.store).title()})"
    ranges = layer_ranges(reference)
    if ranges:
        shown_ranges = [f"{short_name(name)}[{start}:{stop}]" for name, start, stop in ranges]
        if len(ranges) > _MOST_SHOWN:
            shown_ranges[_MOST_SHOWN - 2 : -1] = ["…"]
        return ",".join(shown_ranges)
    parts = [part.removeprefix("zoo:").rstrip("/") for part in reference.split("+")]
    return "+".join(_last(part) for part in parts) or reference


def hub_parts(reference: str) -> tuple[str, ...]:
    """The parts of a reference, models and adapters, that are on the Hub: "hub:owner/name@…"."""
    parts = (part for model in stacked_models(reference) for part in model.split("+"))
    return tuple(part for part in parts if part.startswith("hub:"))


def kept_delta(reference: str) -> KeptDelta | None:
    """The parts of "kept:low_rank(rank=16) of zoo:math on zoo:base"; None of another reference.

    Raises:
        InvalidValue: it begins so, and does not go on so.
    """
    if not reference.startswith(KEPT):
        return None
    match = _KEPT.fullmatch(reference)
    if match is None or KEPT in match[2] + match[3]:
        raise InvalidValue(
            f"{shown(reference)}: what a form keeps of a model is written as "
            f"{KEPT}low_rank(rank=16) of zoo:math on zoo:base, once; in a recipe, `store:` does it."
        )
    return KeptDelta(*match.groups())


def whole_model(reference: str) -> str:
    """The model of whose delta a form keeps a part; another reference as it is."""
    kept = kept_delta(reference)
    return kept.model if kept else reference


def kept_reference(kept: KeptDelta) -> str:
    """The reference of a kept delta; the inverse of `kept_delta`."""
    return f"{KEPT}{kept.store} of {kept.model} on {kept.base}"


def is_stack(reference: str) -> bool:
    """Return True for a stack, but not for an adapter on one."""
    return reference.startswith(STACK) and "]+" not in reference.rpartition("[")[2]


def layer_ranges(reference: str) -> tuple[LayerRange, ...]:
    """The ranges of a stack, as stack:zoo:base[0:3],zoo:math[1:4]; none of another reference.

    Raises:
        InvalidValue: not such ranges, a range without layers, or too many layers.
    """
    if not is_stack(reference):
        return ()
    text, ranges = reference.removeprefix(STACK), list[LayerRange]()
    pieces = list(_PIECE.finditer(text))
    if "".join(piece.group() for piece in pieces) != text or STACK in text:
        raise InvalidValue(
            f"{shown(reference)}: a stack is written as {STACK}zoo:base[0:3],zoo:math[1:4], each "
            "range with its first layer and the one after its last; a stack has no stack inside."
        )
    for piece in pieces:
        for part in piece[2].split(","):
            start, stop = map(int, part.split(":"))
            if start >= stop:
                raise InvalidValue(
                    f"{piece[1]}[{start}:{stop}]: no layer. The second number is the layer after "
                    "the last, so it is larger than the first."
                )
            ranges.append(LayerRange(piece[1].strip(), start, stop))
    layers = sum(stop - start for _, start, stop in ranges)
    if layers > MOST_LAYERS:
        raise InvalidValue(f"A stack of {layers} layers; it may have {MOST_LAYERS}.")
    return tuple(ranges)


def stack_reference(ranges: Iterable[LayerRange]) -> str:
    """The reference of a stack; the inverse of `layer_ranges`."""
    pieces = (
        f"{model}[{','.join(f'{start}:{stop}' for _, start, stop in group)}]"
        for model, group in groupby(ranges, lambda part: part.model)
    )
    return STACK + ",".join(pieces)


def stacked_models(reference: str) -> tuple[str, ...]:
    """The models of a stack, or of a kept delta, each once; of another reference itself."""
    kept = kept_delta(reference)
    if kept:
        return tuple(dict.fromkeys(name for part in kept[1:] for name in stacked_models(part)))
    ranges = layer_ranges(reference)
    return tuple(dict.fromkeys(part.model for part in ranges)) if ranges else (reference,)


def rename_models(reference: str, rename: Callable[[str], str]) -> str:
    """The reference with another name for each model inside it, or for itself."""
    kept = kept_delta(reference)
    if kept:
        model, base = (rename_models(part, rename) for part in kept[1:])
        return kept_reference(KeptDelta(kept.store, model, base))
    ranges = layer_ranges(reference)
    if not ranges:
        return rename(reference)
    return stack_reference(part._replace(model=rename(part.model)) for part in ranges)


def stack_summary(reference: str) -> str:
    """The layers of a stack in words, with their sources; empty for another reference."""
    parts, place = [], 0
    for model, start, stop in layer_ranges(reference):
        end = place + stop - start
        here, there = (
            f"{a}–{b - 1}" if b - a > 1 else f"{a}" for a, b in ((place, end), (start, stop))
        )
        parts.append(f"{here} from {there} of {short_name(model)}")
        place = end
    return f"{place} layers: {', '.join(parts)}" if parts else ""


def layer_sources(reference: str) -> tuple[tuple[str, int], ...]:
    """For each layer of a stack its model's short name, and its layer there; else none."""
    return tuple(
        (short_name(model), layer)
        for model, start, stop in layer_ranges(reference)
        for layer in range(start, stop)
    )


def _last(part: str) -> str:
    name = part.rsplit("/", 1)[-1].removesuffix(".safetensors") or part
    return name.partition("@")[0] if part.startswith("hub:") else name
