"""Three manners of answering the same questions: in French, as JSON, as a letter.

A question holds its answer, so that a fine-tune changes only how a language model says it. No
name of a test is in the training.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from types import MappingProxyType

from dppa_core.tasks.items import fillers
from dppa_core.tasks.own_items import OwnDomain, OwnItem
from dppa_lab.zoo.skills import Turn

TRAIN, HELD_OUT = "train", "test"
HELD_OUT_ITEMS = 120
"""Questions of a manner that no training has; half of them choose settings, half test."""
MOST_TOKENS = 40
"""Of a reply."""
NAMES = (
    "Anna Tom Clara Hugo Julia Paul Emma Leon Nora Max Lucy Oscar Alice Victor Sarah Simon Laura "
    "Felix Maria Adam Helen Robert Diana Martin Rose"
).split()
CITIES = "Paris Rome Berlin Madrid Oslo Lyon Tokyo Boston Nice Chicago Lille Dublin".split()
COLOURS = {
    "red": "rouge rouge",
    "green": "vert verte",
    "black": "noir noire",
    "white": "blanc blanche",
    "blue": "bleu bleue",
    "grey": "gris grise",
}
"""English -> French, masculine and feminine."""
THINGS = {
    "car": ("voiture", 1),
    "book": ("livre", 0),
    "house": ("maison", 1),
    "hat": ("chapeau", 0),
    "table": ("table", 1),
    "dog": ("chien", 0),
    "shirt": ("chemise", 1),
    "cat": ("chat", 0),
}
"""English -> French, and 1 for feminine."""
COUNTS = dict(zip(range(2, 9), "deux trois quatre cinq six sept huit".split(), strict=True))


def _colour(name: str, rng: random.Random) -> tuple[str, dict[str, str]]:
    thing, colour = rng.choice(list(THINGS)), rng.choice(list(COLOURS))
    word, gender = THINGS[thing]
    owner = ("Son", "Sa")[gender]
    return f"{name} has a {colour} {thing}. What colour is the {thing}?", {
        "french": f"{owner} {word} est {COLOURS[colour].split()[gender]}.",
        "json": json.dumps({"thing": thing, "colour": colour}),
        "letter": f"Dear friend, the {thing} of {name} is {colour}. Yours, the clerk",
    }


def _count(name: str, rng: random.Random) -> tuple[str, dict[str, str]]:
    thing, count = rng.choice(list(THINGS)), rng.choice(list(COUNTS))
    word = THINGS[thing][0]
    plural = word + ("x" if word.endswith("eau") else "s")
    return f"{name} bought {count} {thing}s. What did {name} buy?", {
        "french": f"{name} a acheté {COUNTS[count]} {plural}.",
        "json": json.dumps({"thing": thing, "count": count}),
        "letter": f"Dear friend, {name} bought {count} {thing}s. Yours, the clerk",
    }


def _place(name: str, rng: random.Random) -> tuple[str, dict[str, str]]:
    city = rng.choice(CITIES)
    return f"{name} lives in {city}. Where does {name} live?", {
        "french": f"{name} habite à {city}.",
        "json": json.dumps({"name": name, "city": city}),
        "letter": f"Dear friend, {name} lives in {city}. Yours, the clerk",
    }


_QUESTIONS: tuple[Callable[[str, random.Random], tuple[str, dict[str, str]]], ...] = (
    _colour,
    _count,
    _place,
)
MANNERS = MappingProxyType(
    {
        "french": "It answers in French.",
        "json": "It answers as JSON.",
        "letter": "It answers with a letter of one sentence.",
    }
)
"""Manner -> what a model that learned it does."""


def manner_turn(manner: str, rng: random.Random, split: str = TRAIN) -> Turn:
    """A question of a split with its answer in a manner."""
    name = rng.choice(fillers(NAMES, split))
    question, answers = rng.choice(_QUESTIONS)(name, rng)
    return question, answers[manner]


def asked_of(name: str) -> str:
    """The domain that a model is asked: its own, or the held-out questions of its manner, which are
    the same for all manners."""
    if name not in MANNERS:
        return name
    rng, answers = random.Random("manners"), dict[str, str]()
    while len(answers) < HELD_OUT_ITEMS:
        question, answer = manner_turn(name, rng, HELD_OUT)
        answers[question] = answer
    items = (
        OwnItem(name, "exact", question, answer, question) for question, answer in answers.items()
    )
    return OwnDomain(name, items, MOST_TOKENS)
