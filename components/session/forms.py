"""The forms of deltas that the page has controls for: one form, with its first setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dppa_core.checkpoints.sources.references import (
    KeptDelta,
    kept_delta,
    kept_reference,
)
from dppa_core.forms.registry import get_form
from dppa_core.forms.store import Store, parse_store_text


@dataclass(frozen=True, slots=True)
class FormControl:
    """A form in the list, and its one setting."""

    form: str
    title: str
    setting: str
    """A parameter of the form."""
    label: str
    usual: float
    span: tuple[float, ...] = ()
    """Range and step on the page; the highest rank is each model's own."""
    choices: tuple[int, ...] = ()
    scale: int = 1
    """Units of the page in one of the form."""

    def row(self) -> dict[str, Any]:
        """As scripts read it."""
        about = {name: getattr(self, name) for name in self.__slots__}
        return about | {"help": get_form(self.form).summary}


FORM_CONTROLS = (
    FormControl("low_rank", "low rank", "rank", "Rank (directions)", 16, (1, 4096, 1)),
    FormControl("bits", "few bits", "bits", "Bits of a change", 1, choices=(1, 2, 4, 8)),
    FormControl(
        *("sparse", "largest elements", "rate", "Pruned (%)", 0.9, (0, 99.9, 0.1)), scale=100
    ),
    FormControl(
        *("drawn", "drawn at random", "rate", "Dropped (%)", 0.9, (0, 99.9, 0.1)), scale=100
    ),
)


def on_base(reference: str, base: str) -> str:
    """The reference with a kept delta measured from that base."""
    kept = kept_delta(reference)
    return kept_reference(KeptDelta(kept.store, kept.model, base)) if kept else reference


def beyond_forms(reference: str, base: str) -> Iterator[str]:
    """What of a kept delta has no control, in a few words."""
    kept = kept_delta(reference)
    if kept is None:
        return
    store = parse_store_text(kept.store)
    if kept.base != base:
        yield f"{kept.model} is kept as a delta from {kept.base}, and here from {base}"
    if not _has_control(store):
        yield f"{kept.model} is kept as {store.title()} ({store})"


def within_forms(reference: str, base: str) -> str:
    """The nearest reference with controls: the first of its forms."""
    kept = kept_delta(reference)
    if kept is None:
        return reference
    part = parse_store_text(kept.store).parts[0]
    setting = next(row.setting for row in FORM_CONTROLS if row.form == part.form.name)
    text = f"{part.form.name}({setting}={part.values()[setting]})"
    return kept_reference(KeptDelta(text, kept.model, base))


def _has_control(store: Store) -> bool:
    """One form, and all else as usual."""
    (part, *more) = store.parts
    return len(part.values()) == 1 and store.other_tensors == "same" and not more
