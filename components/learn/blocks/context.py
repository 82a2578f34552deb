"""The context of a block: the studio, the visitor's models, progress reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.progress import Stop

from ...session.session import Session
from ...widgets.theme import BASE_COLOUR, KNOWN_MODELS, model_colours
from ...work.studio import Studio

BASE = "zoo:base"
"""The base of the models that come with the page."""
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The context of one request for a block."""

    studio: Studio
    session: Session
    tell: Callable[[int, int, str], None]
    """Steps done, of how many, and what is done now."""
    stop: Stop
    show: Callable[[Any], None] = lambda _: None
    """Reports a partial result."""

    def pairs(self) -> dict[str, str]:
        """Domain model -> its base: those that come with the page, then those in the list."""
        listed = {one.reference: self.session.base for one in self.session.models}
        return dict.fromkeys(KNOWN_MODELS, BASE) | listed

    def pair(self, arguments: Arguments, key: str = "model") -> tuple[str, str]:
        """The base and the domain model that the arguments name; by default math. Raises
        InvalidValue if the model is neither embedded nor in the visitor's list."""
        model, pairs = arguments.get(key, KNOWN_MODELS[0]), self.pairs()
        if not isinstance(model, str) or model not in pairs:
            raise InvalidValue(f"{shown(model)} is not in the list of models.")
        return pairs[model], model

    def names(self) -> list[dict[str, str]]:
        """All available models, with label and colour."""
        pairs = self.pairs()
        colours = model_colours(tuple(pairs))
        return [
            {"model": one, "label": one.removeprefix("zoo:")}
            | {"colour": colours.get(one, BASE_COLOUR)}
            for one in pairs
        ]


def choice(arguments: Arguments, key: str, known: tuple[str, ...]) -> str:
    """One of several words among the arguments, by default the first; InvalidValue for another."""
    value = arguments.get(key, known[0])
    if value not in known:
        raise InvalidValue(f"{key} is one of {', '.join(known)}; got {shown(value)}.")
    return str(value)
