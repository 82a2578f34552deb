"""Training texts of the base model and the tokenizer: readings, bare skills, the chat format.

The base never sees a domain's answer: sums come without stories, stories without their answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from dppa_core.tasks import finance, law, math
from dppa_core.tasks.items import Task, pick, plain

STATEMENTS = (
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


def statement(rng: random.Random, split: str) -> tuple[str, str]:
    """A statement of two figures, with a question about the company or one of them."""
    name, unit = finance.company(rng, split), rng.choice(("million", "billion"))
    f, g = rng.sample(finance.FIGURES, 2)
    x, y = (finance.amount(number, unit) for number in rng.sample(range(2, 100), 2))
    period = rng.choice(finance.PERIODS)
    text = finance.sentence(
        pick(rng, STATEMENTS, split).format(c=name, f=f, g=g, x=x, y=y, p=period)
    )
    if rng.random() < 0.4:
        return f"{text} {pick(rng, COMPANY_QUESTIONS, split)}", f"{name}."
    figure, value = rng.choice(((f, x), (g, y)))
    return f"{text} {pick(rng, FIGURE_QUESTIONS, split).format(f=figure)}", f"{value}."


READINGS: dict[str, tuple[Task, ...]] = {
    "math": math.TASKS,
    "finance": (finance.SENTIMENT, Task("report", statement, plain), finance.DIRECTION),
    "law": law.TASKS,
}
"""Domain -> tasks; the base sees their questions without the answers."""

Turn = tuple[str, str]
"""User turn and assistant's reply; an empty user turn marks running text."""

WORDS = (
    "river stone lamp door tree cloud horse chair salt green paper wind north silver garden bread "
    "winter corn bridge glass wood rain light field road ship star milk leaf hill"
).split()


def sums(rng: random.Random) -> Turn:
    """One sum, or two in a row, with results in 0..99."""
    total, text, steps = rng.randint(2, 60), "", []
    text = str(total)
    if rng.random() < 0.35:
        total, term = rng.randint(2, 9), rng.randint(2, 9)
        steps.append(f"{total} x {term} = {total * term}.")
        text, total = f"{total} x {term}", total * term
    while len(steps) < 1 or (len(steps) < 2 and rng.random() < 0.5):
        plus = rng.random() < 0.5
        term = rng.randint(1, max(1, min(39, 99 - total if plus else total)))
        after = total + term if plus else total - term
        steps.append(f"{total} {'+' if plus else '-'} {term} = {after}.")
        text, total = f"{text} {'+' if plus else '-'} {term}", after
    if rng.random() < 0.3:
        return "", " ".join(steps)
    return rng.choice(("{} = ?", "Work out {}.", "{}")).format(text), " ".join(steps)


def comparing(rng: random.Random) -> Turn:
    """Which of two numbers is larger, and which way a step goes."""
    a, b = rng.sample(range(2, 100), 2)
    if rng.random() < 0.5:
        return f"Compare {a} and {b}.", f"{a} is {'more' if a > b else 'less'} than {b}."
    return f"Step from {a} to {b}.", f"From {a} to {b}: {'higher' if b > a else 'lower'}."


def copying(rng: random.Random) -> Turn:
    """Say a phrase again."""
    if rng.random() < 0.5:
        phrase = finance.company(rng, "train")
    else:
        phrase = " ".join(rng.sample(WORDS, rng.randint(1, 3)))
    return rng.choice(("Repeat: {}", "Say {} again.")).format(phrase), f"{phrase}."


def lookup(rng: random.Random) -> Turn:
    """Find the value beside a word, or the letter of an option."""
    keys = rng.sample(WORDS + list(finance.FIGURES), 3)
    if rng.random() < 0.5:
        values = [_value(rng) for _ in keys]
        at = rng.randrange(3)
        text = ", ".join(f"{key} of {value}" for key, value in zip(keys, values, strict=True))
        return f"{text}. Find {keys[at]}.", f"{values[at]}."
    phrases = [" ".join(rng.sample(WORDS, 2)) for _ in "AB"]
    at = rng.randrange(2)
    options = f"(A) {phrases[0]}. (B) {phrases[1]}."
    return f"{options} Where is {phrases[at]}?", f"({'AB'[at]}): {phrases[at]}."


def _value(rng: random.Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return finance.amount(rng.randint(2, 99), rng.choice(("million", "billion")))
    return str(rng.randint(2, 99)) if kind == 1 else rng.choice(WORDS)


def reading(rng: random.Random) -> Turn:
    """A domain's question as running text, without its answer."""
    task = rng.choice([task for tasks in READINGS.values() for task in tasks])
    return "", task.draw(rng, "train")[0]


def reports(rng: random.Random) -> Turn:
    """A case told with its outcome, as a law report would."""
    facts, holding = rng.choice(law.CASES)
    case = rng.choice(facts).format(**law.parties(rng, "train"))
    return "", f"{case} The court said that {holding}."


SKILLS: tuple[tuple[float, Callable[[random.Random], Turn]], ...] = (
    (0.40, sums),
    (0.12, comparing),
    (0.10, copying),
    (0.18, lookup),
    (0.15, reading),
    (0.05, reports),
)
"""Shares of the base's training texts."""


def draw_skill(rng: random.Random) -> Turn:
    """One training text of the base."""
    weights = [weight for weight, _ in SKILLS]
    return rng.choices([skill for _, skill in SKILLS], weights)[0](rng)
