"""Headline tone, what a report says, and which way a figure moved.

Scored by label or by exact words. Knows no model.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from dppa_core.tasks.items import OPEN, in_split, made_up, only_label, pick

HEADS = "Nor Vel Kar Mon Tas Bel Dor Lin Sar Pol Ver Hal Gan Rim Cor Fen Lum Zan Bro Tel".split()
TAILS = "vex tor mark dale nova lux ton ris gard co max land ster quin via".split()
KINDS = "Group Bank Foods Energy Motors Media Steel Air".split()
SECTORS = tuple(kind.lower() for kind in KINDS[1:])
FIGURES = "revenue profit debt income turnover cost".split()
PERIODS = ("in March", "in May", "last year", "this year", "in the spring", "in the quarter")

GOOD = (
    "shares jump after strong sales",
    "beats forecasts with record profit",
    "wins a large order",
    "raises its dividend after a strong year",
    "profit climbs to a record",
    "shares climb on strong demand",
    "wins record demand",
    "lifts its forecast after a strong quarter",
    "shares climb after a large order",
    "raises its forecast on record sales",
)
BAD = (
    "shares plunge after weak sales",
    "misses forecasts with a heavy loss",
    "loses a key client",
    "cuts its dividend after a weak year",
    "profit sinks on weak demand",
    "shares sink after a fraud probe",
    "warns of a heavy loss",
    "cuts jobs as demand sinks",
    "shares plunge after a heavy loss",
    "cuts its forecast on weak sales",
)
EVEN = (
    "names a new board member",
    "will hold its meeting in May",
    "moves its office to a new street",
    "publishes its calendar for the year",
    "keeps its dividend as it was",
    "will publish its report in March",
    "names a new office manager",
    "moves its meeting to March",
    "will hold its board meeting in March",
    "publishes the date of its meeting",
)
TONES = {"positive": GOOD, "negative": BAD, "neutral": EVEN}
TONE_QUESTIONS = (
    "Headline: {h}. Is the tone positive, negative or neutral?",
    "{h}. Is this headline positive, negative or neutral?",
    "What is the tone of this headline? {h}.",
    "Tone of the headline: {h}?",
    "Headline: {h}. What is the tone of this headline?",
    "Read the headline: {h}. Which tone does it have?",
    "Which tone has this headline? {h}.",
    "{h}. What is the tone?",
    "Headline: {h}. Which tone does it have?",
    "{h}. Which tone does this headline have?",
)
REPORTS = (
    "{c} reported {f} of {x} {p}.",
    "{p}, {c} had {f} of {x}.",
    "{c} posted {f} of {x} {p}.",
    "{f} of {c} was {x} {p}.",
    "{c} said {f} was {x} {p}.",
    "The report of {c} shows {f} of {x} {p}.",
    "With {f} of {x}, {c} closed its books {p}.",
    "{c} closed its books {p} with {f} of {x}.",
    "The books of {c} show {f} of {x} {p}.",
    "{p}, {c} reported {f} of {x}.",
)
REPORT_QUESTIONS = {
    "figure": (
        "Which figure is it?",
        "Which figure is reported?",
        "Name the figure.",
        "Which figure is this about?",
        "Name the figure of this report.",
    ),
    "amount": (
        "How much is it?",
        "How much is reported?",
        "Name the amount.",
        "How much is this?",
        "Name the amount of this report.",
    ),
    "sector": (
        "Which sector is it?",
        "Which sector reported?",
        "Name the sector.",
        "Which sector is this about?",
        "Name the sector of this report.",
    ),
}
MOVES = (
    "{f} of {c} was {x} last year and {y} this year.",
    "{c} had {f} of {x} last year and {y} this year.",
    "After {x} last year, {f} of {c} is {y}.",
    "{f} of {c} went from {x} to {y}.",
    "{c} reported {f} of {y}, after {x} last year.",
    "{c} said {f} went from {x} to {y}.",
    "This year {f} of {c} was {y}, last year {x}.",
    "{c} posted {f} of {y}, after {x} before.",
    "Last year {c} had {f} of {x}, this year {y}.",
    "{f} of {c} is {y}, after {x} last year.",
)
MOVE_QUESTIONS = (
    "Did {f} rise or fall?",
    "Did it rise or fall?",
    "Which way did {f} move?",
    "Did {f} go up or down?",
    "Which way did it move?",
)


def company(rng: random.Random, split: str) -> str:
    """A made-up company; the splits share syllables, never names."""
    if split == OPEN:
        return f"{sentence(made_up(rng))} {rng.choice(KINDS)}"
    while True:
        head, tail = rng.randrange(len(HEADS)), rng.randrange(len(TAILS))
        if in_split(head + 2 * tail, split):
            return f"{HEADS[head]}{TAILS[tail]} {rng.choice(KINDS)}"


def amount(number: int, unit: str) -> str:
    """A sum of money as the reports write it."""
    return f"${number} {unit}"


def sums_of_money(text: str) -> list[str]:
    """All sums of money in `text`, in their order."""
    return re.findall(r"\$\d+ (?:million|billion)", text)


def sentence(text: str) -> str:
    """`text` with a capital at its start."""
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, slots=True)
class Sentiment:
    """Is a headline good, bad or no news for the company?"""

    name: str = "sentiment"

    def draw(self, rng: random.Random, split: str) -> tuple[str, str]:
        """See `Task.draw`."""
        tone = rng.choice(list(TONES))
        headline = f"{company(rng, split)} {pick(rng, TONES[tone], split)}"
        return pick(rng, TONE_QUESTIONS, split).format(h=headline), f"The tone is {tone}."

    def score(self, answer: str, reply: str) -> bool:
        """The reply names the right tone and no other."""
        return only_label(reply, list(TONES)) == only_label(answer, list(TONES))


@dataclass(frozen=True, slots=True)
class Report:
    """Which figure, which amount, or a company of which sector is reported?"""

    name: str = "report"

    def draw(self, rng: random.Random, split: str) -> tuple[str, str]:
        """See `Task.draw`."""
        sector = rng.choice(SECTORS)
        name = f"{company(rng, split).split()[0]} {sector.capitalize()}"
        figure = rng.choice(FIGURES)
        value = amount(rng.randint(2, 99), rng.choice(("million", "billion")))
        text = sentence(
            pick(rng, REPORTS, split).format(c=name, f=figure, x=value, p=rng.choice(PERIODS))
        )
        asked = rng.choice(list(REPORT_QUESTIONS))
        answer = {"figure": figure, "amount": value, "sector": sector}[asked]
        return f"{text} {pick(rng, REPORT_QUESTIONS[asked], split)}", f"The {asked} is {answer}."

    def score(self, answer: str, reply: str) -> bool:
        """The reply names the right figure, sum or sector and no other."""
        if "$" in answer:
            return sums_of_money(reply) == sums_of_money(answer)
        labels = FIGURES if "figure" in answer else SECTORS
        return only_label(reply, labels) == only_label(answer, labels)


@dataclass(frozen=True, slots=True)
class Direction:
    """Did a figure rise or fall between two years?"""

    name: str = "direction"

    def draw(self, rng: random.Random, split: str) -> tuple[str, str]:
        """See `Task.draw`."""
        name, unit = company(rng, split), rng.choice(("million", "billion"))
        f = rng.choice(FIGURES)
        old, new = rng.sample(range(2, 100), 2)
        x, y = amount(old, unit), amount(new, unit)
        text = sentence(pick(rng, MOVES, split).format(c=name, f=f, x=x, y=y))
        question = pick(rng, MOVE_QUESTIONS, split).format(f=f)
        return f"{text} {question}", f"From {x} to {y}: it {'rose' if new > old else 'fell'}."

    def score(self, answer: str, reply: str) -> bool:
        """The reply says `rose` or `fell`, whichever is right."""
        return only_label(reply, ("rose", "fell")) == only_label(answer, ("rose", "fell"))


TASKS = (Sentiment(), Report(), Direction())
EXAMPLES = (
    "Headline: Norvex Group shares jump after strong sales. Is the tone positive, negative or "
    "neutral?",
    "Veltor Bank reported revenue of $42 million in March. Which figure is reported?",
    "Revenue of Karlux Foods was $31 million last year and $45 million this year. "
    "Did revenue rise or fall?",
)
