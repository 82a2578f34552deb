"""A sentence of a hand-written page that states measured figures, and the data it rests on."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.scripts.measured_results import Results, found, text_of

BESIDE = "DPPA keeps # points more than magnitude (-# to #)"
AT_80 = {"models": "embedded, settled", "pruned": 80.0}
"""The overview's row of the embedded models at 80 %."""


@dataclass(frozen=True, slots=True)
class StatedFigures:
    """Figures in a page, and where they come from."""

    path: str
    pattern: str
    """Matches once; a space is any white space, # a group that holds a figure."""
    figures: Callable[[Results], tuple[str, ...]]
    """What the groups must hold."""

    def match(self, text: str) -> re.Match[str]:
        """The place of the figures. Raises LookupError if the page does not say this once."""
        pattern = re.sub(r"\\ ", r"\\s+", re.escape(self.pattern))
        places = list(re.finditer(pattern.replace(r"\#", r"(\d+(?:\.\d+)?(?:st|nd|rd|th)?)"), text))
        if len(places) != 1:
            raise LookupError(f"{self.path} says {len(places)} times: {self.pattern}")
        return places[0]

    def rewritten(self, text: str, results: Results) -> str:
        """The page with these figures as they were measured."""
        match = self.match(text)
        for group, figure in reversed(list(enumerate(self.figures(results), 1))):
            text = text[: match.start(group)] + figure + text[match.end(group) :]
        return text


def as_loss(figures: tuple[str, ...]) -> tuple[str, ...]:
    """A negative difference and its interval, without signs, as a loss: its ends change places."""
    mean, low, high = figures
    return mean, high, low


def of_search(row: str) -> Callable[[Results], tuple[str, ...]]:
    """Figures of lab/docs/search.md."""
    return lambda _: found(row, text_of("lab/docs/search.md"))


def of_survey(row: str) -> Callable[[Results], tuple[str, ...]]:
    """Figures of lab/docs/survey.md."""
    return lambda _: found(row, text_of("lab/docs/survey.md"))


def of_smollm2(row: str) -> tuple[str, ...]:
    """Figures of the page of SmolLM2's experiments."""
    return found(row, text_of("docs/smollm2/experiments.md"))
