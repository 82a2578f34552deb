"""Headline tone, the subject of a report, and the direction of a figure."""

from __future__ import annotations

import random
from functools import partial

from dppa_core.tasks.items import OPEN, Task, in_split, made_up, only_label, pick

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
REPORTS = {
    "wages": (
        "{c} paid its workers {x} {p}.",
        "Each worker of {c} gets a share of {x}.",
        "{p}, {c} paid {x} to the workers.",
        "{p}, the workers of {c} get {x}.",
        "The workers of {c} share {x} {p}.",
    ),
    "debt": (
        "{c} must pay {x} to its lender.",
        "The lender gives {c} {x} {p}.",
        "{c} is a borrower of {x}.",
        "{c} is the borrower of {x} of a lender.",
        "{p}, the lender gives {x} to {c}.",
    ),
    "rent": (
        "{c} is the tenant of an office for {x} {p}.",
        "A tenant pays {x} for the office of {c}.",
        "{p}, {c} pays {x} for its office as a tenant.",
        "{c} pays {x} as the tenant of an office.",
        "{p}, a tenant pays {c} {x} for an office.",
    ),
    "sales": (
        "{c} sold goods for {x} {p}.",
        "Each buyer pays {c} {x} for the goods.",
        "{p}, {c} sells goods to a buyer for {x}.",
        "{c} sells a buyer goods for {x} {p}.",
        "{p}, {c} sold goods to a buyer for {x}.",
    ),
    "insurance": (
        "The insurer pays {c} {x} for the damage.",
        "{c} pays its insurer {x} {p}.",
        "{p}, an insurer of {c} pays {x}.",
        "{p}, {c} pays {x} to the insurer.",
        "The insurer of {c} pays for damage of {x} {p}.",
    ),
    "delivery": (
        "The carrier brings goods of {x} to {c}.",
        "{c} pays the carrier {x} {p}.",
        "{p}, a carrier of {c} gets {x}.",
        "{p}, {c} pays {x} to its carrier.",
        "The carrier of {c} brings goods of {x} {p}.",
    ),
}
REPORT_QUESTIONS = (
    "Report: {r} What is it about?",
    "{r} What is this report about?",
    "What is this report about? {r}",
    "Name the subject: {r}",
    "Report: {r} Name the subject.",
    "Read this report. {r} What is it about?",
    "What is it about? {r}",
    "{r} Name the subject.",
    "Report: {r} What is this report about?",
    "{r} What is it about?",
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


def sentiment(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask if a headline is good, bad or no news for the company."""
    tone = rng.choice(list(TONES))
    headline = f"{company(rng, split)} {pick(rng, TONES[tone], split)}"
    return pick(rng, TONE_QUESTIONS, split).format(h=headline), f"The tone is {tone}."


def report(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask what the sum in a report is paid for."""
    subject = rng.choice(list(REPORTS))
    text = pick(rng, REPORTS[subject], split).format(
        c=company(rng, split),
        x=amount(rng.randint(2, 99), rng.choice(("million", "billion"))),
        p=rng.choice(PERIODS),
    )
    question = pick(rng, REPORT_QUESTIONS, split).format(r=sentence(text))
    return question, f"The report is about {subject}."


def direction(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask if a figure rose or fell between two years."""
    name, unit = company(rng, split), rng.choice(("million", "billion"))
    f = rng.choice(FIGURES)
    old, new = rng.sample(range(2, 100), 2)
    x, y = amount(old, unit), amount(new, unit)
    text = sentence(pick(rng, MOVES, split).format(c=name, f=f, x=x, y=y))
    question = pick(rng, MOVE_QUESTIONS, split).format(f=f)
    return f"{text} {question}", f"From {x} to {y}: it {'rose' if new > old else 'fell'}."


SENTIMENT = Task("sentiment", sentiment, partial(only_label, labels=tuple(TONES)))
DIRECTION = Task("direction", direction, partial(only_label, labels=("rose", "fell")))
TASKS = (SENTIMENT, Task("report", report, partial(only_label, labels=tuple(REPORTS))), DIRECTION)
EXAMPLES = (
    (
        "sentiment",
        "Headline: Norvex Group shares jump after strong sales. Is the tone positive, negative or "
        "neutral?",
        "The tone is positive.",
    ),
    (
        "report",
        "Report: Veltor Bank paid its workers $42 million in March. What is it about?",
        "The report is about wages.",
    ),
    (
        "direction",
        "Revenue of Karlux Foods was $31 million last year and $45 million this year. "
        "Did revenue rise or fall?",
        "From $31 million to $45 million: it rose.",
    ),
)
