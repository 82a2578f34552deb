"""Headline tone, what a report says, and which way a figure moved.

Scored by label or by exact words. Knows no model.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from dppa_core.tasks.items import OPEN, in_split, made_up, only_label, pick, plain

HEADS = "Nor Vel Kar Mon Tas Bel Dor Lin Sar Pol Ver Hal Gan Rim Cor Fen Lum Zan Bro Tel".split()
TAILS = "vex tor mark dale nova lux ton ris gard co max land ster quin via".split()
KINDS = "Group Bank Foods Energy Motors Media Steel Air".split()
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
    "{c} reported {f} of {x} and {g} of {y} {p}.",
    "{p}, {c} had {f} of {x} and {g} of {y}.",
    "{c} posted {f} of {x} {p}, with {g} of {y}.",
    "{f} of {c} was {x} {p}; {g} was {y}.",
    "{c} said {f} was {x} {p} and {g} was {y}.",
    "The report of {c} shows {f} of {x} and {g} of {y} {p}.",
    "With {f} of {x} and {g} of {y}, {c} closed its books {p}.",
    "{c} closed its books {p} with {f} of {x} and {g} of {y}.",
    "The books of {c} show {f} of {x} and {g} of {y} {p}.",
    "{p}, {c} reported {f} of {x} and {g} of {y}.",
)
COMPANY_QUESTIONS = (
    "Which company is it?",
    "Which company reported?",
    "Name the company.",
    "Which company is this about?",
    "Name the company of this report.",
)
FIGURE_QUESTIONS = (
    "What was the {f}?",
    "How much was the {f}?",
    "Name the {f}.",
    "How large was the {f}?",
    "What was the {f} of the company?",
)
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
    """Which company, or which of two figures, does a report give?"""

    name: str = "report"

    def draw(self, rng: random.Random, split: str) -> tuple[str, str]:
        """See `Task.draw`."""
        name, unit = company(rng, split), rng.choice(("million", "billion"))
        f, g = rng.sample(FIGURES, 2)
        x, y = (amount(number, unit) for number in rng.sample(range(2, 100), 2))
        period = rng.choice(PERIODS)
        text = sentence(pick(rng, REPORTS, split).format(c=name, f=f, g=g, x=x, y=y, p=period))
        if rng.random() < 0.4:
            return f"{text} {pick(rng, COMPANY_QUESTIONS, split)}", f"{name}."
        figure, value = rng.choice(((f, x), (g, y)))
        question = pick(rng, FIGURE_QUESTIONS, split).format(f=figure)
        return f"{text} {question}", f"{figure} of {value}."

    def score(self, answer: str, reply: str) -> bool:
        """The reply is the name or the sum, word by word; the figure's name may be left out."""
        wanted = plain(answer)
        return plain(reply) in (wanted, wanted.partition(" of ")[2] or wanted)


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
    "Veltor Bank reported revenue of $42 million and profit of $7 million in March. "
    "What was the profit?",
    "Revenue of Karlux Foods was $31 million last year and $45 million this year. "
    "Did revenue rise or fall?",
)
