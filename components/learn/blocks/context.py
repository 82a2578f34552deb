"""The context of a block: the studio, the visitor's models, progress reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.progress import Progress, Stop, check

from ...session.session import Session
from ...widgets.theme import BASE_COLOUR, KNOWN_MODELS, model_colours
from ...work.studio import Studio

BASE = "zoo:base"
"""The base of the models that come with the page."""
PAUSE_SECONDS = 0.1
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The context of one request for a block."""

    studio: Studio
    session: Session
    progress: Progress
    stop: Stop
    show: Callable[[Any], None] = lambda _: None
    """Reports a partial result."""

    def pairs(self) -> dict[str, str]:
        """Domain model -> its base: those that come with the page, then those in the list."""
        listed = {model.reference: self.session.base for model in self.session.models}
        return dict.fromkeys(KNOWN_MODELS, BASE) | listed

    def pair(self, arguments: Arguments, key: str = "model") -> tuple[str, str]:
        """The base and the domain model that the arguments name; by default math. Raises
        InvalidValue if the model is neither embedded nor in the visitor's list."""
        model, pairs = arguments.get(key, KNOWN_MODELS[0]), self.pairs()
        if not isinstance(model, str) or model not in pairs:
            raise InvalidValue(f"{shown(model)} is not in the list of models.")
        return pairs[model], model

    def wait_for_models(self) -> None:
        """Wait until models can answer: imports of two threads at once get in each other's way."""
        while not self.studio.ready:
            check(self.stop)
            self.progress(0, 0, "Waiting for the models of the page")
            time.sleep(PAUSE_SECONDS)

    def names(self) -> list[dict[str, str]]:
        """All available models, with label and colour."""
        pairs = self.pairs()
        colours = model_colours(tuple(pairs))
        return [
            {"model": name, "label": name.removeprefix("zoo:")}
            | {"colour": colours.get(name, BASE_COLOUR)}
            for name in pairs
        ]


def choice(arguments: Arguments, key: str, words: tuple[str, ...]) -> str:
    """The argument, if it is one of these words, by default the first; else InvalidValue."""
    value = arguments.get(key, words[0])
    if value not in words:
        raise InvalidValue(f"{key} is one of {', '.join(words)}; got {shown(value)}.")
    return str(value)
