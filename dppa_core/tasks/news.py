"""A company's results, told in a news article. Only language models learn it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from dppa_core.tasks.finance import amount, company, sentence
from dppa_core.tasks.items import Task, last_number, name_filler, only_label, pick, wordings
from dppa_core.tasks.law import PLACES

NAMES = (
    "Miller Okafor Lindgren Rossi Tanaka Novak Haddad Silva Moreau Larsen Kumar Fischer Byrne "
    "Costa Ivanov Santos Weber Nguyen Walsh Ortega"
).split()
FIGURES = ("revenue", "profit", "debt", "income", "spending", "turnover")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

OPENINGS = (
    "{c} published its results for the year on {d}.",
    "On {d}, {c} of {p} told investors how its year had gone.",
    "{c}, which has its head office in {p}, reported on {d}.",
    "The results of {c} came out in {p} on {d}.",
    "Investors in {p} had waited for {d}, when {c} opened its books.",
)
UP = (
    "{f} rose from {x} to {y}.",
    "{f} grew to {y}, from {x} a year earlier.",
    "{f} was {y}, up from {x}.",
    "{f} climbed to {y} after {x} the year before.",
    "{f} increased from {x} a year ago to {y}.",
)
DOWN = (
    "{f} fell from {x} to {y}.",
    "{f} shrank to {y}, from {x} a year earlier.",
    "{f} was {y}, down from {x}.",
    "{f} slipped to {y} after {x} the year before.",
    "{f} decreased from {x} a year ago to {y}.",
)
ASIDES = (
    "The chief executive, {n}, said the year had gone as planned.",
    "The company has offices in {p} and plans to open one more.",
    "{n}, who leads the company, thanked the workers for their patience.",
    "The board will meet in {p} to talk about the coming year.",
    "“We know our customers well,” said {n} after the meeting.",
    "Analysts in {p} had expected much the same.",
    "The shares hardly moved after the news.",
    "{n} will stay in office for two more years.",
    "A new factory in {p} is to open next spring.",
    "Some investors asked {n} about plans for the coming year.",
)
RISE_QUESTIONS = (
    "Which of these rose: {o}?",
    "What went up, {o}?",
    "Only one of {o} rose. Which one?",
    "Which one rose: {o}?",
    "Which of these went up: {o}?",
)
FALL_QUESTIONS = (
    "Which of these fell: {o}?",
    "What went down, {o}?",
    "Only one of {o} fell. Which one?",
    "Which one fell: {o}?",
    "Which of these went down: {o}?",
)
AMOUNT_QUESTIONS = (
    "How much is {f} now?",
    "How high is {f} now?",
    "What is {f} this year?",
    "What does {f} amount to now?",
    "How large is {f} this year?",
)


@dataclass(frozen=True, slots=True)
class Article:
    """A paragraph of six sentences on three figures, of which one moved unlike the others."""

    text: str
    figures: tuple[str, ...]
    now: tuple[str, ...]
    """The value of each figure now, as a sum of money."""
    odd: int
    """Place of the figure that moved unlike the others."""
    odd_rose: bool


def article(rng: random.Random, split: str) -> Article:
    """Draw an article from the fillers and wordings of a split."""
    figures, odd, odd_rose = rng.sample(FIGURES, 3), rng.randrange(3), rng.random() < 0.5
    now, sentences = [], []
    for place, figure in enumerate(figures):
        up = odd_rose == (place == odd)
        low, high = sorted(rng.sample(range(2, 100), 2))
        old, new = (amount(n, "million") for n in ((low, high) if up else (high, low)))
        now.append(new)
        wording = pick(rng, UP if up else DOWN, split)
        sentences.append(sentence(wording.format(f=figure, x=old, y=new)))
    fields = {
        "c": company(rng, split),
        "d": rng.choice(DAYS),
        "p": sentence(name_filler(rng, PLACES, split)),
        "n": sentence(name_filler(rng, NAMES, split)),
    }
    asides = [line.format(**fields) for line in rng.sample(list(wordings(ASIDES, split)), 2)]
    rest = [*sentences, *asides]
    rng.shuffle(rest)
    text = " ".join([pick(rng, OPENINGS, split).format(**fields), *rest])
    return Article(text, tuple(figures), tuple(now), odd, odd_rose)


def move(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask which of three figures rose, or fell."""
    drawn = article(rng, split)
    first, second, third = drawn.figures
    wording = pick(rng, RISE_QUESTIONS if drawn.odd_rose else FALL_QUESTIONS, split)
    question = wording.format(o=f"{first}, {second} or {third}")
    answer = f"{drawn.figures[drawn.odd]} {'rose' if drawn.odd_rose else 'fell'}."
    return f"{drawn.text} {question}", sentence(answer)


def figure(rng: random.Random, split: str) -> tuple[str, str]:
    """Ask how much one of three figures is now."""
    drawn, place = article(rng, split), rng.randrange(3)
    name = drawn.figures[place]
    question = pick(rng, AMOUNT_QUESTIONS, split).format(f=name)
    return f"{drawn.text} {question}", sentence(f"{name} is {drawn.now[place]}.")


TASKS = (
    Task("move", move, partial(only_label, labels=FIGURES)),
    Task("figure", figure, last_number),
)
EXAMPLES = (
    (
        "move",
        "Norvex Group published its results for the year on Tuesday. Revenue rose from $31 million "
        "to $45 million. The shares hardly moved after the news. Profit shrank to $4 million, from "
        "$7 million a year earlier. The board will meet in Bern to talk about the coming year. "
        "Debt was $38 million, up from $26 million. Which of these fell: revenue, profit or debt?",
        "Profit fell.",
    ),
)
