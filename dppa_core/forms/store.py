"""What a recipe's `store` says: the forms that keep a delta, each the rest of those before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from dppa_core.errors import DppaError, InvalidRecipe, NonFiniteWeights, many, shown
from dppa_core.forms.contract import Codes, Delta, Form, Place
from dppa_core.forms.registry import FORMS, get_form
from dppa_core.parameter_fields import from_mapping

MOST_PARTS = 3
OTHER_TENSORS = ("same", "keep", "drop")
_OTHERS = "other_tensors"
_PART = re.compile(r"(\w+)\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class StorePart:
    """One form with its settings."""

    form: Form
    settings: Any

    def __str__(self) -> str:
        settings = (f"{key}={value}" for key, value in self.values().items())
        return f"{self.form.name}({','.join(settings)})"

    def values(self) -> dict[str, Any]:
        """The first setting, and those that are not the default."""
        items = [(item, getattr(self.settings, item.name)) for item in fields(self.settings)]
        return {
            item.name: value
            for n, (item, value) in enumerate(items)
            if n == 0 or value != item.default
        }


@dataclass(frozen=True, slots=True)
class Store:
    """The forms that keep a delta; the sum of what they keep is merged."""

    parts: tuple[StorePart, ...]
    other_tensors: str = "same"
    """Matrices outside the modules, as embeddings: in the same forms, kept whole, or dropped. Norms
    and biases are whole, or dropped."""

    def __str__(self) -> str:
        """As in references: low_rank(rank=8)+bits(bits=1)+others(drop)."""
        texts = [str(part) for part in self.parts]
        return "+".join(texts + [f"others({self.other_tensors})"] * (self.other_tensors != "same"))

    def plain(self) -> Any:
        """As in a recipe's file."""
        entries = [{"form": part.form.name, **part.values()} for part in self.parts]
        if self.other_tensors != "same":
            entries[0][_OTHERS] = self.other_tensors
        return entries[0] if len(entries) == 1 else entries

    def encode(self, delta: Delta, place: Place) -> tuple[Codes, ...]:
        """The codes of each part.

        Raises:
            NonFiniteWeights: NaN or infinity in the delta.
        """
        if not np.isfinite(delta).all():
            raise NonFiniteWeights(
                f"{place.model}: NaN or infinity in {place.tensor}, so no form can keep its "
                "changes. A training that diverged is the usual cause."
            )
        codes: list[Codes] = []
        for n, part in enumerate(self.parts):
            codes.append(part.form.encode(delta, part.settings, place))
            if n + 1 < len(self.parts):
                delta = delta - part.form.decode(codes[n], delta.shape, part.settings, place)
        return tuple(codes)

    def decode(self, codes: tuple[Codes, ...], shape: tuple[int, int], place: Place) -> Delta:
        """The sum of what the parts keep, each times its factor."""
        total = np.zeros(shape, np.float32)
        for part, code in zip(self.parts, codes, strict=True):
            kept = part.form.decode(code, shape, part.settings, place)
            total += np.multiply(kept, np.float32(part.form.factor(part.settings)), out=kept)
        return total

    def nbytes(self, shape: tuple[int, int]) -> int:
        """Bytes of the codes of a matrix of a shape, expected before it is read."""
        return sum(part.form.nbytes(shape, part.settings) for part in self.parts)

    def times(self, factor: float) -> Store:
        """The store whose every form keeps so many times as much."""
        parts = []
        for part in self.parts:
            product = part.form.factor(part.settings) * factor
            settings = replace(part.settings, factor=float(f"{product:.6g}"))
            parts.append(StorePart(part.form, settings if factor != 1 else part.settings))
        return Store(tuple(parts), self.other_tensors)

    def title(self) -> str:
        """A short name, as "rank 8 + 1 bit", or "1 bit, rest dropped"."""
        rest = {"keep": ", rest whole", "drop": ", rest dropped"}.get(self.other_tensors, "")
        return " + ".join(part.form.label(part.settings) for part in self.parts) + rest


def parse_store(value: object, label: str = "store") -> Store:
    """The store of a recipe's value: a mapping with `form` and its settings, or a list of these.

    Raises:
        InvalidRecipe: not such a value, or an unknown setting.
        UnknownName: no such form.
        InvalidValue: a setting out of range.
    """
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not 0 < len(entries) <= MOST_PARTS or not all(
        isinstance(entry, Mapping) for entry in entries
    ):
        names = ", ".join(form.name for form in FORMS)
        raise InvalidRecipe(
            f"{label} must be a mapping with `form` ({names}) and its settings, as "
            f"`{{form: low_rank, rank: 16}}`, or a list of at most {many(MOST_PARTS, 'part')} "
            f"whose sum is kept, got {shown(value)}."
        )
    others = {str(entry[_OTHERS]): entry for entry in entries if _OTHERS in entry}
    if len(others) > 1:
        raise InvalidRecipe(f"{label}: {_OTHERS} is {' and '.join(others)}; state it once.")
    choice = next(iter(others), "same")
    if choice not in OTHER_TENSORS:
        raise InvalidRecipe(
            f"{label}: {_OTHERS} must be one of {', '.join(OTHER_TENSORS)}, got {shown(choice)}."
        )
    return Store(tuple(_part(entry, label) for entry in entries), choice)


def parse_store_text(text: str) -> Store:
    """The store of its text in a reference; the inverse of `str`.

    Raises:
        DppaError: see `parse_store`; the message lists all forms as they are written.
    """
    try:
        return parse_store(list(_entries(text)), shown(text))
    except DppaError as error:
        forms = ", ".join(str(StorePart(form, form.parameters())) for form in FORMS)
        reason = str(error).removeprefix(f"{shown(text)}: ")
        raise type(error)(f"{shown(text)}: {reason} Forms: {forms}; a + sums two.") from error


def _entries(text: str) -> Iterator[dict[str, Any]]:
    parts = _PART.findall(text)
    if not parts or "+".join(f"{name}({inside})" for name, inside in parts) != text:
        raise InvalidRecipe("the form of a delta is written as low_rank(rank=16).")
    forms = [part for part in parts if part[0] != "others"]
    if not forms:
        raise InvalidRecipe("others goes with a form, as low_rank(rank=16)+others(drop).")
    if len(forms) > MOST_PARTS:
        raise InvalidRecipe(f"a sum has at most {many(MOST_PARTS, 'part')}, got {len(forms)}.")
    others = [inside for name, inside in parts if name == "others"]
    shared = {_OTHERS: others[-1]} if others else {}
    for name, inside in forms:
        pairs = (pair.partition("=")[::2] for pair in inside.split(",") if pair)
        yield {"form": name, **{key: _number(value) for key, value in pairs}, **shared}


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _part(entry: Mapping[Any, Any], label: str) -> StorePart:
    form = get_form(str(entry.get("form")))
    settings = {str(key): item for key, item in entry.items() if key not in ("form", _OTHERS)}
    return StorePart(form, from_mapping(form.parameters, settings, f"{label}: {form.name}"))
