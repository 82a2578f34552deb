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
        *("drawn", "drawn at random", "rate", "Pruned (%)", 0.9, (0, 99.9, 0.1)), scale=100
    ),
)


def on_base(reference: str, base: str) -> str:
    """The reference with a kept delta measured from that base."""
    kept = kept_delta(reference)
    return kept_reference(KeptDelta(kept.store, kept.model, base)) if kept else reference


def beyond_base(reference: str, base: str) -> Iterator[str]:
    """The base of a kept delta, if it is another, in a few words."""
    kept = kept_delta(reference)
    if kept is not None and kept.base != base:
        yield f"{kept.model} is kept as a delta from {kept.base}, and here from {base}"
