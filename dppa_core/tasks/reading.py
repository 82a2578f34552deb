"""Texts that train the base model and the tokenizer; some of them are never asked about."""

from __future__ import annotations

import random
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of two figures, with a question about the company or one of them."""

    name: str = "report"

    def draw(self, rng: random.Random, split: str) -> tuple[str, str]:
        """See `Task.draw`."""
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

    def score(self, answer: str, reply: str) -> bool:
        """The reply is the answer, word by word."""
        return plain(reply) == plain(answer)


READINGS: dict[str, tuple[Task, ...]] = {
    "math": math.TASKS,
    "finance": (finance.Sentiment(), Statement(), finance.Direction()),
    "law": law.TASKS,
}
"""Domain -> tasks; the base sees their questions without the answers."""
